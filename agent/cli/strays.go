package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// strays asks the agent that holds the state directory for what may be lost, or the providers when there is none.
func (a *app) strays(ctx context.Context, configPath, stateDir string) (supervisor.Strays, error) {
	found, err := dialAgent(stateDir).strays(ctx)
	if !errors.Is(err, errNoAgent) {
		return found, err
	}
	err = a.offline(ctx, configPath, stateDir, func(store *supervisor.Offline) error {
		found, err = store.Strays(ctx)
		return err
	})
	return found, err
}

// offline opens the store while no agent runs, with the drivers and the runners of the configuration as far as these can be read.
func (a *app) offline(ctx context.Context, configPath, stateDir string, use func(*supervisor.Offline) error) (err error) {
	store, err := supervisor.OpenOffline(stateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.UseFolder(ctx, a.operator(configPath, a.quietLogger()), a.quietLogger()); err != nil {
		return err
	}
	cfg, err := a.loadConfig(configPath, nil, func(config.Diagnostic) {})
	if err == nil {
		err = store.AddRunners(cfg)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the journal tells of places too
		fmt.Fprintln(a.err, "millwright:", err)
	}
	return use(store)
}

func (a *app) printStrays(s supervisor.Strays, now time.Time) error {
	for _, text := range s.Errors {
		fmt.Fprintln(a.err, "millwright: not everything could be asked:", text)
	}
	if len(s.Orphans)+len(s.Ledger)+len(s.Others) == 0 {
		_, err := fmt.Fprintf(a.out, "no orphans; this state directory's owner id is %s\n", s.Owner)
		return err
	}
	printStrayList(a.out, "Under this state directory's tag "+s.Owner+", and in no journal entry that can be read:", s.Orphans, now)
	if len(s.Ledger) > 0 {
		fmt.Fprintln(a.out, "Being removed, and not gone yet:")
		if err := a.printMachines(s.Ledger, now); err != nil {
			return err
		}
	}
	printStrayList(a.out, "Under the tags of other state directories, never touched (`millwright machine take-over OWNER` makes them this one's):", s.Others, now)
	return nil
}

func printStrayList(out io.Writer, title string, list []supervisor.Stray, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(out, title)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATUS\tDRIVER\tID\tADDRESS\tCREATED\tOWNER\tREMOVAL")
	for _, s := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.24s\t%s\t%s\t%s\t%s\n", s.Name, s.Status, s.Driver, dash(s.ID), dash(s.Address), dash(s.CreatedAt),
			dash(s.Owner), removalOf(s, now))
	}
	w.Flush()
}

// removalOf says when an instance goes by itself.
func removalOf(s supervisor.Stray, now time.Time) string {
	switch {
	case s.Note != "":
		return "by hand: " + s.Note
	case s.Owner != "", s.RemovalAt.IsZero():
		return "-"
	case s.RemovalAt.After(now):
		return "in " + s.RemovalAt.Sub(now).Round(time.Second).String()
	}
	return "at the next list"
}

func (a *app) machineReap() *cobra.Command {
	c := &cobra.Command{
		Use: "reap [NAME...]", Short: "Remove orphans, and try removals again that failed",
		Long: "Removes the instances that bear this state directory's tag and are in no journal entry that can be read, and tries failed\n" +
			"removals again: through the running agent, or without one. With --owner the instances of another state directory, which must\n" +
			"be one that no agent uses any more. It only prints what it would remove, unless --yes is given.",
		Example: "  millwright machine reap\n  millwright machine reap --yes\n  millwright machine reap --owner 0123456789abcdef --yes",
	}
	stateDir := stateDirFlag(c)
	owner := c.Flags().String("owner", "", "the id of another state directory whose instances to remove")
	yes := c.Flags().Bool("yes", false, "remove them")
	c.RunE = func(c *cobra.Command, names []string) error {
		configPath, err := c.Flags().GetString("config")
		if err != nil {
			return err
		}
		r := reaper{app: a, configPath: configPath, stateDir: *stateDir, owner: *owner, names: names, yes: *yes}
		return r.run(c.Context())
	}
	return c
}

// reaper is one call of reap.
type reaper struct {
	app                  *app
	configPath, stateDir string
	owner                string // "" is our own
	names                []string
	yes                  bool
}

