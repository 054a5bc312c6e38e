package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// defaultHold is how long a machine is held when nobody says.
const defaultHold = 2 * time.Hour

func (a *app) freezeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "freeze", Short: "Stop all creating and removing of machines", Args: noArgs,
		Long: "Stops all creating and removing of machines, also over restarts, until `millwright unfreeze` or the time that --for gives is over.\n" +
			"Jobs go on, and machines that there are take further ones. Without a running agent the next one starts frozen.",
	}
	stateDir := stateDirFlag(c)
	length := c.Flags().Duration("for", 0, "how long, such as 2h; without it until unfrozen")
	reason := c.Flags().String("reason", "", "why, for people")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("for") && *length <= 0 {
			return &usageError{c.CommandPath(), errors.New("--for must be more than 0, such as 2h")}
		}
		var f fleet.Freeze
		err := dialAgent(*stateDir).do(c.Context(), http.MethodPost, "/v1/freeze?"+markValues(*length, *reason), &f)
		if errors.Is(err, errNoAgent) {
			f, err = freezeOffline(*stateDir, *length, *reason)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, freezeText(f))
		return nil
	}
	return c
}

func (a *app) unfreezeCommand() *cobra.Command {
	c := &cobra.Command{Use: "unfreeze", Short: "Let machines be created and removed again", Args: noArgs}
	stateDir := stateDirFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		err := dialAgent(*stateDir).do(c.Context(), http.MethodDelete, "/v1/freeze", nil)
		if errors.Is(err, errNoAgent) {
			err = withJournal(*stateDir, func(j *journal.Journal) error { return j.SetFreeze(fleet.Freeze{}) })
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out, "machines are created and removed again")
		return nil
	}
	return c
}

func (a *app) machineCordon(on bool) *cobra.Command {
	verb, short := "cordon", "Keep a machine, and keep it from new jobs"
	if !on {
		verb, short = "uncordon", "Let a machine have jobs again"
	}
	c := &cobra.Command{Use: verb + " NAME", Short: short, Args: oneArg("the machine's name")}
	if on {
		c.Long = "Keeps a machine from new jobs. A job that runs on it goes on. It stays until it is uncordoned, removed by hand, broken, or older\n" +
			"than max_machine_age; another one is made in its place where machines are wanted."
	}
	stateDir := stateDirFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		err := a.mark(c.Context(), *stateDir, args[0], verb, "", func(m *fleet.Machine) { m.Cordoned = on })
		if err == nil {
			fmt.Fprintf(a.out, "%s: %sed\n", args[0], verb)
		}
		return err
	}
	return c
}

func (a *app) machineHold() *cobra.Command {
	c := &cobra.Command{
		Use: "hold NAME", Short: "Keep a machine for a look at it", Args: oneArg("the machine's name"),
		Long: "Keeps a machine for a look at it: it takes no new job and is not removed, worn out or broken as it may be, until the hold ends or\n" +
			"`millwright machine release`. A job that runs on it goes on. Held again, it is held until the new end.",
	}
	stateDir := stateDirFlag(c)
	length := c.Flags().Duration("for", defaultHold, "how long")
	reason := c.Flags().String("reason", "", "why, for people")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *length <= 0 {
			return &usageError{c.CommandPath(), errors.New("--for must be more than 0, such as 2h")}
		}
		h := fleet.Hold{Until: time.Now().Add(*length).Round(time.Second), Reason: *reason}
		err := a.mark(c.Context(), *stateDir, args[0], "hold", markValues(*length, *reason), func(m *fleet.Machine) { m.Hold = h })
		if err == nil {
			fmt.Fprintf(a.out, "%s: held until %s\n", args[0], h.Until.Local().Format(time.DateTime))
		}
		return err
	}
	return c
}

func (a *app) machineRelease() *cobra.Command {
	c := &cobra.Command{Use: "release NAME", Short: "End a machine's hold", Args: oneArg("the machine's name")}
	stateDir := stateDirFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		err := a.mark(c.Context(), *stateDir, args[0], "release", "", func(m *fleet.Machine) { m.Hold = fleet.Hold{} })
		if err == nil {
			fmt.Fprintf(a.out, "%s: released\n", args[0])
		}
		return err
	}
	return c
}

