// Package heartbeat tells tests how long the process was held up.
package heartbeat

import "time"

// Start beats every millisecond, on a goroutine of its own, until stop is called, which returns how late it was at worst.
func Start() (stop func() (late time.Duration)) {
	end, worst := make(chan struct{}), make(chan time.Duration)
	go beat(end, worst)
	return func() time.Duration {
		close(end)
		return <-worst
	}
}

func beat(end <-chan struct{}, worst chan<- time.Duration) {
	var late time.Duration
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-tick.C:
			now := time.Now()
			late = max(late, now.Sub(last)-time.Millisecond)
			last = now
		case <-end:
			worst <- max(late, time.Since(last)-time.Millisecond)
			return
		}
	}
}
