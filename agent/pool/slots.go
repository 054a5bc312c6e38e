package pool

import (
	"fmt"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// hold gives l one of m's slots.
func (m *machine) hold(l *Lease) {
	l.m, l.since = m, time.Now()
	m.leases = append(m.leases, l)
	m.Taken = len(m.leases)
}

// let takes l's slot back.
func (m *machine) let(l *Lease) {
	l.m = nil
	m.leases = slices.DeleteFunc(m.leases, func(other *Lease) bool { return other == l })
	m.Taken = len(m.leases)
}

// in returns m's leases in a state.
func (m *machine) in(s leaseState) []*Lease {
	var out []*Lease
	for _, l := range m.leases {
		if l.state == s {
			out = append(out, l)
		}
	}
	return out
}

// wanted tells whether a job is on m, or waits for it.
func (m *machine) wanted() bool {
	return m.State == fleet.Used || slices.ContainsFunc(m.leases, func(l *Lease) bool { return l.job != 0 })
}

// settleState makes m's state that of its leases.
func (p *Pool) settleState(m *machine, reason string) {
	s := fleet.Idle
	switch {
	case m.JobID != 0:
		s = fleet.Used
	case len(m.leases) > 0:
		s = fleet.Acquired
	}
	if m.State != s {
		p.enter(m, s, reason)
	}
	m.close()
}

// close keeps m from further leases as long as it has to be: it is on its way out, or jobs are on it while it does not answer or is to be
// cleaned of what others left.
func (m *machine) close() {
	m.Closed = m.broken != "" || m.RemoveReason != "" || m.State == fleet.Used && (m.dirty || m.Silent > 0)
}

// pick returns the machine that the next job should get, nil when there is none.
func (p *Pool) pick(now time.Time) *machine {
	if best := plan.Pick(now, p.view, p.tightened(), p.limits(now)); best != nil {
		return p.byName[best.Name]
	}
	return nil
}

// tightened is the last decision; before the first, no policy has tightened anything.
func (p *Pool) tightened() fleet.Decision {
	if p.decision == nil {
		return fleet.Decision{}
	}
	return *p.decision
}

// slots counts the slots of all machines.
func (p *Pool) slots(now time.Time) abi.Slots {
	return plan.Slots(now, p.view, p.tightened(), p.limits(now))
}

// throttled tells whether a lease without a job must wait so that idle machines can age: with idle capacity present, no more slots are held
// for jobs to come than it has beyond one machine's, but always one.
func (p *Pool) throttled(now time.Time) bool {
	if !p.settings.ReservationThrottling {
		return false
	}
	s := p.slots(now)
	idle, reservations := s.Free+s.Reserved, s.Reserved+p.reserved
	return idle > 0 && reservations >= max(idle-p.capacity(), 1)
}

// capacity is how many slots a machine that is made now has.
func (p *Pool) capacity() int { return max(p.settings.limits().Slots, 1) }

// running counts the jobs on machines.
func (p *Pool) running() int {
	n := 0
	for _, m := range p.fleet {
		if m.State == fleet.Used {
			n += max(len(m.Jobs()), 1) // those of a machine that is only watched are not known
		}
	}
	return n
}

// shed takes m away from leases without a job, since it takes none any more: they look for another machine, or have the right to one. What is
// being probed for them is told when that ends.
func (p *Pool) shed(m *machine) {
	for _, l := range m.in(held) {
		if l.job == 0 {
			m.let(l)
			p.promise(l)
		}
	}
}

// moveOn has the leases that m was probed for look elsewhere.
func (p *Pool) moveOn(m *machine) {
	for _, l := range m.in(pairing) {
		m.let(l)
		p.take(l, true)
	}
}

// silentInUse takes in that m did not answer a probe while jobs run on it: nobody else gets it, and when it goes on, they are lost.
func (p *Pool) silentInUse(m *machine, err error) {
	now := time.Now()
	if m.Silent++; m.Silent == 1 {
		m.silentSince = now
	}
	m.close()
	p.scheduleProbe(m, now)
	p.log.Warn("Machine with jobs does not answer", "name", m.Name, "tries", m.Silent, "jobs", m.Jobs(), "error", err)
	p.moveOn(m)
	if m.Silent >= p.probeTries() && !p.allSilent(m, now) {
		told := fmt.Sprintf("the machine does not answer: %s", err)
		for _, l := range m.leases {
			l.interrupt(told)
			l.lose(told)
		}
		p.unavailable(m, err)
	}
}

// countReserved counts l among the leases for jobs to come, once.
func (p *Pool) countReserved(l *Lease) {
	if l.job == 0 && !l.waits && !l.counted {
		l.counted = true
		p.leased.Reserved++
	}
}

// countEnd counts l among the leases that were given back.
func (p *Pool) countEnd(l *Lease) {
	switch {
	case l.state == ended:
	case !l.began.IsZero():
		p.leased.Released++
	case l.counted && l.job == 0:
		p.leased.Unreserved++
	}
}
