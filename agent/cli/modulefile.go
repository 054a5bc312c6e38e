package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/configschema"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
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

var knownExports = []string{abi.ExportDescribe, abi.ExportValidate, abi.ExportDecide, abi.ExportObserve, abi.ExportCreate, abi.ExportList,
	abi.ExportRemove, abi.ExportCheck, abi.ExportStart, abi.ExportStop, abi.ExportRestart, abi.ExportKill, abi.ExportLogs}

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
		row("position", fmt.Sprint(cmp.Or(i.Position, module.DefaultPosition)))
		row("machines", map[bool]string{true: "wants the list", false: "-"}[i.WantMachines])
		if h := i.WantHistory; h != nil {
			row("history", fmt.Sprintf("wants %d steps of %d s", h.Points, h.StepS))
		}
	} else {
		row("options", fmt.Sprint(len(i.Options)))
	}
	row("size", fmt.Sprintf("%d KB", (i.Bytes+1023)/1024))
	row("sha256", i.SHA256)
	if err := w.Flush(); err != nil {
		return err
	}
	schema, err := configschema.Parse(i.ConfigSchema)
	if err != nil || schema == nil {
		return err
	}
	fmt.Fprint(a.out, "\n[config] of NAME.toml:\n\n")
	row("KEY", "ALLOWED\tDEFAULT\tMEANING")
	for _, k := range schema.Keys() {
		row(rules.Sentence(k.Path), rules.Sentence(k.Allowed)+"\t"+dash(rules.Sentence(k.Default))+"\t"+dash(rules.Sentence(k.About)))
	}
	return w.Flush()
}

// ownConfig is what the operator tells a module, from the command line.
type ownConfig struct{ path *string }

// configFileFlag names a module's own configuration. Without it a module gets that of the NAME.toml beside it, as in the agent.
func configFileFlag(c *cobra.Command) ownConfig {
	return ownConfig{c.Flags().String("module-config", "", "NAME.toml, or a JSON file with the module's own configuration; NAME.toml beside FILE without it")}
}

// read returns the configuration of the module in file, and where it comes from; nothing when there is none.
func (o ownConfig) read(file string) (own abi.Raw, from string, err error) {
	from = *o.path
	if from == "" {
		from = strings.TrimSuffix(file, filepath.Ext(file)) + ".toml"
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			return nil, "", nil
		}
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return nil, from, err
	}
	if filepath.Ext(from) != ".toml" {
		if !json.Valid(data) {
			err = fmt.Errorf("%s: is no JSON", from)
		}
		return abi.Raw(data), from, err
	}
	settings, diagnostics := config.ParseModuleFile(from, data)
	for _, d := range diagnostics { // the agent refuses an unknown key too
		return nil, from, errors.New(d.String())
	}
	if own, err = settings.ConfigJSON(); err != nil {
		err = fmt.Errorf("%s: %w", from, err)
	}
	return own, from, err
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
			s, err := own.snapshot(*path, c.InOrStdin(), args[0], m.Describe())
			if err != nil {
				return err
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

// snapshot is what a policy is asked on, with its own configuration: that of the flag, else what the snapshot holds, else what lies beside file.
func (o ownConfig) snapshot(path string, stdin io.Reader, file string, d abi.Describe) (abi.Snapshot, error) {
	s, err := readSnapshot(path, stdin, d)
	if err != nil || *o.path == "" && len(s.Config) > 0 {
		return s, err
	}
	s.Config, _, err = o.read(file)
	return s, err
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
