// Package policies_test builds each example policy from scratch and runs it as the agent would: on its cases, which its own test runs too, on the
// snapshots that all SDKs must read, and with the settings that lie beside it.
package policies_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	rust           = "sdk/rust/build.sh"
	assemblyScript = "sdk/assemblyscript/build.sh"
	c              = "examples/policies/c-minimal/build.sh"
)

// scripts say how the examples are built; "" is Go.
var scripts = map[string]string{
	"billing-hour": assemblyScript,
	"budget":       assemblyScript,
	"c-minimal":    c,
	"cooldown":     rust,
	"holidays":     "",
	"prediction":   rust,
	"queue-depth":  "",
	"spot":         rust,
}

func TestExamples(t *testing.T) {
	folders, err := filepath.Glob("*/cases")
	if err != nil || len(folders) != len(scripts) {
		t.Errorf("%d folders with cases, and %d are tested: %v, %v", len(folders), len(scripts), folders, err)
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := build(t, name)
			t.Run("cases", func(t *testing.T) { cases(t, m, name) })
			t.Run("vectors", func(t *testing.T) { vectors(t, m, script == c) })
			t.Run("settings", func(t *testing.T) { settings(t, m, name) })
		})
	}
}

// build compiles an example and loads it without any grant.
func build(t *testing.T, name string) *module.Module {
	t.Helper()
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{Name: name, Wasm: wasm(t, name)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// built is a module that several tests use.
type built struct {
	mu   sync.Mutex // guards wasm; held while it is built
	wasm []byte
}

// modules are all of them, by name.
var modules = func() map[string]*built {
	out := map[string]*built{}
	for name := range scripts {
		out[name] = &built{}
	}
	return out
}()

// wasm returns an example's module, which is built from scratch when it is asked for first.
func wasm(t *testing.T, name string) []byte {
	t.Helper()
	b := modules[name]
	b.mu.Lock()
	defer b.mu.Unlock()
	if folder := "examples/policies/" + name; b.wasm == nil && scripts[name] == "" {
		b.wasm = moduletest.Guest(t, folder)
	} else if b.wasm == nil {
		b.wasm = moduletest.Script(t, scripts[name], folder)
	}
	return b.wasm
}

// testCase is one entry of cases/*.json.
type testCase struct {
	About  string
	Export string
	Input  json.RawMessage
	Output json.RawMessage
	Error  string
}

// cases runs what lies in the example's folder.
func cases(t *testing.T, m *module.Module, name string) {
	files, err := filepath.Glob(filepath.Join(name, "cases", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all []testCase
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, tc := range all {
			t.Run(tc.About, func(t *testing.T) { tc.run(t, m) })
		}
	}
}

func (tc testCase) run(t *testing.T, m *module.Module) {
	export := tc.Export
	if export == "" {
		export = abi.ExportDecide
	}
	out, err := twice(t, m, export, tc.Input)
	if tc.Error != "" {
		if err == nil || !strings.Contains(err.Error(), tc.Error) {
			t.Errorf("got %s, %v; want the error %q", out, err, tc.Error)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(tc.Output, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// twice calls an export two times and wants the same answer, and never a crash.
func twice(t *testing.T, m *module.Module, export string, input []byte) ([]byte, error) {
	t.Helper()
	out, err := m.Call(t.Context(), export, input)
	again, errAgain := m.Call(t.Context(), export, input)
	if string(out) != string(again) || (err == nil) != (errAgain == nil) {
		t.Errorf("the same input gave %s, %v, and then %s, %v", out, err, again, errAgain)
	}
	var fault *module.Error
	if errors.As(err, &fault) && fault.Cause != module.CauseReported {
		t.Errorf("%s crashed on %.200s: %v", export, input, err)
	}
	return out, err
}

// vectors runs decide on every snapshot of hostfuncs/vectors/codec. Valid ones give a proposal or a reported failure, all others a reported failure; an
// example that reads no more than it needs may take those for good.
func vectors(t *testing.T, m *module.Module, lenient bool) {
	data, err := os.ReadFile(moduletest.Path("hostfuncs/vectors/codec/snapshot.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name, Input string
		Valid       bool
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		out, err := twice(t, m, abi.ExportDecide, []byte(v.Input))
		if !v.Valid && err == nil && !lenient {
			t.Errorf("%s: got %s, want a failure", v.Name, out)
		}
		var p abi.Proposal
		if err == nil {
			if err := json.Unmarshal(out, &p); err != nil {
				t.Errorf("%s: no proposal: %s: %v", v.Name, out, err)
			}
		}
	}
}

// settings checks the NAME.toml beside the source: the agent reads it and the module accepts its configuration.
func settings(t *testing.T, m *module.Module, name string) {
	file := filepath.Join(name, name+".toml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, diagnostics := config.ParseModuleFile(file, data)
	if len(diagnostics) > 0 {
		t.Fatal(diagnostics)
	}
	own, err := s.ConfigJSON()
	if err != nil {
		t.Fatal(err)
	}
	if !m.Exports(abi.ExportValidate) {
		return
	}
	input, err := json.Marshal(abi.ValidateRequest{ABI: abi.Version, Config: own})
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Call(t.Context(), abi.ExportValidate, input)
	if err != nil || string(out) != `{"problems":[]}` {
		t.Errorf("%s: %s, %v", file, out, err)
	}
}
