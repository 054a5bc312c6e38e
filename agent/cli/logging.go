package cli

import (
	"log/slog"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/cli/logs"
	"github.com/millwright-ci/millwright/agent/config"
)

// logging is how the agent's log looks, by flags and file. A flag or its variable wins over the file for the life of the process.
type logging struct {
	level  slog.LevelVar
	output *logs.Output

	levelFixed, formatFixed bool
}

// logFlags adds the flags of gitlab-runner's log.
func logFlags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.Bool("debug", false, "same as --log-level debug (RUNNER_DEBUG)")
	f.StringP("log-level", "l", "", "debug, info, warn or error; wins over the file's log_level (LOG_LEVEL)")
	f.String("log-format", "", "runner, text or json; wins over the file's log_format (LOG_FORMAT)")
}

// flags takes what the command line says, and the variables where it says nothing.
func (l *logging) flags(c *cobra.Command) error {
	level, _ := c.Flags().GetString("log-level")
	format, _ := c.Flags().GetString("log-format")
	debug, _ := c.Flags().GetBool("debug")
	if !debug && !c.Flags().Changed("debug") {
		debug, _ = strconv.ParseBool(os.Getenv("RUNNER_DEBUG")) // a value that is none says nothing, as for gitlab-runner
	}
	switch {
	case level != "":
	case debug:
		level = "debug"
	default:
		level = os.Getenv("LOG_LEVEL")
	}
	if format == "" {
		format = os.Getenv("LOG_FORMAT")
	}
	l.levelFixed, l.formatFixed = level != "", format != ""
	at, err := logs.Level(level)
	if err == nil {
		err = l.output.SetFormat(format)
	}
	if err != nil {
		return &usageError{c.CommandPath(), err}
	}
	l.level.Set(at)
	return nil
}

// file takes what config.toml says, whose words have been checked, where the command line says nothing.
func (l *logging) file(c *config.Config) {
	if at, err := logs.Level(c.LogLevel); err == nil && !l.levelFixed {
		l.level.Set(at)
	}
	if !l.formatFixed {
		_ = l.output.SetFormat(c.LogFormat)
	}
}

// logger is the agent's.
func (l *logging) logger() *slog.Logger { return slog.New(l.output.Handler()) }

// quietLogger is for commands that report in their own way: warnings and errors alone, unless debug is asked for.
func (a *app) quietLogger() *slog.Logger {
	level := max(a.log.level.Level(), slog.LevelWarn)
	if a.log.level.Level() == slog.LevelDebug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}
