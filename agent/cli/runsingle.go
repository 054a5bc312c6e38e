package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/cli/logs"
	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// single is one run of run-single.
type single struct {
	fields    *fieldFlags
	template  string
	config    string // "" takes the runner from flags
	name      string
	stateDir  string
	maxBuilds int
	wait      time.Duration
	shutdown  int // seconds; 0 leaves the file's
}

func (a *app) runSingleCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "run-single", Short: "Run jobs one after the other for one runner, which need not be in config.toml", Args: noArgs,
		Long: "Runs jobs one after the other for one runner: one that flags and variables describe, as those of register do, or with --config and\n" +
			"--runner one of a file. config.toml is neither written nor watched.",
		Example: "  millwright run-single --url https://gitlab.example.com --token glrt-... --executor docker --docker-image alpine --max-builds 1",
	}
	o := single{}
	f := c.Flags()
	o.fields = addFieldFlags(f)
	f.StringVarP(&o.config, "config", "c", "", "a file that has the runner of --runner")
	f.StringVarP(&o.name, "runner", "r", "", "the name of a runner of that file")
	f.StringVar(&o.template, "template-config", "", "a file with one [[runners]] entry, whose keys count where nothing else says otherwise")
	f.StringVar(&o.stateDir, "state-dir", "", "where machines and keys lie; for executors without machines a temporary folder (MILLWRIGHT_STATE_DIR)")
	f.IntVar(&o.maxBuilds, "max-builds", 0, "end after that many jobs; 0 = never (MAX_BUILDS)")
	wait := f.Int("wait-timeout", 0, "end when no job has come in that many seconds; 0 = never (WAIT_TIMEOUT)")
	f.IntVar(&o.shutdown, "shutdown-timeout", 0, "seconds that a stop may take before jobs are left; 0 = as the file says, or 30")
	c.RunE = func(c *cobra.Command, _ []string) error {
		for name, variable := range map[string]string{"max-builds": "MAX_BUILDS", "wait-timeout": "WAIT_TIMEOUT"} {
			if value := os.Getenv(variable); value != "" && !f.Changed(name) {
				if err := f.Set(name, value); err != nil {
					return &usageError{c.CommandPath(), fmt.Errorf("%s: %w", variable, err)}
				}
			}
		}
		o.wait = time.Duration(*wait) * time.Second
		return a.runSingle(c.Context(), o)
	}
	return c
}

// load makes the configuration of the one runner.
func (o single) load() (*config.Config, error) {
	if o.config != "" {
		cfg, err := readConfig(o.config)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(cfg.Runners, func(r config.Runner) bool { return r.Name == o.name })
		if i < 0 {
			return nil, fmt.Errorf("%s has no runner %q; name one with --runner", o.config, o.name)
		}
		cfg.Runners, cfg.Concurrent, cfg.ListenAddress = cfg.Runners[i:i+1], 1, ""
		return cfg, nil
	}
	entry, err := o.fields.entry(o.template)
	if err != nil {
		return nil, err
	}
	for path, flags := range map[string]string{"url": "--url or CI_SERVER_URL", "token": "--token or CI_SERVER_TOKEN", "executor": "--executor or RUNNER_EXECUTOR"} {
		if !entry.Has(path) {
			return nil, fmt.Errorf("%s is missing; give it with %s", path, flags)
		}
	}
	if !entry.Has("name") {
		entry.Set("name", "run-single")
	}
	cfg, diagnostics := config.Options{Period: readPeriod, Cron: readCron}.Parse("run-single", []byte(entry.String()))
	return cfg, everyError(diagnostics)
}

func (a *app) runSingle(ctx context.Context, o single) error {
	cfg, err := o.load()
	if err != nil {
		return err
	}
	if o.shutdown > 0 {
		cfg.ShutdownTimeout = o.shutdown
	}
	if o.stateDir == "" && slices.Contains(config.Fleets(), cfg.Runners[0].Executor) {
		o.stateDir = defaultStateDir()
	}
	if o.stateDir == "" {
		dir, err := os.MkdirTemp("", "millwright-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.stateDir = dir
	}
	a.log.file(cfg)
	log := a.log.logger()
	defer logs.TakeStandard(log)()
	came := make(chan struct{}, 1) // a job began or ended
	var begun, running atomic.Int64
	s, err := supervisor.New(supervisor.Options{
		StateDir: o.stateDir, Load: func() (*config.Config, error) { return cfg, nil }, Version: jobVersion(), Log: log,
		HelperArchive: helperArchive, OnHost: onHost(""), Debug: a.machineDebug(),
		Jobs: func(n int) {
			if n > 0 {
				begun.Add(1)
			}
			running.Add(int64(n))
			select {
			case came <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	handled := handleSignals(stop, s, log)
	defer handled()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for {
		var waited <-chan time.Time
		if o.wait > 0 && running.Load() == 0 {
			waited = time.After(o.wait)
		}
		select {
		case err := <-ended:
			return err
		case <-came:
			if o.maxBuilds > 0 && begun.Load() >= int64(o.maxBuilds) {
				s.Drain()
				return <-ended
			}
		case <-waited:
			log.Info("No job came in time", "wait_timeout", o.wait)
			s.Drain()
			return <-ended
		}
	}
}
