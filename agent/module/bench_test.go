package module_test

import (
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
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
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		if d := c.Decide(b.Context(), s); d.Steps[1].Err != "" {
			b.Fatal(d.Steps[1].Err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkColdStart is the time from a new host to the first decision, with the native code in the cache.
func BenchmarkColdStart(b *testing.B) {
	dist := policiesDist(b)
	s := liveSnapshot(b)
	for b.Loop() {
		h, err := module.NewHost(module.Options{CacheDir: guests.CompilationCache(b), Builtins: []fs.FS{dist}})
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