// mark has the running agent do something with a machine, or changes its record when no agent runs.
func (a *app) mark(ctx context.Context, stateDir, name, verb, query string, change func(*fleet.Machine)) error {
	err := dialAgent(stateDir).do(ctx, http.MethodPost, "/v1/machines/"+url.PathEscape(name)+"/"+verb+"?"+query, nil)
	if !errors.Is(err, errNoAgent) {
		return err
	}
	return withJournal(stateDir, func(j *journal.Journal) error {
		machines, _, err := j.Load()
		if err != nil {
			return err
		}
		chosen, err := choose(machines, []string{name})
		if err != nil {
			return err
		}
		m := chosen[0]
		if m.State == fleet.Removing {
			return fmt.Errorf("machine %s: %w", name, pool.ErrRemoving)
		}
		change(&m)
		return j.Save(m)
	})
}

func withJournal(stateDir string, do func(*journal.Journal) error) error {
	j, err := journal.Open(stateDir)
	if err != nil {
		return err
	}
	return errors.Join(do(j), j.Close())
}

func freezeOffline(stateDir string, length time.Duration, reason string) (fleet.Freeze, error) {
	f := fleet.Freeze{Since: time.Now().Round(time.Second), Reason: reason}
	if length > 0 {
		f.Until = f.Since.Add(length)
	}
	return f, withJournal(stateDir, func(j *journal.Journal) error { return j.SetFreeze(f) })
}

// markValues are the parameters of a freeze or a hold.
func markValues(length time.Duration, reason string) string {
	v := url.Values{}
	if length > 0 {
		v.Set("for", length.String())
	}
	if reason != "" {
		v.Set("reason", reason)
	}
	return v.Encode()
}

func freezeText(f fleet.Freeze) string {
	text := "frozen since " + f.Since.Local().Format(time.DateTime)
	if f.Until.IsZero() {
		text += ", until `millwright unfreeze`"
	} else {
		text += ", until " + f.Until.Local().Format(time.DateTime)
	}
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	return text
}

// condition is a machine's state, with what the operator said of it.
func condition(m supervisor.Machine) string {
	text := string(m.State)
	if m.Phase != "" {
		text += " (" + m.Phase + ")"
	}
	if m.Cordoned {
		text += ",cordoned"
	}
	if !m.HeldUntil.IsZero() {
		text += ",held until " + m.HeldUntil.Local().Format(time.DateTime)
	}
	return text
}

// printScaling prints what keeps machines from being created or removed now; nothing when nothing does.
func (a *app) printScaling(ctx context.Context, stateDir string, now time.Time) error {
	var s supervisor.Scaling
	err := dialAgent(stateDir).do(ctx, http.MethodGet, "/v1/scaling", &s)
	if errors.Is(err, errNoAgent) {
		if f, _ := journal.ReadFreeze(stateDir); f.Active(now) {
			fmt.Fprintln(a.out, freezeText(f))
		}
		return nil
	}
	if err != nil {
		return err
	}
	if s.Frozen != nil {
		fmt.Fprintln(a.out, freezeText(*s.Frozen))
	}
	for _, r := range s.Runners {
		a.printRunnerScaling(r, now)
	}
	for _, p := range s.Accounts {
		if p.PauseUntil.After(now) {
			fmt.Fprintf(a.out, "account %s: the provider wants no calls for %s; %d wait\n", p.Name, p.PauseUntil.Sub(now).Round(time.Second), p.Waiting)
		}
	}
	return nil
}

func (a *app) printRunnerScaling(r supervisor.RunnerScaling, now time.Time) {
	for _, b := range r.Backoffs {
		next := "one machine at a time is tried"
		if b.Until.After(now) {
			next = "next try in " + b.Until.Sub(now).Round(time.Second).String()
		}
		fmt.Fprintf(a.out, "runner %s: creation is %s after %d failures: %s; %s\n", r.Runner, r.Breaker, b.Failures, b.Error, next)
	}
	for _, name := range slices.Sorted(maps.Keys(r.PassedOver)) {
		fmt.Fprintf(a.out, "runner %s: passed over for %s, since the provider has none: %s\n", r.Runner, r.PassedOver[name].Sub(now).Round(time.Second), name)
	}
	for _, rail := range r.Rails {
		if rail.Cause != "frozen" && rail.Cause != "paused" && rail.Cause != "trial" {
			fmt.Fprintf(a.out, "runner %s: guard rail: %s: %d became %d: %s\n", r.Runner, rail.Name, rail.Wanted, rail.Got, rail.Reason)
		}
	}
}
