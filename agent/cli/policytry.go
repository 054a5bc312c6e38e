package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/trial"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func (a *app) policyTest() *cobra.Command {
	c := &cobra.Command{
		Use: "test FILE", Short: "Check that a policy is valid, deterministic, in time and in memory", Args: oneArg("a .wasm file"),
		Long: "Loads a policy as the agent would, has it check its configuration, and asks it on snapshots of ordinary and of odd days: its answers\n" +
			"must be proposals of the ABI, the same to the byte whenever it is asked, well within the deadline and the memory that policies have.\n" +
			"It shows what the guard rails would change of each proposal, and why. With --vectors it is also held to examples: docs/modules.md\n" +
			"gives their form. The exit code is 1 when anything fails.",
	}
	vectors := c.Flags().String("vectors", "", "folder of JSON files with inputs and what must come of them")
	observed := c.Flags().String("observed", "", "JSON file with what the policy's observe would have returned a minute ago")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	own := configFileFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		o := trial.Options{Vectors: *vectors}
		var from string
		var err error
		if o.Config, from, err = own.read(args[0]); err != nil {
			return err
		}
		if *observed != "" {
			if o.Observed, err = os.ReadFile(*observed); err == nil && !json.Valid(o.Observed) {
				err = fmt.Errorf("%s: is no JSON", *observed)
			}
			if err != nil {
				return err
			}
		}
		return a.withModule(c.Context(), args[0], func(m *module.Module, _ []byte) error {
			if err := wantKind(m, abi.KindPolicy); err != nil {
				return err
			}
			report, err := trial.Policy(c.Context(), m, o)
			if err != nil {
				return err
			}
			if *asJSON {
				err = a.printJSON(report)
			} else {
				err = a.printReport(report, from)
			}
			if err == nil && report.Failed() {
				err = errSilent
			}
			return err
		})
	}
	return c
}

// printReport prints the checks, and below them what would become of each proposal.
func (a *app) printReport(r trial.Report, config string) error {
	if config != "" {
		fmt.Fprintf(a.out, "configuration: %s\n", filepath.Base(config))
	}
	for _, c := range r.Checks {
		if c.Failed != "" {
			fmt.Fprintf(a.out, "FAIL  %s: %s\n", c.What, c.Failed)
		} else {
			fmt.Fprintf(a.out, "ok    %s%s\n", c.What, because(c.Detail))
		}
	}
	if len(r.Outcomes) == 0 {
		return nil
	}
	fmt.Fprintln(a.out, "\nWith the guard rails of the snapshot's runner:")
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SNAPSHOT\tPROPOSES\tGUARD RAILS\tREASON")
	for _, o := range r.Outcomes {
		row := []string{o.Snapshot, proposalText(o.Proposal), "-", dash(o.Proposal.Reason)}
		if o.Error != "" {
			row = []string{o.Snapshot, "nothing, and is skipped", "-", o.Error}
		}
		for _, rail := range o.Rails {
			row[2] = fmt.Sprintf("%s: %d became %d: %s", rail.Name, rail.Wanted, rail.Got, rail.Reason)
			fmt.Fprintln(w, strings.Join(row, "\t"))
			row = []string{"", "", "", ""}
		}
		if len(o.Rails) == 0 {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
	}
	return w.Flush()
}

func (a *app) policyBench() *cobra.Command {
	c := &cobra.Command{
		Use: "bench FILE", Short: "Measure how long a policy's decisions take", Args: oneArg("a .wasm file"),
		Long: "Asks a policy again and again, in one instance, and prints how long it took, its fuel (about one for each instruction of the guest,\n" +
			"the same on every machine), and the memory of the instance in pages of 64 KB. Pages that still grow\n" +
			"in the second half are a leak.",
	}
	n := c.Flags().IntP("number", "n", 1000, "decisions")
	path := c.Flags().String("snapshot", "", "JSON file; an ordinary day without one")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	own := configFileFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		begin := time.Now()
		return a.withModule(c.Context(), args[0], func(m *module.Module, wasm []byte) error {
			if err := wantKind(m, abi.KindPolicy); err != nil {
				return err
			}
			loaded := time.Since(begin)
			s, err := own.snapshot(*path, c.InOrStdin(), args[0], m.Describe())
			if err != nil {
				return err
			}
			input, err := json.Marshal(s)
			if err != nil {
				return err
			}
			f, err := trial.Bench(c.Context(), m, input, *n)
			if err != nil {
				return err
			}
			if *asJSON {
				return a.printJSON(f)
			}
			fmt.Fprintf(a.out, "%d KB loaded in %s, the snapshot has %d bytes\n", (len(wasm)+1023)/1024, loaded.Round(time.Millisecond), len(input))
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "DECISIONS\tP50\tP95\tMAX\tFUEL\tPAGES\tPAGES PER CALL")
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%.3g\n", f.Calls, f.P50.Round(time.Microsecond), f.P95.Round(time.Microsecond),
				f.Max.Round(time.Microsecond), f.Fuel, f.Pages, f.PagesPerCall)
			return w.Flush()
		})
	}
	return c
}
