package cli

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
)

// execOptions are exec's flags.
type execOptions struct {
	file     string
	config   string
	stateDir string
	images   string
	secrets  []string
	vars     []string
	jobs     []string
	keep     bool
	offline  bool
}

func (a *app) execCommand() *cobra.Command {
	o := execOptions{}
	c := &cobra.Command{
		Use:   "exec [JOB...]",
		Short: "Run a .gitlab-ci.yml on this machine",
		Long: "Runs the pipeline of a .gitlab-ci.yml, or some of its jobs with what they need, through the same code as `run`: an embedded\n" +
			"coordinator serves the folder of the file as a git repository, as it is now, and the agent makes machines on the local\n" +
			"Docker engine. At the end, and at Ctrl-C, every machine is removed.",
		Example: "  millwright exec\n  millwright exec -f ci/.gitlab-ci.yml unit lint\n  millwright exec --secret DEPLOY_TOKEN --keep",
	}
	f := c.Flags()
	f.StringVarP(&o.file, "file", "f", ".gitlab-ci.yml", "the pipeline; its folder is the project")
	f.StringVarP(&o.config, "config", "c", "", "a config.toml with a docker+machine runner; url and token are set by exec (default: built in)")
	f.StringVar(&o.stateDir, "state-dir", defaultStateDir(), "where machines, keys, traces and the socket lie (MILLWRIGHT_STATE_DIR)")
	f.StringVar(&o.images, "images", "", "folder of OCI layouts that the machines get as a registry mirror")
	f.StringArrayVar(&o.secrets, "secret", nil, "masked variable NAME=VALUE, or NAME to take it from the environment")
	f.StringArrayVar(&o.vars, "var", nil, "variable NAME=VALUE")
	f.BoolVar(&o.keep, "keep", false, "leave machines and coordinator up after the end, until Ctrl-C")
	f.BoolVar(&o.offline, "offline", false, "the machines' network has no way out: answer their name look-ups at once with no")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.jobs = args
		return a.exec(c.Context(), o)
	}
	return c
}

func (a *app) exec(ctx context.Context, o execOptions) error {
	file, err := filepath.Abs(o.file)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("exec: %w; name the pipeline with --file", err)
	}
	pipeline, err := ciyaml.Parse(o.file, text)
	if err != nil {
		return err
	}
	variables, err := o.variables(os.LookupEnv)
	if err != nil {
		return err
	}
	cfg, err := execConfig(o.config)
	if err != nil {
		return err
	}
	ctx, stop := withInterrupt(ctx)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := newTerminal(a.out)
	out.broken = func(err error) { cancel(fmt.Errorf("nobody reads this any more: %w", err)) }
	e := &execution{app: a, o: o, root: filepath.Dir(file), pipeline: pipeline, variables: variables, config: cfg, out: out}
	return e.run(ctx)
}

// withInterrupt ends ctx at the first SIGINT, SIGTERM or SIGHUP (a terminal that is closed), with the signal as its cause. The second
// one kills the process as it always does; what is then left is removed by `machine rm --all`. A reader of the output that goes away
// kills nothing: writes fail.
func withInterrupt(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE)
	go func() {
		select {
		case sig := <-signals:
			signal.Stop(signals)
			cancel(errors.New(sig.String()))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// variables are those of the command line.
func (o execOptions) variables(env func(string) (string, bool)) ([]coordinator.Variable, error) {
	var vars []coordinator.Variable
	for _, s := range o.secrets {
		name, value, given := strings.Cut(s, "=")
		if !given {
			if value, given = env(name); !given {
				return nil, fmt.Errorf("exec: --secret %s: the environment has no such variable; write NAME=VALUE or set it", name)
			}
		}
		vars = append(vars, embedded.Secret(name, value))
	}
	for _, s := range o.vars {
		name, value, given := strings.Cut(s, "=")
		if !given {
			return nil, fmt.Errorf("exec: --var %s: write NAME=VALUE", name)
		}
		vars = append(vars, coordinator.Variable{Key: name, Value: value, Public: true})
	}
	return vars, nil
}

//go:embed exec.toml
var defaultExecConfig []byte

// runsKept is how many runs of exec keep their traces in the state directory.
const runsKept = 10

// runDir makes the folder for this run's traces, and removes those of old runs.
func runDir(stateDir string, now time.Time) (string, error) {
	base := filepath.Join(stateDir, "exec")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(base) // sorted by name, and names are times
	if err != nil {
		return "", err
	}
	for i := 0; i <= len(entries)-runsKept; i++ {
		if err := os.RemoveAll(filepath.Join(base, entries[i].Name())); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(base, now.UTC().Format("20060102T150405.000"))
	return dir, os.Mkdir(dir, 0o700)
}
