package pool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	// maxCreationFailures is how many creations may fail while a job waits before the job is told.
	maxCreationFailures = 3
	// fresh is how long after a sign of life an engine is taken to work without a probe.
	fresh = 2 * time.Second
	// endingGrace is how long after its job ended a machine is taken to be free soon. Clearing an engine takes a second or two.
	endingGrace = 10 * time.Second
)

// take finds a machine for l, or what comes nearest to it. A lease that had its turn already waits before the others.
func (p *Pool) take(l *Lease, again bool) {
	if p.stopping {
		p.fail(l, ErrStopped)
		return
	}
	p.assign()
	now := time.Now()
	if !l.waits && p.throttled(now) {
		p.fail(l, ErrNoMachine)
		return
	}
	if m := p.pick(now); m != nil {
		p.pair(l, m)
		return
	}
	l.waiting(now)
	switch {
	case l.waits && again:
		l.state = wanting
		p.wanting = slices.Insert(p.wanting, 0, l)
	case l.waits:
		l.state = wanting
		p.wanting = append(p.wanting, l)
		l.answer(nil)
	case p.mayReserve(now):
		l.state = reserved
		p.reserved++
		p.countReserved(l)
		l.answer(nil)
	default:
		p.fail(l, ErrNoMachine)
	}
}

// mayReserve tells whether a machine could be made for one more job, beside those that others wait for or may have made.
func (p *Pool) mayReserve(now time.Time) bool {
	if p.decision == nil || p.decision.AsksAhead() {
		return false
	}
	limits := p.limits(now)
	if p.settings.Runner.Instances != nil {
		if !p.answers() {
			return false // a job that is taken might never be placed
		}
		limits.Throttle = fleet.Throttle{} // a machine that may be made a little later is one
		return plan.SlotRoom(now, p.view, p.effective(), limits) > p.reserved+len(p.wanting)
	}
	c := p.view.Counts()
	owed := p.reserved + max(len(p.wanting)-(c.Available-c.Acquired), 0)
	return plan.Room(p.view, p.effective(), limits) > owed
}

// want makes l wait for a machine, unless it has one or waits already.
func (p *Pool) want(l *Lease) {
	if l.state == reserved {
		p.reserved--
		l.waits = true
		p.take(l, false)
	}
}

// assign gives free slots to the leases that wait, the longest waiting first. So the machine that is made for a job reaches it
// unless another one is ready sooner, and nobody who comes later overtakes.
func (p *Pool) assign() {
	for len(p.wanting) > 0 {
		m := p.pick(time.Now())
		if m == nil {
			return
		}
		l := p.wanting[0]
		p.wanting = slices.Delete(p.wanting, 0, 1)
		p.pair(l, m)
	}
}

// wake tells the feed about machines that became idle and that no job waited for.
func (p *Pool) wake() {
	if p.newIdle && p.pick(time.Now()) != nil {
		p.out.idle()
	}
	p.newIdle = false
}

// pair gives m to l once its engine has answered.
func (p *Pool) pair(l *Lease, m *machine) {
	p.waitedFor(l)
	m.hold(l)
	p.settleState(m, "")
	if !m.busy && !m.dirty && time.Since(m.fresh) < fresh {
		p.settle(l)
		return
	}
	l.state = pairing
	if l.waits {
		l.answer(nil) // Machine is where it blocks
	}
	if m.busy {
		return // it is being probed already
	}
	m.busy = true
	record, dirty := m.Machine, m.dirty
	p.call(func() func() {
		err := p.probe(record, dirty)
		return func() { p.probed(m, err) }
	})
}

// probe runs elsewhere. A machine that an agent before left is cleaned of what its jobs may have left, which proves its engine too.
func (p *Pool) probe(m fleet.Machine, dirty bool) error {
	if dirty {
		ctx, cancel := context.WithTimeout(p.ctx, p.opts.CallTimeout)
		defer cancel()
		return p.opts.Provisioner.Clean(ctx, m)
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.opts.CheckTimeout)
	defer cancel()
	return p.opts.Provisioner.Check(ctx, m)
}

// probed goes on after a probe: with the leases that m was probed for, if they still want it.
func (p *Pool) probed(m *machine, err error) {
	p.free(m)
	if m.State == fleet.Removing {
		return
	}
	if p.ctx.Err() != nil { // cut off by Stop, which says nothing about the machine
		for _, l := range m.in(pairing) {
			p.fail(l, ErrStopped)
		}
		return
	}
	inUse := m.State == fleet.Used
	switch {
	case err == nil && m.broken != "" && inUse:
		p.moveOn(m)
		return
	case err == nil && m.broken != "":
		p.remove(m, m.broken) // and who waits for it takes another one
		return
	case err != nil && inUse:
		p.silentInUse(m, err)
		return
	case err != nil:
		p.unavailable(m, err)
		return
	}
	m.dirty = m.dirty && inUse
	p.alive(m)
	for _, l := range m.in(pairing) {
		p.settle(l)
	}
	if m.State == fleet.Acquired && len(m.leases) == 0 { // given back meanwhile
		p.returned(m, nil, false)
	}
}

// unserved returns for how many of the jobs that wait a machine is to be made: for those that no machine whose job is ending will serve.
func (p *Pool) unserved(now time.Time) int {
	n := len(p.wanting)
	for _, m := range p.fleet {
		if n == 0 {
			break
		}
		if m.State != fleet.Used || m.Closed || p.wornOut(m) || m.Kept() {
			continue
		}
		for _, l := range m.leases {
			if n > 0 && now.Sub(l.endingAt) < endingGrace {
				n--
			}
		}
	}
	return n
}

