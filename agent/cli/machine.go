package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/dockermachine"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

func (a *app) machineCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "machine", Short: "Look at the machines, make some by hand, and remove them",
		Long: "Looks at the agent's machines and removes them, and has docker-machine's commands: for machines that you make by hand, which no agent\n" +
			"takes, and for a closer look at all. Most of these are for the machine \"default\" when no name is given. The binary by the name of\n" +
			"docker-machine is that command line alone.",
	}
	group(c)
	h := &handStore{app: a}
	h.flags(c)
	c.AddCommand(h.commands()...)
	c.AddCommand(a.machineLs(h), a.machineRm(h), a.machineReap(), a.machineTakeOver(), a.machineCordon(true), a.machineCordon(false),
		a.machineHold(), a.machineRelease(), a.machineImport(), a.machineExport())
	return c
}

func (a *app) machineLs(h *handStore) *cobra.Command {
	c := &cobra.Command{
		Use: "ls", Short: "List the machines with their state", Args: noArgs,
		Long: "Lists the machines: as the running agent sees them, or from the store when none runs. With --orphans it lists what may be\n" +
			"lost: instances under this state directory's tag that nobody knows, removals that failed, and what bears other owners' tags. With one of\n" +
			"docker-machine's flags it lists as docker-machine does, and asks the providers: --format table is its table.",
	}
	listed, seconds := listing(c)
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
		if f := c.Flags(); f.Changed("quiet") || f.Changed("filter") || f.Changed("timeout") || f.Changed("format") || h.path != "" {
			return h.with(c, func(m *dockermachine.Machines) error {
				listed.Timeout = time.Duration(*seconds) * time.Second
				if listed.Format == "table" {
					listed.Format = ""
				}
				return m.Ls(c.Context(), *listed)
			})
		}
		machines, err := a.listMachines(c.Context(), *stateDir)
		if err == nil {
			machines, err = withByHand(*stateDir, machines)
		}
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
		if !errors.Is(p.Err, journal.ErrByHand) {
			fmt.Fprintln(a.err, p)
		}
	}
	machines = make([]supervisor.Machine, 0, len(found))
	for _, m := range found {
		machines = append(machines, supervisor.View(m))
	}
	return machines, nil
}

// withByHand adds the machines of the state directory's store that were made by hand.
func withByHand(stateDir string, machines []supervisor.Machine) ([]supervisor.Machine, error) {
	store, err := journal.OpenHand(filepath.Join(stateDir, "store"))
	if err != nil {
		return nil, err
	}
	names, err := store.Names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if e, err := store.Entry(name); err == nil && e.Kind == journal.KindByHand {
			m := supervisor.View(e.Machine)
			m.ByHand, m.Phase = true, e.Phase
			machines = append(machines, m)
		}
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
		for _, other := range m.OtherJobs {
			job += fmt.Sprint(",", other)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", m.Name, condition(m), m.Driver, dash(m.Address),
			now.Sub(m.CreatedAt).Round(time.Second), m.UsedCount, job, runnerOf(m), cmp.Or(m.HeldFor, ledgerError(m)))
	}
	return w.Flush()
}

func runnerOf(m supervisor.Machine) string {
	if m.ByHand {
		return "(by hand)"
	}
	return m.Runner
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) machineRm(h *handStore) *cobra.Command {
	c := &cobra.Command{
		Use: "rm [NAME...]", Short: "Remove machines",
		Long: "Removes machines: through the running agent, which refuses those that run a job, or from the store when no agent runs. Then\n" +
			"--all also removes what a run that was killed left behind on the engine. Machines that were made by hand must be named.",
	}
	stateDir := stateDirFlag(c)
	all := c.Flags().Bool("all", false, "every machine of the agent's")
	how := dockermachine.Removal{Quiet: true}
	removalFlags(c.Flags(), &how)
	c.RunE = func(c *cobra.Command, names []string) error {
		if *all == (len(names) > 0) {
			return &usageError{c.CommandPath(), errors.New("name the machines, or say --all")}
		}
		agents := agentSide{a, c.Flag("config"), *stateDir}
		if *all {
			return agents.Remove(c.Context(), nil)
		}
		return h.with(c, func(m *dockermachine.Machines) error {
			how.Yes = true
			hand, others := m.Split(names)
			var err error
			if len(hand) > 0 {
				err = m.Remove(c.Context(), hand, how)
			}
			if len(others) > 0 {
				err = errors.Join(err, agents.Remove(c.Context(), others))
			}
			return err
		})
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
