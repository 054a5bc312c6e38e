package pool

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErrAcquireTimeout means that a job waited for a machine as long as it may.
type ErrAcquireTimeout struct{ Limit time.Duration }

func (e *ErrAcquireTimeout) Error() string {
	return fmt.Sprintf("no instance became free for the job within %s in all; raise instance_acquire_timeout, max_instances or idle_count", e.Limit)
}

// waitedOf is how long a job has waited for machines, in all its tries.
type waitedOf struct {
	took time.Duration
	last time.Time
}

// waitedSpan is how long it is remembered after the last try.
const waitedSpan = time.Hour

// waiting notes that l looks for a machine from now on, unless it does already.
func (l *Lease) waiting(now time.Time) {
	if l.wantedAt.IsZero() {
		l.wantedAt = now
	}
}

// waitedFor ends l's wait and adds it to that of its job.
func (p *Pool) waitedFor(l *Lease) {
	if l.wantedAt.IsZero() {
		return
	}
	now := time.Now()
	if l.job != 0 && p.settings.AcquireWait > 0 {
		if p.waited == nil {
			p.waited = map[int64]*waitedOf{}
		}
		if p.waited[l.job] == nil {
			p.waited[l.job] = &waitedOf{}
		}
		w := p.waited[l.job]
		w.took, w.last = w.took+now.Sub(l.wantedAt), now
	}
	l.wantedAt = time.Time{}
}

// watchWaits ends the leases whose jobs have waited for too long.
func (p *Pool) watchWaits(now time.Time) {
	maps.DeleteFunc(p.waited, func(_ int64, w *waitedOf) bool { return now.Sub(w.last) > waitedSpan })
	limit := p.settings.AcquireWait
	if limit <= 0 {
		return
	}
	for _, l := range slices.Clone(p.wanting) {
		took := now.Sub(l.wantedAt)
		if w := p.waited[l.job]; w != nil {
			took += w.took
		}
		if took >= limit {
			p.waitedFor(l)
			p.fail(l, &ErrAcquireTimeout{limit})
		}
	}
}
