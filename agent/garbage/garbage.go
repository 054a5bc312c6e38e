// Package garbage tunes the collector of the whole process: how much garbage heaps up before it is collected, by what lives and by what goes on.
package garbage

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// frugalPercent is how much garbage there may be while somebody is frugal, in percent of what lives.
	frugalPercent = 20
	// tidyAfter is how long after the last frugal work its memory is given back. By itself Go would keep it for minutes.
	tidyAfter = 2 * time.Second
	// mostPercent bounds what a small heap gets: Go collects nothing below so many percent of 4 MiB.
	mostPercent = 200
)

// process is what there is once in a process, like its collector.
var process struct {
	mu      sync.Mutex // guards what follows
	percent int        // Keep's; 0 before it is called
	least   uint64     // Keep's too
	frugal  int        // so many are
	before  int        // GOGC before the first of them
	tidy    *time.Timer
}

// Keep lets garbage heap up to percent of what lives, or to least bytes where that is more, from now on. A heap that is large and lives for ever, of
// modules say, wants few percent; of a small one they would be so little that the collector ran all the time.
func Keep(percent int, least uint64) {
	p := &process
	p.mu.Lock()
	first := p.percent == 0
	p.percent, p.least = percent, least
	p.mu.Unlock()
	adjust()
	if first {
		watch()
	}
}

// watched is what nobody holds, so that each collection ends it.
type watched struct{ self *watched }

// watch has adjust called after each collection.
func watch() {
	w := &watched{}
	runtime.AddCleanup(w, func(struct{}) {
		adjust()
		watch()
	}, struct{}{})
}

// adjust tells the collector what Keep means for what lives now.
func adjust() {
	p := &process
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frugal > 0 {
		return
	}
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(samples)
	want := wanted(p.percent, p.least, samples[0].Value.Uint64())
	// Each change stops the process for a moment: small ones are left.
	if now := int(samples[1].Value.Uint64()); want < now-now/8 || want > now+now/8 {
		debug.SetGCPercent(want)
	}
}

// wanted is the percentage of what lives, in bytes, that amounts to percent or to least, whichever is more.
func wanted(percent int, least, lives uint64) int {
	return max(percent, int(min(mostPercent, least*100/max(lives, 1))))
}

// Frugal makes the collector work harder until the function that it returns is called, and a while after gives unused memory back to the
// system. Calls may overlap. It is for work that leaves tens of megabytes a second behind: what the process once had counts for its highest memory
// for ever.
func Frugal() (end func()) {
	p := &process
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frugal++; p.frugal == 1 {
		p.before = debug.SetGCPercent(frugalPercent)
		if p.before >= 0 && p.before < frugalPercent { // the operator's GOGC is more frugal still
			debug.SetGCPercent(p.before)
		}
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.frugal--; p.frugal > 0 {
			return
		}
		debug.SetGCPercent(p.before) // which the next collection adjusts
		if p.tidy == nil {
			p.tidy = time.AfterFunc(tidyAfter, debug.FreeOSMemory)
			return
		}
		p.tidy.Reset(tidyAfter)
	}
}