// target is one thing to remove.
type target struct {
	name, why string
	machine   bool // of the ledger, else an orphan or another's
}

func (r reaper) run(ctx context.Context) error {
	found, err := r.app.strays(ctx, r.configPath, r.stateDir)
	if err != nil {
		return err
	}
	for _, text := range found.Errors {
		fmt.Fprintln(r.app.err, "millwright: not everything could be asked:", text)
	}
	targets, err := r.targets(found)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		fmt.Fprintln(r.app.out, "nothing to remove")
		return nil
	}
	if !r.yes {
		for _, t := range targets {
			fmt.Fprintf(r.app.out, "would remove %s: %s\n", t.name, t.why)
		}
		fmt.Fprintln(r.app.out, "nothing is removed without --yes")
		return nil
	}
	return r.remove(ctx, targets)
}

// targets picks what to remove. A name that is none of it is an error.
func (r reaper) targets(found supervisor.Strays) ([]target, error) {
	var all []target
	if r.owner == "" {
		for _, s := range found.Orphans {
			all = append(all, target{name: s.Name, why: fmt.Sprintf("%s orphan of %s %s", s.Status, s.Driver, s.Note)})
		}
		for _, m := range found.Ledger {
			all = append(all, target{name: m.Name, why: m.Reason + "; " + m.Error, machine: true})
		}
	}
	for _, s := range found.Others {
		if r.owner != "" && s.Owner == r.owner {
			all = append(all, target{name: s.Name, why: fmt.Sprintf("%s instance of %s, made by %s", s.Status, s.Driver, s.Owner)})
		}
	}
	if len(r.names) == 0 {
		return all, nil
	}
	var chosen []target
	for _, name := range r.names {
		i := slices.IndexFunc(all, func(t target) bool { return t.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%s is no orphan; `millwright machine ls --orphans` lists them", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func (r reaper) remove(ctx context.Context, targets []target) error {
	agent := dialAgent(r.stateDir)
	errs, err := r.each(targets, func(t target) error {
		switch {
		case r.owner != "":
			return agent.removeOther(ctx, r.owner, t.name)
		case t.machine:
			return agent.remove(ctx, t.name)
		}
		return agent.removeOrphan(ctx, t.name)
	})
	if !errors.Is(err, errNoAgent) {
		return errs
	}
	return r.app.offline(ctx, r.configPath, r.stateDir, func(store *supervisor.Offline) error {
		errs, _ := r.each(targets, func(t target) error {
			if r.owner != "" {
				return store.RemoveOther(ctx, r.owner, t.name)
			}
			return store.RemoveByName(ctx, t.name)
		})
		return errs
	})
}

// each removes one target after the other and tells of each. It stops where there is no agent, which is the second error.
func (r reaper) each(targets []target, remove func(target) error) (errs, gone error) {
	var failed []error
	for _, t := range targets {
		err := remove(t)
		if errors.Is(err, errNoAgent) {
			return errors.Join(failed...), err
		}
		if err == nil {
			fmt.Fprintln(r.app.out, "removed", t.name)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...), nil
}

func (a *app) machineTakeOver() *cobra.Command {
	c := &cobra.Command{
		Use: "take-over OWNER", Short: "Make the machines of a state directory that was lost this one's",
		Long: "Gives this state directory the owner id of one that was lost, so that what was made from that one is found: as orphans,\n" +
			"which `millwright machine reap` removes at once and an agent after the grace time. `millwright machine ls --orphans` shows the\n" +
			"owner ids. No agent may use this state directory meanwhile, it must hold no machines, and no agent may use the other id any more.",
		Args:    cobra.ExactArgs(1),
		Example: "  millwright machine take-over 0123456789abcdef",
	}
	stateDir := stateDirFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		before, err := supervisor.TakeOver(*stateDir, args[0])
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "the owner id was %s and is %s; `millwright machine reap` shows what it finds\n", before, args[0])
		return nil
	}
	return c
}

// ledgerError is the reason column of a machine whose removal failed.
func ledgerError(m supervisor.Machine) string {
	if m.State != fleet.Removing || m.Tries == 0 {
		return dash(m.Reason)
	}
	return fmt.Sprintf("%s (%d tries: %s)", dash(m.Reason), m.Tries, m.Error)
}
