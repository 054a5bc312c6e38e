package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/supervisor"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Look at scaling policies, explain their decisions, make new ones and try them out", Args: noArgs}
	c.AddCommand(a.moduleLs(abi.KindPolicy), a.policyExplain(), a.policyReload(), a.moduleRollback(abi.KindPolicy),
		a.moduleNew(abi.KindPolicy), a.moduleInspect(abi.KindPolicy), a.policyRun(), a.policyTest(), a.policyBench())
	return c
}

// oneArg wants exactly one argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &usageError{c.CommandPath(), fmt.Errorf("%s takes one argument, %s", c.CommandPath(), what)}
		}
		return nil
	}
}

// folderOf is the kind's part of a path on agent.sock, and of the commands' words.
var folderOf = map[string]string{abi.KindPolicy: "policies", abi.KindDriver: "drivers"}

func (a *app) moduleLs(kind string) *cobra.Command {
	c := &cobra.Command{
		Use: "ls", Short: "List the " + folderOf[kind] + " of the running agent", Args: noArgs,
		Long: "Lists the " + folderOf[kind] + " of the running agent, how they fare, and why a file is not used.",
	}
	if kind == abi.KindDriver {
		c.Short = "List the drivers that there are"
		c.Long += "\nWithout an agent they are those that one would have: the built-in ones, those of the folder drivers.d, and docker-machine's\n" +
			"plug-ins on the PATH."
	}
	stateDir := stateDirFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		list, err := dialAgent(*stateDir).modules(c.Context(), http.MethodGet, "")
		if errors.Is(err, errNoAgent) && kind == abi.KindDriver {
			list, err = a.driversHere(c, *stateDir)
		}
		if err != nil {
			return err
		}
		list.Modules = slices.DeleteFunc(list.Modules, func(s dropin.Status) bool { return s.Kind != kind })
		if *asJSON {
			return a.printJSON(list)
		}
		return a.printModules(list, time.Now())
	}
	return c
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printModules prints a table, and below it what there is to say of single modules.
func (a *app) printModules(list supervisor.ModuleList, now time.Time) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	drivers := !slices.ContainsFunc(list.Modules, func(s dropin.Status) bool { return s.Kind != abi.KindDriver })
	if drivers {
		fmt.Fprint(w, "KIND\t")
	}
	fmt.Fprintln(w, "NAME\tSTATE\tGENERATION\tVERSION\tABI\tPOSITION\tRUNNERS\tCALLS\tERRORS\tMEAN\tFUEL\tSINCE\tSHA256\tLAST REASON")
	for _, m := range list.Modules {
		generation, since := "built in", "-"
		switch {
		case m.Form == dropin.FormNative || m.Form == dropin.FormPlugin:
			generation = "-"
		case !m.Builtin:
			generation = fmt.Sprint(m.Generation)
		}
		if !m.Since.IsZero() {
			since = now.Sub(m.Since).Round(time.Second).String()
		}
		position, runners := fmt.Sprint(m.Position), cmp.Or(strings.Join(m.Runners, ","), "all")
		if m.Kind == abi.KindDriver {
			position, runners = "-", "-"
		}
		if drivers {
			fmt.Fprint(w, dash(m.Form)+"\t")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%.2f ms\t%.0f\t%s\t%s\t%s\n", m.Name, moduleState(m), generation, dash(m.Version), version(m.ABI), position, runners,
			m.Calls, m.Errors, m.MeanMS, m.MeanFuel, since, dash(m.SHA256[:min(len(m.SHA256), 12)]), dash(lastReason(m)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, m := range list.Modules {
		if m.Refused != "" {
			fmt.Fprintf(a.out, "\n%s: the file is not used: %s\n", m.Name, m.Refused)
		}
		for _, runner := range slices.Sorted(maps.Keys(m.Failing)) {
			fmt.Fprintf(a.out, "\n%s: skipped for the runner %s: %s\n", m.Name, runner, m.Failing[runner])
		}
		if m.ObserveErr != "" {
			fmt.Fprintf(a.out, "\n%s: observes nothing: %s\n", m.Name, m.ObserveErr)
		}
	}
	for _, p := range list.Problems {
		fmt.Fprintf(a.out, "\n%s\n", p)
	}
	return nil
}

// version is that of the ABI, which nobody knows before a module is loaded.
func version(abi int) string {
	if abi == 0 {
		return "-"
	}
	return fmt.Sprint(abi)
}

// lastReason is what a policy said last; of several runners, with their names.
func lastReason(m dropin.Status) string {
	var out []string
	for _, runner := range slices.Sorted(maps.Keys(m.Reasons)) {
		reason := m.Reasons[runner]
		if len(m.Reasons) > 1 {
			reason = runner + ": " + reason
		}
		out = append(out, reason)
	}
	return strings.Join(out, "; ")
}

// moduleState says in a word or two how a module fares.
func moduleState(m dropin.Status) string {
	switch {
	case !m.Loaded && m.Builtin:
		return "not used"
	case !m.Loaded:
		return "refused"
	case len(m.Quarantined) > 0:
		return "quarantined"
	case len(m.Failing) > 0:
		return "failing"
	case m.Shadow:
		return "shadow"
	case m.Kept:
		return "kept"
	case m.Refused != "":
		return "old one"
	}
	return "works"
}

func (a *app) policyReload() *cobra.Command {
	c := &cobra.Command{
		Use: "reload", Short: "Make the running agent read all modules and grants again", Args: noArgs,
		Long: "Makes the running agent read every module and what is granted again, as if all had changed, and ends all quarantines.\n" +
			"Changed files are read without it.",
	}
	stateDir := stateDirFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		list, err := dialAgent(*stateDir).modules(c.Context(), http.MethodPost, "/reload")
		if err != nil {
			return err
		}
		return a.printModules(list, time.Now())
	}
	return c
}

func (a *app) moduleRollback(kind string) *cobra.Command {
	c := &cobra.Command{
		Use: "rollback NAME", Short: "Go back to the generation of a " + kind + " before the present one", Args: oneArg("the module's name"),
		Long: "Puts the generation before the present one to work, until the module's file changes, also over restarts of the agent.",
	}
	stateDir := stateDirFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var answer struct {
			Generation int `json:"generation"`
		}
		path := "/v1/" + folderOf[kind] + "/" + url.PathEscape(args[0]) + "/rollback"
		if err := dialAgent(*stateDir).do(c.Context(), http.MethodPost, path, &answer); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%s: generation %d works; the file is used again when it changes\n", args[0], answer.Generation)
		return nil
	}
	return c
}

