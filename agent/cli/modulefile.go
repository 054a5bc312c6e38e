package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/sample"
)

// withModule loads a file as the agent would, with nothing granted, and works with it.
func (a *app) withModule(ctx context.Context, path string, work func(*module.Module, []byte) error) error {
	wasm, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	host, err := module.NewHost(module.Options{Logger: a.quietLogger()})
	if err != nil {
		return err
	}
	defer host.Close(context.WithoutCancel(ctx))
	m, err := host.Load(ctx, module.Source{Name: path, Wasm: wasm})
	if err != nil {
		return err
	}
	return work(m, wasm)
}

// wantKind refuses a module of another kind.
func wantKind(m *module.Module, kind string) error {
	if d := m.Describe(); d.Kind != kind {
		return fmt.Errorf("module %s: is a %s; see `millwright %s --help`", d.Name, d.Kind, d.Kind)
	}
	return nil
}

// inspection is what a module's file is.
type inspection struct {
	abi.Describe
	SHA256  string   `json:"sha256"`
	Bytes   int      `json:"bytes"`
	Exports []string `json:"exports"`
}

var knownExports = []string{abi.ExportDescribe, abi.ExportValidate, abi.ExportDecide, abi.ExportObserve, abi.ExportCreate, abi.ExportList, abi.ExportRemove}

func (a *app) moduleInspect(kind string) *cobra.Command {
	c := &cobra.Command{Use: "inspect FILE", Short: "Say what a " + kind + "'s file is: exports, ABI, wishes, size, hash", Args: oneArg("a .wasm file")}
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.withModule(c.Context(), args[0], func(m *module.Module, wasm []byte) error {
			if err := wantKind(m, kind); err != nil {
				return err
			}
			i := inspection{Describe: m.Describe(), SHA256: m.Hash(), Bytes: len(wasm)}
			for _, name := range knownExports {
				if m.Exports(name) {
					i.Exports = append(i.Exports, name)
				}
			}
			if *asJSON {
				return a.printJSON(i)
			}
			return a.printInspection(i)
		})
	}
	return c
}

func (a *app) printInspection(i inspection) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
	row("name", i.Name)
	row("kind", i.Kind)
	row("version", dash(i.Version))
	row("summary", dash(i.Summary))
	row("abi", fmt.Sprint(i.ABI))
	row("exports", strings.Join(i.Exports, ", "))
	row("hostnames", cmp.Or(strings.Join(i.Hostnames, ", "), "none: it can only compute"))
	if i.Kind == abi.KindPolicy {
		row("position", fmt.Sprint(cmp.Or(i.Position, 100)))
		row("machines", map[bool]string{true: "wants the list", false: "-"}[i.WantMachines])
		if h := i.WantHistory; h != nil {
			row("history", fmt.Sprintf("wants %d steps of %d s", h.Points, h.StepS))
		}
	} else {
		row("options", fmt.Sprint(len(i.Options)))
	}
	row("size", fmt.Sprintf("%d KB", (i.Bytes+1023)/1024))
	row("sha256", i.SHA256)
	return w.Flush()
}

// configFileFlag is a module's own configuration, as JSON.
func configFileFlag(c *cobra.Command) func() (abi.Raw, error) {
	path := c.Flags().String("module-config", "", "JSON file with the module's own configuration")
	return func() (abi.Raw, error) {
		if *path == "" {
			return nil, nil
		}
		data, err := os.ReadFile(*path)
		if err == nil && !json.Valid(data) {
			err = fmt.Errorf("%s: is no JSON", *path)
		}
		return abi.Raw(data), err
	}
}

func (a *app) policyRun() *cobra.Command {
	c := &cobra.Command{
		Use: "run FILE --snapshot S.json", Short: "Ask a policy for one decision", Args: oneArg("a .wasm file"),
		Long: "Asks a policy for one decision on a snapshot, a JSON file as hostfuncs/ABI.md describes it; - reads it from standard input,\n" +
			"and without one the policy is asked on an ordinary day.",
	}
	path := c.Flags().String("snapshot", "", "JSON file")
	own := configFileFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.withModule(c.Context(), args[0], func(m *module.Module, _ []byte) error {
			if err := wantKind(m, abi.KindPolicy); err != nil {
				return err
			}
			s, err := readSnapshot(*path, c.InOrStdin(), m.Describe())
			if err != nil {
				return err
			}
			config, err := own()
			if err != nil {
				return err
			}
			if config != nil {
				s.Config = config
			}
			p, err := module.Propose(c.Context(), m, s)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.err, cmp.Or(p.Reason, "it gives no reason"))
			return a.printJSON(p)
		})
	}
	return c
}

func readSnapshot(path string, stdin io.Reader, d abi.Describe) (abi.Snapshot, error) {
	var s abi.Snapshot
	var data []byte
	var err error
	switch path {
	case "":
		return sample.Day(d), nil
	case "-":
		data, err = io.ReadAll(io.LimitReader(stdin, 16<<20))
	default:
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s: is no snapshot: %w", path, err)
	}
	return s, nil
}

