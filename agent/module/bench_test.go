package module_test

import (
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// BenchmarkDecide is one decision through the built-in chain on a snapshot of about 2 KB:
//
//	go test -bench Decide -run '^$' ./agent/module
func BenchmarkDecide(b *testing.B) {
	c, err := builtinHost(b).BuiltinChain(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s := liveSnapshot(b)
	measureDecisions(b, c, s)
}

// BenchmarkDecideThousand is one decision with 1,000 machines in the fleet, through the built-in chain and a policy that has them listed.
func BenchmarkDecideThousand(b *testing.B) {
	h := builtinHost(b)
	links, err := h.BuiltinLinks(b.Context(), module.PoliciesFor(false)...)
	if err != nil {
		b.Fatal(err)
	}
	m, err := h.Load(b.Context(), module.Source{Name: "probe", Wasm: guests.Wasm(b, probe)})
	if err != nil {
		b.Fatal(err)
	}
	c := chain(b, append(links, module.Link{Module: m, Config: abi.Raw(`{"do":"propose","then":{}}`)})...)
	s := liveSnapshot(b)
	for i := range 1000 {
		s.Machines = append(s.Machines, abi.MachineView{
			Name: fmt.Sprintf("runner-abcdefgh-ci-1705312800-%08x", i), State: "idle", AgeS: float64(60 * i), IdleS: float64(7 * i), UsedCount: i % 7,
		})
	}
	measureDecisions(b, c, s)
}

func measureDecisions(b *testing.B, c *module.Chain, s abi.Snapshot) {
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		for _, step := range c.Decide(b.Context(), s).Steps {
			if step.Err != "" {
				b.Fatal(step.Err)
			}
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkColdStart is the time from a new host to the first decision, with and without the native code in the cache.
func BenchmarkColdStart(b *testing.B) {
	b.Run("cached", func(b *testing.B) { coldStart(b, guests.CompilationCache(b)) })
	b.Run("compiling", func(b *testing.B) { coldStart(b, "") })
}

func coldStart(b *testing.B, cache string) {
	dist := policiesDist(b)
	s := liveSnapshot(b)
	for b.Loop() {
		h, err := module.NewHost(module.Options{CacheDir: cache, Builtins: []fs.FS{dist}})
		if err != nil {
			b.Fatal(err)
		}
		c, err := h.BuiltinChain(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		c.Decide(b.Context(), s)
		if err := h.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInstance is what a call costs that finds no instance waiting.
func BenchmarkInstance(b *testing.B) {
	h, err := module.NewHost(module.Options{CacheDir: guests.CompilationCache(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close(b.Context())
	m, err := h.Load(b.Context(), module.Source{Name: "probe", Wasm: guests.Wasm(b, probe)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := m.Call(b.Context(), "decide", decideWith(b, `{"do":"exit"}`)); err == nil { // ends the instance
			b.Fatal("it came back")
		}
	}
}
