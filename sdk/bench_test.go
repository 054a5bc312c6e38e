package sdk_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// thousand is a snapshot that lists a thousand machines, about 90 KB.
func thousand(b *testing.B) []byte {
	b.Helper()
	states := []string{"idle", "used", "creating", "acquired"}
	s := abi.Snapshot{ABI: abi.Version, Now: "2026-08-20T10:00:00Z", NowUnixMS: 1_787_220_000_000, Config: order{"proposal", "{}"}.json(b)}
	s.Runner = abi.RunnerSettings{Name: "build", Limit: 2000, IdleCount: 100, IdleTimeS: 1800}
	s.Fleet = abi.Counts{Idle: 250, Used: 250, Creating: 250, Acquired: 250, Available: 750, Total: 1000}
	for i := range 1000 {
		s.Machines = append(s.Machines, abi.MachineView{
			Name: fmt.Sprintf("runner-3f2ab1c9-ci-%d-%04x", 1_787_200_000+i, i*7919%65536), State: states[i%4],
			AgeS: float64(i) * 3.217, IdleS: float64(i%4/3) * 12.5, UsedCount: i % 30,
		})
	}
	data, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// BenchmarkThousandMachines is what each SDK takes to read a snapshot with a thousand machines and to answer, in the agent's host and metered, beside
// the Go SDK in the same run: p50 in ms, the ratio to Go's, and the fuel.
//
//	go test -bench ThousandMachines -run '^$' ./sdk
func BenchmarkThousandMachines(b *testing.B) {
	h := moduletest.Host(b, module.Limits{})
	names := []string{"go", "rust", "assemblyscript"}
	modules := map[string]*module.Module{"go": moduletest.Load(b, h, "policies/idlescale")}
	for _, name := range sdks {
		m, err := h.Load(b.Context(), module.Source{Name: name, Wasm: moduletest.Script(b, "sdk/"+name+"/build.sh", "sdk/"+name+"/testdata/codec")})
		if err != nil {
			b.Fatal(err)
		}
		modules[name] = m
	}
	input := thousand(b)
	times, fuel := map[string][]time.Duration{}, map[string]int64{}
	for b.Loop() {
		for _, name := range names { // in turn, so that whatever else the machine does meets all alike
			_, u, err := modules[name].Measure(b.Context(), abi.ExportDecide, input, module.Grants{})
			if err != nil {
				b.Fatal(err)
			}
			times[name], fuel[name] = append(times[name], u.Time), u.Fuel
		}
	}
	p50 := func(name string) float64 {
		slices.Sort(times[name])
		return float64(times[name][len(times[name])/2].Microseconds()) / 1000
	}
	for _, name := range names {
		b.ReportMetric(p50(name), name+"-ms")
		b.ReportMetric(float64(fuel[name])/1e6, name+"-Mfuel")
		if name != "go" {
			b.ReportMetric(p50(name)/p50("go"), name+"/go")
		}
	}
}
