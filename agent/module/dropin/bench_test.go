package dropin_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/guests"
)

// BenchmarkReload replaces a module of 2 MB while decisions go on, and prints how long the reload took, how long a decision took at most
// meanwhile, and at most without a reload in the same time:
//
//	go test -bench Reload -benchtime 5x -run '^$' ./agent/module/dropin
func BenchmarkReload(b *testing.B) {
	w := newWorld(b)
	wasm := guests.Wasm(b, "policies/idlescale")
	w.drop("big.wasm", wasm)
	w.start()
	w.until("it is loaded", func() bool { return w.status("policy", "big").Generation == 1 })
	w.decide()

	var reloads, quiet, busy []time.Duration
	generation := 1
	for b.Loop() {
		start := time.Now()
		generation++
		busy = append(busy, w.slowest(func() {
			w.drop("big.wasm", slices.Concat(wasm, customSection(fmt.Sprintf("generation %d of run %d", generation, start.UnixNano()))))
			w.until("it is swapped", func() bool { return w.status("policy", "big").Generation == generation })
		}))
		took := time.Since(start)
		reloads = append(reloads, took)
		quiet = append(quiet, w.slowest(func() { time.Sleep(took) }))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(wasm))/(1<<20), "MB")
	b.ReportMetric(slices.Max(reloads).Seconds()*1e3, "reload-ms")
	b.ReportMetric(slices.Max(busy).Seconds()*1e3, "slowest-call-ms")
	b.ReportMetric(slices.Max(quiet).Seconds()*1e3, "slowest-call-without-ms")
}

// slowest returns how long the slowest decision took while work was done.
func (w *world) slowest(work func()) (most time.Duration) {
	stop := make(chan struct{})
	var decider sync.WaitGroup
	decider.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				start := time.Now()
				w.decide()
				most = max(most, time.Since(start))
			}
		}
	})
	work()
	close(stop)
	decider.Wait()
	return most
}

// customSection is a section that means nothing and makes a module another file.
func customSection(text string) []byte {
	content := append([]byte{4, 'n', 'o', 't', 'e'}, text...)
	return slices.Concat([]byte{0}, binary.AppendUvarint(nil, uint64(len(content))), content)
}
