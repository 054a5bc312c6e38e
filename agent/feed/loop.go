package feed

import (
	"context"
	"slices"
	"time"
)

// loop owns the state of a feed.
type loop struct {
	f             *Feed
	concurrent    int
	checkInterval time.Duration
	runners       []*runner // in the order of their turns
	next          int       // whose turn it is
	served        int       // who last got a slot that others waited for
	turnAt        time.Time // of the next turn

	asking, running int // over all runners, those that are removed too
	draining        bool
	adopted         []adopted       // jobs whose runner has not come yet
	jobs            context.Context // what handlers get

	asked chan asked // from the requests
	ended chan ended // from the handlers
}

func (f *Feed) newLoop() *loop {
	return &loop{f: f, concurrent: 1, checkInterval: defaultCheckInterval, asked: make(chan asked), ended: make(chan ended)}
}

// run waits for: what others post, an answer to a request, the end of a job, the next turn, the end of ctx. It ends when it is to take
// no more and nothing is under way.
func (l *loop) run(ctx context.Context) {
	defer close(l.f.done)
	l.jobs = ctx
	stop := ctx.Done()
	l.turnAt = time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !l.draining || l.asking > 0 || l.running > 0 {
		timer.Reset(l.untilTurn())
		select {
		case <-l.f.posted:
			for _, do := range l.f.take() {
				do(l)
			}
		case a := <-l.asked:
			l.answered(a)
		case e := <-l.ended:
			l.jobEnded(e)
		case <-timer.C:
			l.turn()
		case <-stop:
			stop = nil
			l.drain()
		}
		l.f.publish(l.figures())
	}
}

// figures are the loop's state for people to see.
func (l *loop) figures() Figures {
	f := Figures{Slots: l.concurrent, Running: l.running, Asking: l.asking, Runners: make([]RunnerFigures, 0, len(l.runners))}
	for _, r := range l.runners {
		f.Runners = append(f.Runners, RunnerFigures{
			Key: r.settings.Key, Running: r.running, Asking: r.asking,
			HardLimit: max(r.settings.RequestConcurrency, 1), AdaptiveLimit: r.moving, UsedLimit: r.requests(),
			Disabled: !r.disabled.IsZero(), Starved: r.starved,
		})
	}
	return f
}

// forever is longer than any turn is away.
const forever = 24 * time.Hour

func (l *loop) untilTurn() time.Duration {
	if l.draining || len(l.runners) == 0 {
		return forever
	}
	return time.Until(l.turnAt)
}

// pace is the time from one turn to the next.
func (l *loop) pace() time.Duration { return l.checkInterval / time.Duration(max(len(l.runners), 1)) }

// turn lets the next runner ask. Each has one turn in a check interval.
func (l *loop) turn() {
	if l.draining || len(l.runners) == 0 {
		return
	}
	now := time.Now()
	if now.Before(l.turnAt) {
		return
	}
	l.turnAt = now.Add(l.pace())
	r := l.runners[l.next%len(l.runners)]
	l.next = (l.next + 1) % len(l.runners)
	l.event(Event{Kind: Turn, Runner: r.settings.Key})
	if why := l.visit(r); why != "" {
		l.event(Event{Kind: Skipped, Runner: r.settings.Key, Why: why})
	}
}

// visit lets r ask for a job, or returns what stands against it. A runner that lacks only a slot gets one of the next that become free.
func (l *loop) visit(r *runner) Why {
	r.blocked = false
	switch {
	case l.draining || r.removed:
		return Leaving
	case !l.healthy(r):
		return NotWell
	case l.asking+l.running >= l.concurrent:
		r.blocked = true
		return NoSlot
	case r.full():
		r.blocked = true
		return AtLimit
	case r.asking >= r.requests():
		return Requests
	}
	r.asking++
	l.asking++
	r.starved, r.woken = false, false
	go l.ask(r.ctx, r, r.settings)
	return ""
}

// fill gives free slots to the runners that wait for one, in turn.
func (l *loop) fill() {
	n, first := len(l.runners), l.served+1
	for i := range n {
		at := (first + i) % n
		if r := l.runners[at]; r.blocked && l.asking+l.running < l.concurrent && l.visit(r) == "" {
			l.served = at
		}
	}
}

// wake lets the runners ask that lacked a machine.
func (l *loop) wake(keys []string) {
	for _, r := range l.runners {
		switch {
		case len(keys) > 0 && !slices.Contains(keys, r.settings.Key):
		case r.starved && l.visit(r) == "":
		case r.asking > 0:
			r.woken = true // it may have looked for a machine too early
		}
	}
}

func (l *loop) drain() {
	l.draining = true
	for _, r := range l.runners {
		r.cancel()
	}
}

// jobEnded takes a slot back.
func (l *loop) jobEnded(e ended) {
	e.r.running--
	l.running--
	l.event(Event{Kind: Ended, Runner: e.r.settings.Key, Job: e.job, Duration: e.took})
	l.fill()
}

// configure puts settings into force.
func (l *loop) configure(s Settings) {
	l.concurrent = max(s.Concurrent, 1)
	l.checkInterval = s.CheckInterval
	if l.checkInterval <= 0 {
		l.checkInterval = defaultCheckInterval
	}
	old := map[string]*runner{}
	for _, r := range l.runners {
		old[r.settings.Key] = r
	}
	l.runners = nil
	var added []*runner
	for _, settings := range s.Runners {
		r := old[settings.Key]
		delete(old, settings.Key)
		if r == nil {
			r = newRunner()
			added = append(added, r)
		}
		r.settings = settings
		r.unhealthy, r.disabled = 0, time.Time{}
		r.clampRequests()
		l.runners = append(l.runners, r)
	}
	for _, r := range old {
		r.remove()
	}
	l.startAdopted()
	if l.draining {
		l.drain()
		return
	}
	if next := time.Now().Add(l.pace()); len(added) > 0 || l.turnAt.After(next) {
		l.turnAt = next
	}
	for _, r := range added {
		l.visit(r)
	}
	l.fill()
}

func (l *loop) remove(key string) {
	for i, r := range l.runners {
		if r.settings.Key == key {
			l.runners = append(l.runners[:i:i], l.runners[i+1:]...)
			r.remove()
			return
		}
	}
}

func (l *loop) event(e Event) {
	e.At = time.Now()
	l.f.o.Events(e)
}
