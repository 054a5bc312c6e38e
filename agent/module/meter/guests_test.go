package meter

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module/meter/kernel/kerneltest"
	"github.com/millwright-ci/millwright/hostfuncs"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// plugin starts code as the agent's host does, through Extism.
func plugin(t testing.TB, code []byte) *extism.Plugin {
	t.Helper()
	cache, err := wazero.NewCompilationCacheWithDir(guests.CompilationCache(t))
	if err != nil {
		t.Fatal(err)
	}
	manifest := extism.Manifest{
		Wasm:   []extism.Wasm{extism.WasmData{Data: code}},
		Memory: &extism.ManifestMemory{MaxPages: 512},
	}
	config := extism.PluginConfig{RuntimeConfig: wazero.NewRuntimeConfig().WithCompilationCache(cache), EnableWasi: true}
	guest := &kerneltest.Guest{}
	compiled, err := extism.NewCompiledPlugin(t.Context(), manifest, config, guest.Replace(append(hostfuncs.Table(), HostFunction())))
	if err != nil {
		t.Fatal(err)
	}
	p, err := compiled.Instance(With(guest.With(t.Context()), &Meter{}), extism.PluginInstanceConfig{ModuleConfig: wazero.NewModuleConfig()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := compiled.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// exchange is one call of a guest.
type exchange struct {
	export string
	input  []byte
}

// exchanges are calls of the built-in guests, by folder.
func exchanges(t testing.TB) map[string][]exchange {
	t.Helper()
	snapshot := marshal(t, abi.Snapshot{
		Now: "2024-01-15T12:00:00Z", NowUnixMS: 1705320000000,
		Runner: abi.RunnerSettings{
			Name: "docker+machine of the team", Limit: 50, Concurrent: 100, IdleCount: 10, IdleCountMin: 2, IdleScaleFactor: 1.5, IdleTimeS: 600,
			MaxGrowthRate: 5, MaxBuilds: 20,
			Autoscaling: []abi.PeriodsSettings{
				{Periods: []string{"* * 9-17 * * mon-fri *"}, Timezone: "UTC", IdleCount: 10, IdleCountMin: 2, IdleScaleFactor: 1.5, IdleTimeS: 1800},
				{Periods: []string{"* * * * * sat,sun *"}, Timezone: "Europe/Berlin", IdleCount: 1, IdleTimeS: 60},
			},
		},
		Zones: []abi.Zone{
			{Name: "UTC", Local: "2024-01-15T12:00:00Z"},
			{Name: "Europe/Berlin", Local: "2024-01-15T13:00:00+01:00", OffsetS: 3600},
		},
		Fleet: abi.Counts{Creating: 1, Idle: 3, Used: 4, Available: 4, Total: 8},
		Demand: abi.Demand{Running: 4, Waiting: 1, Windows: []abi.Window{
			{Seconds: 60, Arrivals: 2}, {Seconds: 3600, Arrivals: 90, Finished: 85, MeanDuration: 181.5},
		}},
	})
	instances := marshal(t, abi.Snapshot{
		Now: "2024-01-15T12:00:00Z", NowUnixMS: 1705320000000,
		Runner: abi.RunnerSettings{Name: "fleet", Instances: &abi.InstanceSettings{CapacityPerInstance: 5, MaxInstances: 10, Policy: []abi.InstancePolicy{
			{Periods: []string{"* * * * *"}, Timezone: "UTC", IdleCount: 5, IdleTimeS: 1200, ScaleFactor: 0.5, PreemptiveMode: true},
		}}},
		Zones: []abi.Zone{{Name: "UTC", Local: "2024-01-15T12:00:00Z"}},
		Fleet: abi.Counts{Used: 4, Total: 4}, Slots: &abi.Slots{Free: 3, Used: 17},
	})
	return map[string][]exchange{
		"policies/instances": {{"describe", nil}, {"decide", instances}, {"decide", snapshot}, {"decide", []byte("{")}},
		"policies/idlescale": {{"describe", nil}, {"decide", snapshot}, {"decide", snapshot}, {"decide", []byte("{")}},
		"policies/periods":   {{"describe", nil}, {"decide", snapshot}, {"decide", snapshot}},
		"providers/docker":   {{"describe", nil}, {"validate", []byte(`{"options":{}}`)}, {"list", []byte(`{"owner":"nobody"}`)}},
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// BenchmarkDecide is one decision of idlescale, metered and not, through Extism:
//
//	go test -bench Decide -run '^$' ./agent/module/meter
func BenchmarkDecide(b *testing.B) {
	wasm := guests.Wasm(b, "policies/idlescale")
	metered, err := Rewrite(wasm, Options{})
	if err != nil {
		b.Fatal(err)
	}
	calls := exchanges(b)["policies/idlescale"]
	plugins := []*extism.Plugin{plugin(b, wasm), plugin(b, metered)}
	times := make([][]time.Duration, len(plugins))
	m := &Meter{}
	for b.Loop() {
		for i, p := range plugins {
			*m = Meter{}
			start := time.Now()
			if _, _, err := p.CallWithContext(With(b.Context(), m), calls[1].export, calls[1].input); err != nil {
				b.Fatal(err)
			}
			times[i] = append(times[i], time.Since(start))
		}
	}
	plain, withMeter := median(times[0]), median(times[1])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(plain.Nanoseconds())/1e3, "plain-p50-µs")
	b.ReportMetric(float64(withMeter.Nanoseconds())/1e3, "metered-p50-µs")
	b.ReportMetric(float64(withMeter)/float64(plain), "ratio")
	b.ReportMetric(float64(m.Used()), "fuel")
}

func TestGuestsDoTheSame(t *testing.T) {
	for folder, calls := range exchanges(t) {
		t.Run(folder, func(t *testing.T) {
			wasm := guests.Wasm(t, folder)
			metered, err := Rewrite(wasm, Options{})
			if err != nil {
				t.Fatal(err)
			}
			plain, first, second := plugin(t, wasm), plugin(t, metered), plugin(t, metered)
			for _, c := range calls {
				wantCode, want, wantErr := plain.CallWithContext(t.Context(), c.export, c.input)
				m, again := &Meter{}, &Meter{}
				code, got, err := first.CallWithContext(With(t.Context(), m), c.export, c.input)
				if code != wantCode || !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
					t.Errorf("%s:\nplain   %d %s %v\nmetered %d %s %v", c.export, wantCode, want, wantErr, code, got, err)
				}
				if _, _, err := second.CallWithContext(With(t.Context(), again), c.export, c.input); (err == nil) != (wantErr == nil) {
					t.Error(err)
				}
				if m.Used() != again.Used() || m.Used() == 0 {
					t.Errorf("%s used %d and then %d", c.export, m.Used(), again.Used())
				}
				t.Logf("%s: %d bytes, fuel %d, of that %d by the export", c.export, len(got), m.Used(), m.Last())
			}
		})
	}
}
