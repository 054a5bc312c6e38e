package pool

import (
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Status is a pool as it is at one instant, for people and metrics.
type Status struct {
	At       time.Time
	Runner   string
	Executor string // "" counts as docker+machine
	Key      string

	Machines []fleet.Machine   // in order of creation, without options and driver state, which may hold secrets
	Phases   map[string]string // of the machines that are being created, by name
	Counts   abi.Counts
	Slots    abi.Slots // the places for jobs on the machines
	Leases   LeaseCounts
	Missed   int                         // lists so far that failed, and machines that complete ones lacked
	Wanted   int                         // machines that the decision comes to, before any guard rail
	Targets  map[fleet.Target]abi.Counts // Counts by where the machines are
	Demand   abi.Demand
	Failures []abi.Failure // creations of the last hour that failed, by kind
	Decision *fleet.Decision
	Rails    []fleet.Rail // what the guard rails change of the decision now
	Limits   fleet.Limits
	Waiting  int // leases that wait for a machine
	Reserved int // leases that may have a machine made

	// IdleFor is how long machines were idle, summed over all of them and up to now; it only grows.
	IdleFor time.Duration

	Breaker  BreakerState
	Backoff  Backoff   // the one that lasts longest
	Backoffs []Backoff // by kind of error, the one that lasts longest first
	// PassedOver are the alternatives that the provider had none of lately, by name, with when they are tried again.
	PassedOver map[string]time.Time
	Frozen     bool
	Kept       int // machines that stay for the operator's word: held ones, or all while frozen
	Orphans    []Orphan
	ListErrs   []string // of the providers that cannot be listed now
	Stopping   bool
}

// LeaseCounts are what became of leases so far.
type LeaseCounts struct {
	Reserved, Unreserved int // given for a job to come; given back without one
	Acquired, Released   int // by jobs
}

// Backoff is how creation is held back after failures.
type Backoff struct {
	Failures int           // in a row; 0: it is not held back
	Until    time.Time     // when the next machine may be created
	Kind     abi.ErrorKind // of the last failure
	Err      string
}

// Status returns the pool as it is now, or as it was when it ended; before Start it is empty. It waits for the loop, never for the provider.
func (p *Pool) Status() Status {
	var s Status
	if !p.do(func() { s = p.status() }) && p.started.Load() {
		return p.final
	}
	return s
}

func (p *Pool) status() Status {
	now := time.Now()
	s := Status{
		At: now, Runner: p.settings.Runner.Name, Executor: p.settings.Executor, Key: p.opts.Key,
		Machines: slices.Grow([]fleet.Machine(nil), len(p.fleet)),
		Counts:   p.view.Counts(),
		Slots:    p.slots(now),
		Leases:   p.leased,
		Missed:   p.missedSoFar,
		Demand:   p.demandNow(now),
		Failures: p.failures.byKind(now),
		Limits:   p.limits(now),
		Waiting:  len(p.wanting), Reserved: p.reserved,
		Breaker: p.breaker.state(now), Backoffs: p.breaker.backoffs(), PassedOver: p.ladder.passedOver(now),
		IdleFor: p.sumIdle(now), Frozen: p.shared.frozen(), Stopping: p.stopping,
	}
	if len(s.Backoffs) > 0 {
		s.Backoff = s.Backoffs[0]
	}
	at := map[fleet.Target]fleet.Fleet{}
	for _, m := range p.view {
		if s.Frozen || m.Held() {
			s.Kept++
		}
		t := fleet.TargetOf(m.Driver, m.Options)
		at[t] = append(at[t], m)
		shown := *m
		shown.Options, shown.Instance.State = nil, nil
		s.Machines = append(s.Machines, shown)
	}
	s.Phases = map[string]string{}
	for _, m := range p.fleet {
		if m.phase != "" {
			s.Phases[m.Name] = m.phase
		}
	}
	s.Targets = make(map[fleet.Target]abi.Counts, len(at))
	for t, f := range at {
		s.Targets[t] = f.Counts()
	}
	if p.decision != nil {
		d := *p.decision
		s.Decision = &d
		s.Wanted = plan.Wanted(now, p.view, plan.WithWaiting(p.effective(), p.view, p.unserved(now)), s.Limits)
		s.Rails = p.railsNow(now)
	}
	for _, o := range p.orphans {
		s.Orphans = append(s.Orphans, p.orphanStatus(o))
	}
	slices.SortFunc(s.Orphans, func(a, b Orphan) int { return strings.Compare(a.Instance.Name, b.Instance.Name) })
	for _, g := range p.groups {
		if g.err != "" {
			s.ListErrs = append(s.ListErrs, g.driver+": "+g.err)
		}
	}
	slices.Sort(s.ListErrs)
	return s
}

// sumIdle adds the idle time since it was called last, and returns the sum.
func (p *Pool) sumIdle(now time.Time) time.Duration {
	if !p.ticked.IsZero() {
		for _, m := range p.fleet {
			if m.State == fleet.Idle {
				p.idleFor += max(now.Sub(latest(p.ticked, m.StateSince)), 0)
			}
		}
	}
	p.ticked = now
	return p.idleFor
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
