package kernel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module/meter"
	"github.com/millwright-ci/millwright/agent/module/meter/kernel"
	"github.com/millwright-ci/millwright/agent/module/meter/kernel/kerneltest"
	"github.com/millwright-ci/millwright/hostfuncs"
)

// start starts a guest, with this kernel or with Extism's.
func start(t testing.TB, wasm []byte, ours bool) plugin {
	t.Helper()
	cache, err := wazero.NewCompilationCacheWithDir(guests.CompilationCache(t))
	if err != nil {
		t.Fatal(err)
	}
	o := meter.Options{}
	if ours {
		o.Rename = map[string]string{kernel.Guest: kernel.Namespace}
	}
	metered, err := meter.Rewrite(wasm, o)
	if err != nil {
		t.Fatal(err)
	}
	manifest := extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: metered}}, Memory: &extism.ManifestMemory{MaxPages: 512}}
	config := extism.PluginConfig{RuntimeConfig: wazero.NewRuntimeConfig().WithCompilationCache(cache), EnableWasi: true}
	functions := slices.Concat(hostfuncs.Table(), kernel.Functions(), []extism.HostFunction{meter.HostFunction()})
	guest := &kerneltest.Guest{}
	if !ours {
		functions = guest.Replace(functions)
	}
	compiled, err := extism.NewCompiledPlugin(t.Context(), manifest, config, functions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := compiled.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p, err := compiled.Instance(meter.With(guest.With(t.Context()), &meter.Meter{}), extism.PluginInstanceConfig{ModuleConfig: wazero.NewModuleConfig()})
	if err != nil {
		t.Fatal(err)
	}
	return plugin{p, guest}
}

// plugin is a guest with its own memory.
type plugin struct {
	*extism.Plugin
	guest *kerneltest.Guest
}

// call calls an export as the agent's host will: past Extism's own input and output.
func call(ctx context.Context, p plugin, export string, input []byte) ([]byte, *meter.Meter, error) {
	memory, m := kernel.New(input, 16<<20, nil), &meter.Meter{}
	memory.Guest = p.guest.Memory
	_, _, err := p.CallWithContext(kernel.With(meter.With(ctx, m), memory), export, nil)
	if err == nil && memory.Failure() != "" {
		err = errors.New(memory.Failure())
	}
	out, ok := memory.Output()
	if err == nil && !ok {
		err = errors.New("its output lies outside of its memory")
	}
	return out, m, err
}

func TestGuestsDoTheSame(t *testing.T) {
	snapshot := []byte(`{"now":"2024-01-15T12:00:00Z","runner":{"idle_count":10,"idle_count_min":2,"idle_scale_factor":1.5},"fleet":{"used":4}}`)
	for _, folder := range []string{"policies/idlescale", "policies/periods", "providers/docker"} {
		t.Run(folder, func(t *testing.T) {
			wasm := guests.Wasm(t, folder)
			theirs, ours := start(t, wasm, false), start(t, wasm, true)
			for _, c := range []struct {
				export string
				input  []byte
			}{{"describe", nil}, {"decide", snapshot}, {"decide", []byte("{")}, {"decide", snapshot}, {"validate", []byte(`{"options":{}}`)}} {
				if !ours.FunctionExists(c.export) {
					continue
				}
				_, want, wantErr := theirs.CallWithContext(meter.With(t.Context(), &meter.Meter{}), c.export, c.input)
				got, m, err := call(t.Context(), ours, c.export, c.input)
				if wantErr != nil {
					want = nil
				}
				if !bytes.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Errorf("%s: %s %v; with Extism's kernel %s %v", c.export, got, err, want, wantErr)
				}
				t.Logf("%s: fuel %d", c.export, m.Last())
			}
		})
	}
}

// BenchmarkDecide compares one decision with this kernel and with Extism's, both metered.
func BenchmarkDecide(b *testing.B) {
	wasm := guests.Wasm(b, "policies/idlescale")
	snapshot := []byte(`{"now":"2024-01-15T12:00:00Z","runner":{"idle_count":10,"idle_count_min":2,"idle_scale_factor":1.5},"fleet":{"used":4},"x":"` + strings.Repeat("x", 1500) + `"}`)
	theirs, ours := start(b, wasm, false), start(b, wasm, true)
	var times [2][]time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, _, err := theirs.CallWithContext(meter.With(b.Context(), &meter.Meter{}), "decide", snapshot); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		if _, _, err := call(b.Context(), ours, "decide", snapshot); err != nil {
			b.Fatal(err)
		}
		times[0], times[1] = append(times[0], between.Sub(begin)), append(times[1], time.Since(between))
	}
	b.ReportMetric(0, "ns/op")
	for i, name := range []string{"theirs-p50-µs", "ours-p50-µs"} {
		slices.Sort(times[i])
		b.ReportMetric(float64(times[i][len(times[i])/2].Nanoseconds())/1e3, name)
	}
}
