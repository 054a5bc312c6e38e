package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func (a *app) driverCheck() *cobra.Command {
	c := &cobra.Command{
		Use: "check [RUNNER] [--driver NAME --option NAME=VALUE ...]", Short: "Try what the drivers need to be allowed, and make nothing",
		Long: "Asks the driver of each runner with machines, or of the one that is named, which permissions it needs with the runner's\n" +
			"MachineOptions, and whether the agent's credential has them: by dry runs and by asking the provider, never by making anything.\n" +
			"It says what follows from each that is missing, and what to do. Run it as the user that the agent runs as: credentials come\n" +
			"from millwright.toml and the environment. With --driver a driver is asked with the options given here, without a config.toml.\n" +
			"The exit code is 1 when a permission is denied, or could not be asked for.",
		Args: cobra.MaximumNArgs(1),
	}
	path, stateDir := configFlag(c), stateDirFlag(c)
	name := c.Flags().String("driver", "", "a driver, in the place of the runners'")
	options := c.Flags().StringArray("option", nil, "of --driver: NAME=VALUE, as in MachineOptions; may be repeated")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		if (*name != "" && len(args) > 0) || (*name == "" && len(*options) > 0) {
			return &usageError{c.CommandPath(), errors.New("name a runner, or a --driver with its --option flags")}
		}
		drivers, err := supervisor.OpenDrivers(existing(filepath.Join(*stateDir, supervisor.ModuleCache)))
		if err != nil {
			return err
		}
		defer drivers.Close(context.WithoutCancel(c.Context()))
		if err := drivers.UseFolder(c.Context(), a.operator(*path, a.quietLogger()), a.quietLogger()); err != nil {
			return err
		}
		drivers.UseStateDir(*stateDir)
		var found []supervisor.Checkup
		if *name != "" {
			found = append(found, drivers.CheckDriver(c.Context(), "", *name, *options, nil))
		} else if found, err = a.checkRunners(c.Context(), drivers, *path, args); err != nil {
			return err
		}
		return a.printCheckups(found, *asJSON)
	}
	return c
}

// checkRunners asks the drivers of the runners in a config.toml that have machines, of the named one alone when there is a name.
func (a *app) checkRunners(ctx context.Context, drivers *supervisor.Drivers, path string, names []string) ([]supervisor.Checkup, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("driver check: %w; name the file with --config, or a --driver", err)
	}
	cfg, err := a.loadConfig(path, nil, func(d config.Diagnostic) { fmt.Fprintln(a.err, d) })
	if err != nil {
		return nil, err
	}
	var found []supervisor.Checkup
	for _, r := range cfg.Runners {
		if m, err := r.Fleet(); err == nil && (m == nil || m.MachineDriver == "") || len(names) > 0 && names[0] != r.Name {
			continue
		}
		found = append(found, drivers.CheckRunner(ctx, r))
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 && len(names) > 0 {
		return nil, fmt.Errorf("%s has no runner %q with a MachineDriver", path, names[0])
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no runner with a MachineDriver", path)
	}
	return found, nil
}

// printCheckups prints a table for each, or JSON. Its error is errSilent when one failed.
func (a *app) printCheckups(found []supervisor.Checkup, asJSON bool) (err error) {
	failed := false
	for i, c := range found {
		failed = failed || c.Failed()
		if asJSON {
			continue
		}
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		if err := a.printCheckup(c); err != nil {
			return err
		}
	}
	if asJSON {
		err = a.printJSON(found)
	}
	if err == nil && failed {
		err = errSilent
	}
	return err
}

func (a *app) printCheckup(c supervisor.Checkup) error {
	title := "driver " + c.Driver
	if c.Runner != "" {
		title = "runner " + c.Runner + ": " + title
	}
	switch {
	case c.NoCheck:
		_, err := fmt.Fprintf(a.out, "%s: this driver has no check; its page or its author says what it needs to be allowed\n", title)
		return err
	case c.Error != "":
		_, err := fmt.Fprintf(a.out, "%s: nothing is known: %s\n", title, c.Error)
		return err
	}
	fmt.Fprintln(a.out, title)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RESULT\tPERMISSION\tFOR")
	for _, p := range c.Permissions {
		fmt.Fprintf(w, "%s\t%s\t%s\n", p.Result, p.Name, dash(p.Purpose))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range c.Permissions {
		if p.Result != abi.PermissionGranted {
			fmt.Fprintf(a.out, "\n%s is %s%s\n", p.Name, p.Result, reasonOf(p))
		}
	}
	return nil
}

// reasonOf says below the table why a permission is not granted, what follows and what to do, a line for each.
func reasonOf(p abi.Permission) string {
	var out strings.Builder
	if p.Message != "" {
		out.WriteString(": " + p.Message)
	}
	if p.Result == abi.PermissionDenied || p.Without != "" {
		out.WriteString("\n  without it: " + cmp.Or(p.Without, "the driver does not work"))
	}
	if p.Fix != "" {
		out.WriteString("\n  what to do: " + p.Fix)
	}
	return out.String()
}
