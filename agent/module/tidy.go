package module

import (
	"runtime/debug"
	"sync"
	"time"
)

const (
	// compilePercent is how much garbage a compilation may heap up, in percent of what lives. The compiler leaves tens of megabytes a
	// second behind, and what the process once had counts for its highest memory for ever.
	compilePercent = 20
	// tidyAfter is how long after the last compilation its memory is given back. By itself Go would keep it for minutes.
	tidyAfter = 2 * time.Second
)

// compiling is of the process, like the collector that it tunes.
var compiling struct {
	mu      sync.Mutex // guards what follows
	running int
	percent int         // GOGC as it was before
	tidy    *time.Timer // nil before the first
}

// frugal makes the collector work harder until the function that it returns is called, and a while after gives unused memory back to the
// system. Calls may overlap.
func frugal() (end func()) {
	c := &compiling
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running++; c.running == 1 {
		c.percent = debug.SetGCPercent(compilePercent)
		if c.percent >= 0 && c.percent < compilePercent { // the operator's GOGC is more frugal still
			debug.SetGCPercent(c.percent)
		}
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.running--; c.running > 0 {
			return
		}
		debug.SetGCPercent(c.percent)
		if c.tidy == nil {
			c.tidy = time.AfterFunc(tidyAfter, debug.FreeOSMemory)
			return
		}
		c.tidy.Reset(tidyAfter)
	}
}
