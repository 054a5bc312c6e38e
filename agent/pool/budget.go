package pool

import (
	"time"
)

// Rate is how many calls may be made: so many a second in the long run, and Burst at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Rates are the budgets of an account. What is 0 has its default.
type Rates struct {
	Calls   Rate // every call of the driver; default 10 a second, 30 at once
	Removes Rate // removals, which count as calls too; default 5 a second, 10 at once
}

func (r Rates) complete() Rates {
	fill := func(r *Rate, perSecond float64, burst int) {
		if r.PerSecond <= 0 {
			r.PerSecond = perSecond
		}
		if r.Burst <= 0 {
			r.Burst = burst
		}
	}
	fill(&r.Calls, 10, 30)
	fill(&r.Removes, 5, 10)
	return r
}

// bucket spaces calls out (generic cell rate algorithm, ATM Forum TM 4.0). Whoever holds it locks it.
type bucket struct {
	rate   Rate
	next   time.Time // when the call after the last would be due if there were no bursts
	paused time.Time // no call before
}

// every is the time between two calls in the long run, at a pace that is a part of the rate.
func (b *bucket) every(pace float64) time.Duration {
	return time.Duration(float64(time.Second) / (b.rate.PerSecond * pace))
}

// take takes the next place and returns when the call may be made.
func (b *bucket) take(now time.Time, pace float64) time.Time {
	every := b.every(pace)
	if b.next.Before(now) {
		b.next = now
	}
	at := b.next.Add(-time.Duration(b.rate.Burst-1) * every)
	b.next = b.next.Add(every)
	if at.Before(b.paused) {
		return b.paused
	}
	return at
}

// pause gives all places away until a time, and lets no burst follow. Who has a place must take another one.
func (b *bucket) pause(until time.Time, pace float64) {
	if until.Before(b.paused) {
		until = b.paused
	}
	b.paused = until
	b.next = until.Add(time.Duration(b.rate.Burst-1) * b.every(pace))
}

const (
	longestPause = time.Hour        // that a provider may ask for
	slowest      = 1.0 / 16         // of the rate
	paceDoubles  = 30 * time.Second // after which a slowed account is twice as fast
	paceOnce     = time.Second      // within which further complaints do not slow it more
)

// throttle is which part of its rate an account uses. The zero value is all of it.
type throttle struct {
	part float64   // at since; 0 means 1
	at   time.Time // when it was slowed last
}

// factor returns the present part, in (0, 1].
func (p throttle) factor(now time.Time) float64 {
	if p.part == 0 {
		return 1
	}
	f := p.part
	for passed := now.Sub(p.at); passed >= paceDoubles && f < 1; passed -= paceDoubles {
		f *= 2
	}
	return min(f, 1)
}

func (p *throttle) slow(now time.Time) {
	if p.part != 0 && now.Sub(p.at) < paceOnce {
		return
	}
	p.part, p.at = max(p.factor(now)/2, slowest), now
}
