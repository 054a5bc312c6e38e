package pool

import (
	"errors"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// backoff holds creation back after failures. While it has any, machines are made one at a time until one succeeds, so that a
// broken configuration costs a call now and then and not a storm.
type backoff struct {
	failures int       // in a row
	since    time.Time // of the last that counted
	until    time.Time // nothing is created before
	kind     abi.ErrorKind
	err      string
}

// failed counts a creation that began at began. Creations that failed together count once. jitter is in [0, 1).
func (b *backoff) failed(now, began time.Time, err error, jitter float64) {
	b.kind, b.err = driver.KindOf(err), err.Error()
	if b.failures > 0 && !began.After(b.since) {
		return
	}
	first, longest := pace(b.kind)
	b.since = now
	b.until = now.Add(max(delay(b.failures, first, longest, jitter), retryAfter(err)))
	b.failures++
}

// pace returns the first and the longest pause after failures of a kind. What only a human can mend is tried less often.
func pace(kind abi.ErrorKind) (first, longest time.Duration) {
	switch kind {
	case abi.Invalid, abi.Auth, abi.Quota:
		return time.Minute, 15 * time.Minute
	case abi.Capacity, abi.RateLimited:
		return 5 * time.Second, 5 * time.Minute
	}
	return time.Second, 5 * time.Minute
}

// delay doubles first for each of tries, up to longest, and spreads the result over three quarters to five quarters of it.
func delay(tries int, first, longest time.Duration, jitter float64) time.Duration {
	d := first
	for range tries {
		if d *= 2; d >= longest {
			d = longest
			break
		}
	}
	return time.Duration(float64(d) * (0.75 + jitter/2))
}

// retryAfter returns how long the provider told us to wait, or 0.
func retryAfter(err error) time.Duration {
	var e *driver.Error
	if errors.As(err, &e) {
		return time.Duration(max(e.Info.RetryAfterS, 0)) * time.Second
	}
	return 0
}
