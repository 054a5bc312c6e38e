package cli

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/sdk/go/period"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check, show and compare the configuration"}
	group(c)
	c.AddCommand(a.configCheck(), a.configShow(), a.configDiff())
	return c
}

func (a *app) configCheck() *cobra.Command {
	c := &cobra.Command{
		Use: "check", Short: "Name everything that is wrong with config.toml", Args: noArgs,
		Long: "Reads config.toml, millwright.toml beside it and the modules of policies.d and drivers.d, and prints every mistake with file, line, key and\n" +
			"what is allowed. It exits with 1 when there is one; warnings alone are no failure.",
	}
	path, stateDir := configFlag(c), stateDirFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.check(c.Context(), *path, *stateDir)
	}
	return c
}

func (a *app) check(ctx context.Context, path, stateDir string) error {
	if _, err := os.Stat(path); err != nil { // run takes a missing file for an empty one, whoever checks one wants to know
		return fmt.Errorf("config check: %w; name the file with --config", err)
	}
	drivers, err := supervisor.OpenDrivers(existing(filepath.Join(stateDir, supervisor.ModuleCache)))
	if err != nil {
		return err
	}
	defer drivers.Close(ctx)
	silent := slog.New(slog.DiscardHandler) // all is told below
	operator := a.operator(path, silent)
	if err := drivers.UseFolder(ctx, operator, silent); err != nil {
		return err
	}
	o := config.Options{Period: readPeriod, Cron: readCron, Driver: func(name string, options []string) []config.Problem {
		return problems(drivers.Check(ctx, name, options))
	}, Plugin: func(a *config.Autoscaler) []config.Problem { return problems(drivers.CheckPlugin(ctx, a)) }}
	cfg, diagnostics, err := o.Load(path)
	if err != nil {
		return err
	}
	op, more, err := config.LoadOperator(path)
	if err != nil {
		return err
	}
	diagnostics = append(diagnostics, more...)
	diagnostics = append(diagnostics, config.CheckOperator(op, cfg, o.Driver)...)
	failed, warnings := false, 0
	tell := func(text string, warning bool) {
		fmt.Fprintln(a.out, text)
		if warning {
			warnings++
		}
		failed = failed || !warning
	}
	for _, d := range diagnostics {
		tell(d.String(), d.Severity == config.SeverityWarning)
	}
	for _, wrong := range drivers.CheckFolders(ctx, operator, a.quietLogger()) {
		if wrong.Warning {
			wrong.Message = "warning: " + wrong.Message
		}
		tell(wrong.Message, wrong.Warning)
	}
	switch {
	case failed:
		return errSilent
	case warnings > 0:
		fmt.Fprintf(a.out, "%s: %s, no mistakes, %s\n", path, counted(len(cfg.Runners), "runner"), counted(warnings, "warning"))
	default:
		fmt.Fprintf(a.out, "%s: %s, no mistakes\n", path, counted(len(cfg.Runners), "runner"))
	}
	return nil
}

// counted is a number of things in words: 1 runner, 2 runners.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// existing returns dir when it is there, and "" otherwise: a check makes no folders.
func existing(dir string) string {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() || info.Mode().Perm()&fs.FileMode(0o077) != 0 {
		return ""
	}
	return dir
}

func readPeriod(expression string) (warnings []string, err error) {
	e, err := period.Parse(expression)
	return e.Warnings(), err
}

func readCron(expression string) (warnings []string, err error) {
	e, err := period.ParseCron(expression)
	return e.Warnings(), err
}

func problems(in []supervisor.Problem) []config.Problem {
	out := make([]config.Problem, 0, len(in))
	for _, p := range in {
		out = append(out, config.Problem{Option: p.Option, Message: p.Message, Warning: p.Warning})
	}
	return out
}

// loadConfig reads config.toml for an agent. What is wrong with a single entry is told, and the entry left out; the others run. An entry
// that before, which may be nil, has is not left out: the whole file is refused then.
func (a *app) loadConfig(path string, before *config.Config, tell func(config.Diagnostic)) (*config.Config, error) {
	c, diagnostics, err := config.Options{Period: readPeriod, Cron: readCron}.Load(path)
	if err != nil {
		return nil, err
	}
	return usable(c, diagnostics, before, tell)
}

// usable drops the entries that can't run, after telling what is wrong.
func usable(c *config.Config, diagnostics []config.Diagnostic, before *config.Config, tell func(config.Diagnostic)) (*config.Config, error) {
	if err := config.Err(diagnostics); err != nil {
		return nil, err
	}
	broken := config.Broken(diagnostics)
	for i, why := range broken {
		if before == nil || i < 0 || i >= len(c.Runners) {
			continue
		}
		serves := func(r config.Runner) bool { return r.Key() == c.Runners[i].Key() }
		if slices.ContainsFunc(before.Runners, serves) {
			return nil, fmt.Errorf("%s; runner %s is in service, so nothing of the file is taken", why, c.Runners[i].Name)
		}
	}
	for _, d := range diagnostics {
		tell(d)
	}
	index := -1
	c.Runners = slices.DeleteFunc(c.Runners, func(config.Runner) bool {
		index++
		_, is := broken[index]
		return is
	})
	return c, nil
}

// execConfig reads the configuration of exec, where any mistake ends it: there is somebody to mend it.
func execConfig(path string) (*config.Config, error) {
	o := config.Options{Period: readPeriod, Cron: readCron}
	if path == "" {
		c, diagnostics := o.Parse("exec.toml", defaultExecConfig)
		return c, everyError(diagnostics)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("exec: %w", err)
	}
	c, diagnostics, err := o.Load(path)
	if err != nil {
		return nil, err
	}
	return c, everyError(diagnostics)
}

// everyError returns every error among diagnostics, those of single entries too.
func everyError(diagnostics []config.Diagnostic) error {
	for i := range diagnostics {
		diagnostics[i].Entry = false
	}
	return config.Err(diagnostics)
}
