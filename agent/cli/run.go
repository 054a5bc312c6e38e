package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/cli/logs"
	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/garbage"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

func (a *app) runCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "run",
		Short: "Take jobs and run them until told to stop",
		Long: "Takes jobs for every runner of config.toml and runs them.\n\n" +
			"SIGQUIT drains: running jobs end, however long that takes, and no new ones are taken. SIGTERM and SIGINT stop running\n" +
			"jobs and end within shutdown_timeout; one more of them ends at once. SIGHUP, or a changed file, reloads the configuration.\n\n" +
			"--observe only watches a gitlab-runner that works by the same file: no job is taken, nothing is created or removed, and the log,\n" +
			"`policy explain` and the metrics say what would have been done.",
		Args: noArgs,
	}
	configPath, stateDir := configFlag(c), stateDirFlag(c)
	listen := c.Flags().String("listen-address", os.Getenv("LISTEN_ADDRESS"), "[host]:port of /metrics; wins over the file (LISTEN_ADDRESS)")
	observe := observeFlags(c.Flags())
	directory := c.Flags().StringP("working-directory", "d", "", "the agent's working directory")
	c.Flags().StringP("service", "n", a.name, "name of the service that this is")
	user := c.Flags().StringP("user", "u", "", "whose rights jobs of the executor shell get, where the agent is root; wins over the file")
	c.Flags().Bool("syslog", false, "taken for GitLab Runner's sake: the log goes to stderr, and the service manager keeps it")
	c.RunE = func(c *cobra.Command, _ []string) error {
		for _, path := range []*string{configPath, stateDir} { // they are meant from where we are
			absolute, err := filepath.Abs(*path)
			if err != nil {
				return err
			}
			if *directory != "" {
				*path = absolute
			}
		}
		if *directory != "" {
			if err := os.Chdir(*directory); err != nil {
				return fmt.Errorf("--working-directory: %w", err)
			}
		}
		return a.supervised(c.Context(), func(ctx context.Context) error {
			return a.run(ctx, *configPath, *stateDir, *listen, *user, observe)
		})
	}
	return c
}

func (a *app) run(ctx context.Context, configPath, stateDir, listen, user string, observe *observation) error {
	thrifty()
	l := &loader{app: a, path: configPath, listen: listen}
	first, err := l.load()
	if err != nil {
		return err
	}
	a.log.file(first)
	log := a.log.logger()
	l.log = log // the supervisor reads the file once more, and only then what is wrong in it is told
	defer logs.TakeStandard(log)()
	watched, err := observe.incumbent(first, log)
	if err != nil {
		return err
	}
	if watched != nil { // which has that address
		l.ownListen = true
	} else {
		tellOfMachines(ctx, first, stateDir, log)
	}
	o := supervisor.Options{
		StateDir: stateDir, Load: l.load, Applied: l.applied, ConfigPath: configPath, Version: jobVersion(), Log: log,
		HelperArchive: helperArchive, OnHost: onHost(user), Debug: a.machineDebug(), Operator: a.operator(configPath, log), Incumbent: watched, RuntimeDir: runtimeDir(stateDir, log),
	}
	for _, f := range a.change {
		f(&o)
	}
	s, err := supervisor.New(o)
	if err != nil {
		return err
	}
	log.Info("Starting", "version", Version, "revision", revision(), "config", configPath, "state_dir", stateDir)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	handled := handleSignals(stop, s, log)
	defer handled()
	return s.Run(ctx)
}

// operator returns what reads millwright.toml and tells what is doubtful in it. With an error nothing of it but the folders is to be used.
func (a *app) operator(configPath string, log *slog.Logger) func() (*config.Operator, error) {
	return func() (*config.Operator, error) {
		op, diagnostics, err := config.LoadOperator(configPath)
		if err != nil {
			op = config.DefaultOperator(configPath)
			op.CeilingsErr = err
			return op, err
		}
		for _, d := range diagnostics {
			if d.Severity == config.SeverityWarning {
				log.Warn(d.String())
			}
		}
		return op, config.Err(diagnostics)
	}
}

// How much garbage the agent may heap up before it is collected. Much of what lives are modules and their memories, which never change: Go's own
// 100 percent would keep as much again for nothing. An agent without modules has next to nothing that lives, and 25 percent of that comes with half a job.
const (
	garbagePercent = 25
	garbageLeast   = 6 << 20 // bytes, what an idle agent with the modules of the default chain has by the percentage
)

// thrifty keeps the agent small, unless the operator set GOGC.
func thrifty() {
	if os.Getenv("GOGC") == "" {
		garbage.Keep(garbagePercent, garbageLeast)
	}
}

func jobVersion() job.Version {
	return job.Version{Version: Version, Revision: revision()}
}

// machineDebug is where the whole provisioning goes with MACHINE_DEBUG=true, as for docker-machine.
func (a *app) machineDebug() io.Writer {
	switch os.Getenv("MACHINE_DEBUG") {
	case "", "0", "false":
		return nil
	}
	return a.err
}
