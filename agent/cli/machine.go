package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

func (a *app) machineCommand() *cobra.Command {
	c := &cobra.Command{Use: "machine", Short: "Look at the machines and remove them"}
	group(c)
	c.AddCommand(a.machineLs(), a.machineRm(), a.machineReap(), a.machineTakeOver(), a.machineCordon(true), a.machineCordon(false),
		a.machineHold(), a.machineRelease(), a.machineImport(), a.machineExport())
	return c
}

func (a *app) machineLs() *cobra.Command {
	c := &cobra.Command{
		Use: "ls", Short: "List the machines with their state", Args: noArgs,
		Long: "Lists the machines: as the running agent sees them, or from the store when none runs. With --orphans it lists what may be\n" +
			"lost: instances under this state directory's tag that nobody knows, removals that failed, and what bears other owners' tags.",
	}
	stateDir := stateDirFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	orphans := c.Flags().Bool("orphans", false, "list what may be lost instead")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *orphans {
			configPath, err := c.Flags().GetString("config")
			if err != nil {
				return err
			}
			found, err := a.strays(c.Context(), configPath, *stateDir)
			switch {
			case err != nil:
				return err
			case *asJSON:
				return a.printJSON(found)
			}
			return a.printStrays(found, time.Now())
		}
		machines, err := a.listMachines(c.Context(), *stateDir)
		if err != nil {
			return err
		}
		if *asJSON {
			return a.printJSON(machines)
		}
		if err := a.printMachines(machines, time.Now()); err != nil {
			return err
		}
		return a.printScaling(c.Context(), *stateDir, time.Now())
	}
	return c
}

// listMachines asks the agent that holds the state directory, or reads the store when there is none.
func (a *app) listMachines(ctx context.Context, stateDir string) ([]supervisor.Machine, error) {
	machines, err := dialAgent(stateDir).machines(ctx)
	if !errors.Is(err, errNoAgent) {
		return machines, err
	}
	found, problems, err := journal.Read(stateDir)
	if err != nil {
		return nil, err
	}
	for _, p := range problems {
		fmt.Fprintln(a.err, p)
	}
	machines = make([]supervisor.Machine, 0, len(found))
	for _, m := range found {
		machines = append(machines, supervisor.View(m))
	}
	return machines, nil
}

func (a *app) printMachines(machines []supervisor.Machine, now time.Time) error {
	if len(machines) == 0 {
		_, err := fmt.Fprintln(a.out, "no machines")
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tDRIVER\tADDRESS\tAGE\tJOBS\tJOB\tRUNNER\tREASON")
	for _, m := range machines {
		job := "-"
		if m.JobID != 0 {
			job = fmt.Sprint(m.JobID)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", m.Name, condition(m), m.Driver, dash(m.Address),
			now.Sub(m.CreatedAt).Round(time.Second), m.UsedCount, job, m.Runner, cmp.Or(m.HeldFor, ledgerError(m)))
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) machineRm() *cobra.Command {
	c := &cobra.Command{
		Use: "rm [NAME...]", Short: "Remove machines",
		Long: "Removes machines: through the running agent, which refuses those that run a job, or from the store when no agent runs. Then\n" +
			"--all also removes what a run that was killed left behind on the engine.",
	}
	stateDir := stateDirFlag(c)
	all := c.Flags().Bool("all", false, "every machine")
	c.RunE = func(c *cobra.Command, names []string) error {
		if *all == (len(names) > 0) {
			return &usageError{c.CommandPath(), errors.New("name the machines, or say --all")}
		}
		err := a.removeThroughAgent(c.Context(), *stateDir, names)
		if errors.Is(err, errNoAgent) {
			err = a.removeOffline(c.Context(), c.Flag("config").Value.String(), *stateDir, names)
		}
		return err
	}
	return c
}

// removeThroughAgent removes the named machines, or all when there is no name.
func (a *app) removeThroughAgent(ctx context.Context, stateDir string, names []string) error {
	agent := dialAgent(stateDir)
	if len(names) == 0 {
		machines, err := agent.machines(ctx)
		if err != nil {
			return err
		}
		for _, m := range machines {
			names = append(names, m.Name)
		}
	}
	var errs []error
	for _, name := range names {
		err := agent.remove(ctx, name)
		if errors.Is(err, errNoAgent) {
			return err
		}
		if err == nil {
			fmt.Fprintln(a.out, "removed", name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (a *app) removeOffline(ctx context.Context, configPath, stateDir string, names []string) error {
	store, err := supervisor.OpenOffline(stateDir)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.UseFolder(ctx, a.operator(configPath, a.quietLogger()), a.quietLogger()); err != nil {
		return err
	}
	if cfg, err := a.loadConfig(configPath, nil, func(config.Diagnostic) {}); err == nil {
		store.AddSecrets(cfg)
	}
	machines, err := store.Machines()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if machines, err = choose(machines, names); err != nil {
			return err
		}
	} else {
		orphans, err := store.Orphans(ctx)
		if err != nil {
			fmt.Fprintln(a.err, "millwright: orphans:", err)
		}
		machines = append(machines, orphans...)
	}
	var mu sync.Mutex // guards the output
	err = store.Remove(ctx, machines, func(m fleet.Machine, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			fmt.Fprintln(a.out, "removed", m.Name)
		}
	})
	if err != nil || len(names) > 0 {
		return err
	}
	networks, err := sweepBenches(ctx, store.Owner())
	for _, name := range networks {
		fmt.Fprintln(a.out, "removed network", name)
	}
	return err
}

// choose returns the named machines; a name that is none is an error.
func choose(machines []fleet.Machine, names []string) ([]fleet.Machine, error) {
	var chosen []fleet.Machine
	for _, name := range names {
		i := slices.IndexFunc(machines, func(m fleet.Machine) bool { return m.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("machine %s: there is none of that name; `millwright machine ls` lists them", name)
		}
		chosen = append(chosen, machines[i])
	}
	return chosen, nil
}
