package pool

import (
	"cmp"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// BreakerState says whether machines are created.
type BreakerState string

// The states of a breaker. A creation that fails opens it; when the pause is over it is half open: one machine at a time is tried, and the
// first that becomes ready closes it.
const (
	BreakerClosed   BreakerState = "closed"
	BreakerHalfOpen BreakerState = "half-open"
	BreakerOpen     BreakerState = "open"
)

// breaker holds creation back after failures, with a back-off for each kind of error: what only a human can mend does not slow down
// what mends itself, nor the other way round. The longest pause holds.
type breaker struct {
	kinds map[abi.ErrorKind]*backoff
}

// failed counts a creation that began at began.
func (b *breaker) failed(now, began time.Time, err error, jitter float64) {
	kind := driver.KindOf(err)
	if b.kinds[kind] == nil {
		b.recall(backoff{kind: kind})
	}
	b.kinds[kind].failed(now, began, err, jitter)
}

// recall takes up what was known of a kind of error.
func (b *breaker) recall(k backoff) {
	if b.kinds == nil {
		b.kinds = map[abi.ErrorKind]*backoff{}
	}
	b.kinds[k.kind] = &k
}

// until returns when the next machine may be created; the zero time when creation is not held back.
func (b *breaker) until() time.Time {
	var until time.Time
	for _, k := range b.kinds {
		if k.until.After(until) {
			until = k.until
		}
	}
	return until
}

func (b *breaker) state(now time.Time) BreakerState {
	switch {
	case len(b.kinds) == 0:
		return BreakerClosed
	case now.Before(b.until()):
		return BreakerOpen
	}
	return BreakerHalfOpen
}

// backoffs lists what holds creation back, the longest pause first.
func (b *breaker) backoffs() []Backoff {
	var out []Backoff
	for _, k := range b.kinds {
		out = append(out, Backoff{Failures: k.failures, Until: k.until, Kind: k.kind, Err: k.err})
	}
	slices.SortFunc(out, func(x, y Backoff) int { return cmp.Or(y.Until.Compare(x.Until), cmp.Compare(x.Kind, y.Kind)) })
	return out
}