// settle ends the search of l: it holds its machine.
func (p *Pool) settle(l *Lease) {
	l.state = held
	if l.job == 0 {
		p.deliver(l)
		return
	}
	p.begin(l, func() { p.deliver(l) })
}

// deliver tells whoever waits in Acquire or Machine.
func (p *Pool) deliver(l *Lease) {
	switch {
	case l.state != held: // given back meanwhile
	case l.m == nil:
		p.fail(l, ErrLost)
	default:
		p.countReserved(l)
		close(l.ready)
	}
	l.answer(nil)
}

// use notes the job that l is for.
func (p *Pool) use(l *Lease, job int64, then func()) error {
	switch {
	case l.state == ended:
		return l.err
	case l.state == held && l.m == nil:
		return ErrLost
	case l.job != 0:
		return fmt.Errorf("the lease serves job %d already", l.job)
	}
	l.job = job
	p.demand.arrived(time.Now())
	if l.state == held {
		p.begin(l, then)
		return nil
	}
	p.want(l)
	then()
	return nil
}

// begin starts l's job on its machine, and calls then once the journal knows.
func (p *Pool) begin(l *Lease, then func()) {
	m := l.m
	l.began = time.Now()
	p.leased.Acquired++
	m.UsedCount++
	m.SetJobs(append(m.Jobs(), l.job))
	m.IdleSince = time.Time{}
	if m.State == fleet.Used {
		p.tell(m, fleet.MachineEvent{From: m.State, JobID: l.job})
	}
	p.settleState(m, "")
	p.save(m, func(error) { then() }) // not written: the job runs, and a crash takes the machine for idle, to be cleaned
}

// release ends l. What became of its machine is decided here.
func (p *Pool) release(l *Lease, broken bool) {
	m := l.m
	p.countEnd(l)
	switch l.state {
	case ended:
		return
	case reserved:
		p.reserved--
	case wanting:
		p.wanting = slices.DeleteFunc(p.wanting, func(other *Lease) bool { return other == l })
	}
	had := l.state
	p.fail(l, ErrReleased)
	if m == nil {
		return
	}
	m.let(l)
	if had == pairing && !broken {
		return // probed goes on
	}
	p.returned(m, l, broken)
}

// returned is m after a lease of it, nil when that ended before: idle again, or to be removed, unless others are on it.
func (p *Pool) returned(m *machine, l *Lease, broken bool) {
	now := time.Now()
	job := l != nil && !l.began.IsZero()
	if job {
		p.demand.finished(now, now.Sub(l.began))
		m.SetJobs(slices.DeleteFunc(m.Jobs(), func(id int64) bool { return id == l.job }))
	}
	if m.JobID != 0 {
		p.stillUsed(m, broken)
		return
	}
	if job {
		m.IdleSince = now
	}
	switch {
	case broken:
		p.remove(m, reasonUnavailable)
	case m.broken != "":
		p.remove(m, m.broken)
	case job && p.wornOut(m):
		p.remove(m, reasonBuilds)
	case plan.TooOld(now, &m.Machine, p.limits(now)):
		p.remove(m, plan.TooOldMachine)
	case job:
		p.alive(m)
		p.idle(m, "")
		p.save(m, nil)
	default: // no job came: the idle clock goes on, and the feed, which is asking, needs no wake-up
		p.settleState(m, "")
	}
}

// stillUsed is m after a lease of it while jobs are on it.
func (p *Pool) stillUsed(m *machine, broken bool) {
	if broken && m.broken == "" {
		p.spoil(m, reasonUnavailable)
	}
	p.settleState(m, "")
	p.newIdle = true // a slot of it is free
	p.save(m, nil)
}

// idle makes a slot of m free and wakes the feed unless a job waits.
func (p *Pool) idle(m *machine, reason string) {
	p.settleState(m, reason)
	p.newIdle = true
}

// detach takes m away from its leases, since it is to be removed. A lease that had it probed looks for another one, one without a job
// has the right to one; a job finds out.
func (p *Pool) detach(m *machine) {
	now := time.Now()
	m.Closed = true
	m.SetJobs(nil)
	for _, l := range slices.Clone(m.leases) {
		m.let(l)
		switch {
		case !l.began.IsZero():
			p.demand.finished(now, now.Sub(l.began))
		case l.state == pairing:
			p.take(l, true)
		case l.state == held && l.job == 0:
			p.promise(l)
		}
	}
}

// fail ends l with an error, for whoever waits in Acquire or Machine.
func (p *Pool) fail(l *Lease, err error) {
	if l.state == ended {
		return
	}
	if l.state == wanting {
		p.wanting = slices.DeleteFunc(p.wanting, func(other *Lease) bool { return other == l })
	}
	l.state, l.err = ended, err
	l.answer(err)
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}
}

// chargeFailure counts a failed creation against the job that saw the fewest, and tells a job that saw enough. What only a human
// can mend is told at once.
func (p *Pool) chargeFailure(err error) {
	if len(p.wanting) == 0 {
		return
	}
	l := slices.MinFunc(p.wanting, func(a, b *Lease) int { return a.fails - b.fails })
	l.fails++
	kind := driver.KindOf(err)
	if l.fails >= maxCreationFailures || kind == abi.Invalid || kind == abi.Auth {
		p.fail(l, fmt.Errorf("no machine could be made: %w", err))
	}
}
