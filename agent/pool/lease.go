package pool

import (
	"context"
	"errors"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

var (
	// ErrNoMachine means that no machine is idle and none may be made for a job, so none should be asked for. The text is GitLab
	// Runner's.
	ErrNoMachine = errors.New("no free machines that can process builds")
	// ErrReleased means that the lease was given back.
	ErrReleased = errors.New("the lease on the machine was given back")
	// ErrLost means that the machine is being removed although the lease held it.
	ErrLost = errors.New("the machine was removed from under the lease")
)

// Lease is the hold of one worker on a slot of one machine, or on the right to have one made. Its methods may be called from any goroutine.
// Who has a lease must Release it.
type Lease struct {
	p *Pool

	// What follows belongs to the pool's loop.
	state leaseState
	m     *machine // of pairing and held
	waits bool     // has a job, or is promised one: it waits rather than fails
	job   int64    // 0 before Use
	fails int      // creations that failed while it waited

	counted  bool      // as a reservation
	since    time.Time // that it has its machine
	wantedAt time.Time // that it looks for one; zero while it has one
	began    time.Time // when its job began on the machine; zero before
	endingAt time.Time // when its job was about to end; zero unless it is
	answer   func(error)

	err error // why it ended

	ready chan struct{} // closed when it holds a machine, or ended

	notice chan struct{} // closed when the provider takes the machine back under the job
	taken  error         // what it says of that; set before notice is closed
	lost   chan struct{} // closed when the provider has the machine no more, or has switched it off, under the job
	over   error         // what it says of that; set before lost is closed
}

type leaseState int

const (
	asking   leaseState = iota // looks for an idle machine
	reserved                   // may have a machine made once there is a job
	wanting                    // waits for a machine, whichever is ready first
	pairing                    // its machine's engine is being probed
	held                       // has a machine
	ended
)

// Acquire returns a lease for a worker that is about to ask for a job.
//
// Where a machine is idle the lease holds it, and its engine answered just now. Otherwise, when the policies want no idle machines
// (IdleCount 0) and there is room for another machine, the lease is the right to have one: it is made once Use brings a job, so
// that asking for jobs costs nothing. Otherwise the error is ErrNoMachine. Acquire blocks for a probe at most.
func (p *Pool) Acquire(ctx context.Context) (*Lease, error) { return p.lease(ctx, false) }

// AcquireForJob returns a lease for a job in hand, such as one whose machine broke: where no machine is idle it waits for the first
// that becomes ready, and one is made for it as soon as limits permit. Lease.Machine is where it blocks.
func (p *Pool) AcquireForJob(ctx context.Context) (*Lease, error) { return p.lease(ctx, true) }

func (p *Pool) lease(ctx context.Context, waits bool) (*Lease, error) {
	answered := make(chan error, 1)
	l := &Lease{p: p, waits: waits, ready: make(chan struct{}), notice: make(chan struct{}), lost: make(chan struct{})}
	l.answer = func(err error) {
		select {
		case answered <- err:
		default: // answered before
		}
	}
	if p.opts.Watch != nil {
		return nil, ErrWatching
	}
	if !p.do(func() { p.take(l, false) }) {
		return nil, ErrStopped
	}
	select {
	case err := <-answered:
		if err != nil {
			return nil, err
		}
		return l, nil
	case <-ctx.Done():
		l.Release(false)
		return nil, ctx.Err()
	case <-p.done:
		return nil, ErrStopped
	}
}

// goOn makes the leases of a machine whose jobs an agent before has begun and this one goes on with.
func (p *Pool) goOn(m *machine) {
	for _, job := range m.Jobs() {
		l := &Lease{p: p, state: held, waits: true, job: job, began: m.StateSince, answer: func(error) {}, ready: make(chan struct{}), notice: make(chan struct{}), lost: make(chan struct{})}
		close(l.ready)
		m.hold(l)
		p.kept[job] = l
		p.demand.arrived(time.Now())
	}
	m.close()
	if p.otherDriver(m) {
		p.spoil(m, reasonDriver)
	}
}

// Kept returns the lease of a job of Options.GoesOn, once; nil when its machine is not there any more.
func (p *Pool) Kept(jobID int64) *Lease {
	var l *Lease
	p.do(func() {
		l = p.kept[jobID]
		delete(p.kept, jobID)
		if l != nil && l.m == nil {
			l = nil
		}
	})
	return l
}

// Use says that the job runs on the lease's machine from now on, or will as soon as it has one. Where it has one, the journal knows
// when Use returns. A lease serves one job.
func (l *Lease) Use(jobID int64) error {
	var err error
	done := make(chan struct{})
	if !l.p.do(func() { err = l.p.use(l, jobID, func() { close(done) }) }) {
		return ErrStopped
	}
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-l.p.done:
		return ErrStopped
	}
}

// Machine returns the machine and where its engine answers. It blocks until there is one, which can take as long as a creation, or
// until ctx ends; the lease must be released all the same. The error is the last creation's when several failed while it waited,
// ErrReleased after Release, and ErrStopped when the pool ends.
func (l *Lease) Machine(ctx context.Context) (fleet.Machine, fleet.Endpoint, error) {
	for {
		var ready <-chan struct{}
		if !l.p.do(func() { l.p.want(l); ready = l.ready }) {
			return fleet.Machine{}, fleet.Endpoint{}, ErrStopped
		}
		select {
		case <-ready:
			if m, at, ok, err := l.held(); ok {
				return m, at, err
			}
		case <-ctx.Done():
			return fleet.Machine{}, fleet.Endpoint{}, ctx.Err()
		case <-l.p.done:
			return fleet.Machine{}, fleet.Endpoint{}, ErrStopped
		}
	}
}

// held returns the machine as it is now. It is not ok when the lease has lost it meanwhile and looks for another one.
func (l *Lease) held() (m fleet.Machine, at fleet.Endpoint, ok bool, err error) {
	ok = true
	ran := l.p.do(func() {
		switch {
		case l.err != nil:
			err = l.err
		case l.state != held:
			ok = false
		case l.m == nil:
			err = ErrLost
		default:
			m, at = l.m.Machine, l.p.opts.Provisioner.Endpoint(l.m.Machine)
		}
	})
	if !ran {
		err = ErrStopped
	}
	return m, at, ok, err
}

// Ending says that the coordinator is about to hear of the job's end, and that Release follows as soon as the engine is cleared. A job
// that comes meanwhile (often the next stage of the same pipeline) waits for this machine rather than for one made for it.
func (l *Lease) Ending() {
	l.p.do(func() {
		if l.m != nil && !l.began.IsZero() {
			l.endingAt = time.Now()
		}
	})
}

// Release gives the machine back: to the next job, or, when broken says that its engine failed the job, to be removed. A machine
// that is still being created for the lease goes to whoever needs it next. Releasing twice does nothing.
func (l *Lease) Release(broken bool) { l.p.do(func() { l.p.release(l, broken) }) }
