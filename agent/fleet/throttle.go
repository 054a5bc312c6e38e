package fleet

import (
	"math"
	"time"
)

// Throttle bounds how fast machines are created: Burst at once, and PerSecond from then on. The zero value bounds nothing.
//
// Source: GitLab Runner documentation, "The [runners.autoscaler.scale_throttle] section".
type Throttle struct {
	PerSecond int // 0 or less bounds nothing
	Burst     int // less than 1 counts as 1
}

// Bucket is what a Throttle leaves. It is a value: whoever creates machines keeps what Refill and Take return. The zero value is full.
type Bucket struct {
	Tokens float64
	At     time.Time // of the last refill; zero: never
}

// Refill returns b as it is at now. A clock that was set back adds nothing.
func (b Bucket) Refill(now time.Time, t Throttle) Bucket {
	size := float64(max(t.Burst, 1))
	if b.At.IsZero() {
		return Bucket{size, now}
	}
	seconds := max(now.Sub(b.At), 0).Seconds()
	return Bucket{min(b.Tokens+seconds*float64(max(t.PerSecond, 0)), size), now}
}

// Take returns b after n creations.
func (b Bucket) Take(n int) Bucket {
	b.Tokens = math.Max(b.Tokens-float64(n), 0)
	return b
}

// Left returns how many machines may be created now. What binary fractions take from a whole number is given back.
func (b Bucket) Left() int { return int(b.Tokens + 1e-9) }