func (c *agentClient) modules(ctx context.Context, method, path string) (supervisor.ModuleList, error) {
	var list supervisor.ModuleList
	return list, c.do(ctx, method, "/v1/modules"+path, &list)
}

func (a *app) policyExplain() *cobra.Command {
	c := &cobra.Command{
		Use: "explain [RUNNER]", Short: "Show the last decisions: what each policy proposed, what became of it, and why",
		Long: "Shows the last decisions of the running agent, for each runner with machines or for one: how many idle machines are wanted, what each policy\n" +
			"proposed and why, those in shadow too, and what the guard rails changed. Decisions that say the same are told once, with their times.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{c.CommandPath(), fmt.Errorf("%s takes one runner's name at most", c.CommandPath())}
			}
			return nil
		},
	}
	stateDir := stateDirFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	last := c.Flags().IntP("last", "n", 5, "how many decisions")
	c.RunE = func(c *cobra.Command, args []string) error {
		runner := strings.Join(args, "")
		var all []supervisor.Explanation
		agent := dialAgent(*stateDir)
		if err := agent.do(c.Context(), http.MethodGet, "/v1/policies/explain?runner="+url.QueryEscape(runner), &all); err != nil {
			return err
		}
		if len(all) == 0 {
			return agent.noRunner(c.Context(), runner)
		}
		for i := range all {
			d := all[i].Decisions
			all[i].Decisions = d[max(len(d)-max(*last, 1), 0):]
		}
		if *asJSON {
			return a.printJSON(all)
		}
		for _, e := range all {
			a.printExplanation(e)
		}
		return nil
	}
	return c
}

