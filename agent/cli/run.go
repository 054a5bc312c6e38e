package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

func (a *app) runCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "run",
		Short: "Take jobs and run them until told to stop",
		Long: "Takes jobs for every runner of config.toml and runs them.\n\n" +
			"SIGQUIT drains: running jobs end, no new ones are taken. SIGTERM and SIGINT stop running jobs and end.\n" +
			"SIGHUP, or a changed file, reloads the configuration.",
		Args: noArgs,
	}
	configPath, stateDir := configFlag(c), stateDirFlag(c)
	listen := c.Flags().String("listen-address", os.Getenv("LISTEN_ADDRESS"), "[host]:port of /metrics; wins over the file (LISTEN_ADDRESS)")
	directory := c.Flags().StringP("working-directory", "d", "", "the agent's working directory")
	c.Flags().StringP("service", "n", a.name, "name of the service that this is")
	c.Flags().StringP("user", "u", "", "taken for GitLab Runner's sake: jobs run as the agent's user")
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
			return a.run(ctx, *configPath, *stateDir, *listen, c.Flags().Changed("log-level"))
		})
	}
	return c
}

func (a *app) run(ctx context.Context, configPath, stateDir, listen string, levelFixed bool) error {
	var log *slog.Logger // nil while the file has not named its format
	load := func() (*config.Config, error) {
		cfg, err := a.loadConfig(configPath, func(d config.Diagnostic) {
			if log == nil {
				return // the supervisor reads the file once more, and then it is told
			}
			level := slog.LevelWarn
			if d.Severity == config.SeverityError {
				level = slog.LevelError
			}
			log.Log(ctx, level, d.String())
		})
		if err != nil {
			return nil, err
		}
		if listen != "" {
			cfg.ListenAddress = listen
		}
		if !levelFixed {
			err = a.setLevel(cfg.LogLevel)
		}
		return cfg, err
	}
	first, err := load()
	if err != nil {
		return err
	}
	log = a.logger(first.LogFormat)
	s, err := supervisor.New(supervisor.Options{
		StateDir: stateDir, Load: load, ConfigPath: configPath, Version: jobVersion(), Log: log,
		HelperArchive: helperArchive, Debug: a.machineDebug(), Operator: a.operator(configPath, log),
	})
	if err != nil {
		return err
	}
	log.Info("Starting", "version", Version, "revision", revision(), "config", configPath, "state_dir", stateDir)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	handled := handleSignals(stop, s)
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

// handleSignals drains, stops and reloads s as signals tell. What it returns ends that.
func handleSignals(stop context.CancelCauseFunc, s *supervisor.Supervisor) (end func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, signalsOfRun...)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case sig := <-signals:
				switch meaning(sig) {
				case drainSignal:
					s.Drain()
				case reloadSignal:
					_ = s.Reload() // it is logged and counted there
				default:
					stop(errors.New(sig.String()))
				}
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
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