// Of policy test: how often a policy is asked, and what share of its deadline a decision may take.
const (
	testCalls = 200
	testShare = 4
)

func (a *app) policyTest() *cobra.Command {
	c := &cobra.Command{
		Use: "test FILE", Short: "Check that a policy is valid, deterministic, in time and in memory", Args: oneArg("a .wasm file"),
		Long: "Loads a policy as the agent would, has it check its configuration, and asks it many times on an ordinary day: its answers must\n" +
			"be proposals of the ABI, the same to the byte, well within the deadline and the memory that policies have.",
	}
	own := configFileFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		failed := false
		report := func(what string, err error, detail string) {
			if err != nil {
				failed = true
				fmt.Fprintf(a.out, "FAIL  %s: %v\n", what, err)
				return
			}
			fmt.Fprintf(a.out, "ok    %s%s\n", what, because(detail))
		}
		config, err := own()
		if err != nil {
			return err
		}
		err = a.withModule(c.Context(), args[0], func(m *module.Module, _ []byte) error {
			if err := wantKind(m, abi.KindPolicy); err != nil {
				return err
			}
			d := m.Describe()
			report("loads", nil, fmt.Sprintf("%s %s, ABI %d", d.Name, d.Version, d.ABI))
			problems, err := module.Validate(c.Context(), m, config)
			for _, p := range problems {
				if !p.Warning {
					err = fmt.Errorf("%s: %s", p.Option, p.Message)
				}
			}
			report("configuration", err, "")
			slowest, err := repeat(c.Context(), m, config)
			report(fmt.Sprintf("%d decisions, valid, the same and in memory", testCalls), err, "")
			limit := decideTime / testShare
			if err == nil && slowest > limit {
				err = fmt.Errorf("the slowest decision took %s; keep it under %s, a quarter of its deadline", slowest.Round(time.Microsecond), limit)
				report("in time", err, "")
			} else if err == nil {
				report("in time", nil, fmt.Sprintf("the slowest decision took %s", slowest.Round(time.Microsecond)))
			}
			return nil
		})
		if err == nil && failed {
			err = errSilent
		}
		return err
	}
	return c
}

// decideTime is the deadline of a decision in an agent without other orders.
const decideTime = 2 * time.Second

// repeat asks a policy again and again the same thing and returns the longest time.
func repeat(ctx context.Context, m *module.Module, config abi.Raw) (time.Duration, error) {
	s := sample.Day(m.Describe())
	s.Config = config
	input, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	if _, err := module.Propose(ctx, m, s); err != nil {
		return 0, err
	}
	var first []byte
	var slowest time.Duration
	for i := range testCalls {
		start := time.Now()
		out, err := m.Call(ctx, abi.ExportDecide, input)
		if err != nil {
			return 0, fmt.Errorf("decision %d: %w", i+1, err)
		}
		slowest = max(slowest, time.Since(start))
		if first == nil {
			first = bytes.Clone(out)
		}
		if !bytes.Equal(first, out) {
			return 0, fmt.Errorf("decision %d on the same snapshot differs: %s, before %s", i+1, out, first)
		}
	}
	return slowest, nil
}

func (a *app) policyBench() *cobra.Command {
	c := &cobra.Command{Use: "bench FILE", Short: "Measure how long a policy's decisions take", Args: oneArg("a .wasm file")}
	n := c.Flags().IntP("number", "n", 1000, "decisions")
	path := c.Flags().String("snapshot", "", "JSON file; an ordinary day without one")
	own := configFileFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		begin := time.Now()
		return a.withModule(c.Context(), args[0], func(m *module.Module, _ []byte) error {
			if err := wantKind(m, abi.KindPolicy); err != nil {
				return err
			}
			loaded := time.Since(begin)
			s, err := readSnapshot(*path, c.InOrStdin(), m.Describe())
			if err != nil {
				return err
			}
			if s.Config, err = own(); err != nil {
				return err
			}
			input, err := json.Marshal(s)
			if err != nil {
				return err
			}
			times := make([]time.Duration, max(*n, 1))
			for i := range times {
				start := time.Now()
				if _, err := m.Call(c.Context(), abi.ExportDecide, input); err != nil {
					return err
				}
				times[i] = time.Since(start)
			}
			slices.Sort(times)
			at := func(share float64) time.Duration {
				return times[int(share*float64(len(times)-1))].Round(time.Microsecond)
			}
			fmt.Fprintf(a.out, "loaded in %s; %d decisions on %d bytes: p50 %s, p95 %s, p99 %s, slowest %s\n",
				loaded.Round(time.Millisecond), len(times), len(input), at(0.5), at(0.95), at(0.99), at(1))
			return nil
		})
	}
	return c
}