// noRunner says which runners there are to explain.
func (c *agentClient) noRunner(ctx context.Context, name string) error {
	var all []supervisor.Explanation
	if err := c.do(ctx, http.MethodGet, "/v1/policies/explain", &all); err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("policies decide for no runner; they do for those whose executor makes machines, as docker+machine")
	}
	names := make([]string, 0, len(all))
	for _, e := range all {
		names = append(names, e.Runner)
	}
	return fmt.Errorf("policies decide for no runner %q; they do for %s", name, strings.Join(names, ", "))
}

func (a *app) printExplanation(e supervisor.Explanation) {
	n := e.Counts
	fmt.Fprintf(a.out, "runner %s: %d machines: %d creating, %d idle, %d acquired, %d used, %d removing\n",
		e.Runner, n.Total, n.Creating, n.Idle, n.Acquired, n.Used, n.Removing+n.Stuck)
	for _, d := range e.Decisions {
		fmt.Fprintf(a.out, "\n%s", d.First.Local().Format(time.DateTime))
		if d.Times > 1 {
			fmt.Fprintf(a.out, " to %s, %d times", d.Last.Local().Format(time.TimeOnly), d.Times)
		}
		fmt.Fprintf(a.out, ": %d %s wanted: %s\n", d.IdleTarget, wished(d), d.Reason)
		for _, s := range d.Steps {
			fmt.Fprintf(a.out, "  %-14s %s\n", s.Policy, stepText(s))
		}
		for _, s := range d.Shadows {
			fmt.Fprintf(a.out, "  %-14s (shadow) %s\n", s.Policy, stepText(s))
		}
		for _, r := range d.Rails {
			fmt.Fprintf(a.out, "  guard rail     %s: %d became %d: %s\n", r.Name, r.Wanted, r.Got, r.Reason)
		}
	}
}

// stepText is what one policy proposed, in a line.
func stepText(s supervisor.StepView) string {
	if s.Error != "" {
		return "skipped: " + s.Error
	}
	text := proposalText(s.Proposal)
	if r := s.Proposal.Reason; r != "" {
		text += ": " + r
	}
	return fmt.Sprintf("%s (%.1f ms, fuel %d)", text, s.TookMS, s.Fuel)
}

// wished is what a decision's target counts.
func wished(d supervisor.DecisionView) string {
	if slices.ContainsFunc(d.Steps, func(s supervisor.StepView) bool { return s.Proposal.IdleSlots != nil }) {
		return "free slots"
	}
	return "idle machines"
}

// proposalText is what a proposal asks for, in a line, without its reason.
func proposalText(p abi.Proposal) string {
	var parts []string
	number := func(name string, n *int) {
		if n != nil {
			parts = append(parts, fmt.Sprintf("%s %d", name, *n))
		}
	}
	if t := p.Settings; t != nil {
		number("idle_count", t.IdleCount)
		number("idle_count_min", t.IdleCountMin)
		if t.IdleScaleFactor != nil {
			parts = append(parts, fmt.Sprintf("idle_scale_factor %g", *t.IdleScaleFactor))
		}
		if t.IdleTimeS != nil {
			parts = append(parts, fmt.Sprintf("idle_time_s %d", *t.IdleTimeS))
		}
	}
	number("idle_target", p.IdleTarget)
	number("idle_slots", p.IdleSlots)
	if p.Preemptive != nil {
		parts = append(parts, fmt.Sprintf("preemptive %v", *p.Preemptive))
	}
	number("growth_limit", p.GrowthLimit)
	if p.NoGrowth {
		parts = append(parts, "no growth")
	}
	number("max_builds", p.MaxBuilds)
	if len(p.Remove) > 0 {
		parts = append(parts, fmt.Sprintf("remove %d machines", len(p.Remove)))
	}
	for _, name := range slices.Sorted(maps.Keys(p.NextMachine)) {
		parts = append(parts, fmt.Sprintf("next machine %s=%s", name, strings.Join(p.NextMachine[name], ",")))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Metrics)) {
		parts = append(parts, fmt.Sprintf("%s=%g", name, p.Metrics[name]))
	}
	return cmp.Or(strings.Join(parts, ", "), "nothing")
}
