package pool

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// withdrawn deals with an instance that its provider takes back, has switched off or has no more. The machine gets no new job: a lease
// that has none yet becomes the right to another machine. A job that runs may come to its end, and is told.
func (p *Pool) withdrawn(m *machine, status abi.Status, message string) {
	reason := "the instance is " + string(status)
	told := reason
	if message != "" {
		told += ": " + message
	}
	if status == abi.StatusInterrupted && !m.interrupted {
		m.interrupted = true
		p.log.Warn("The provider takes a machine back", "name", m.Name, "instance", m.Instance.ID, "job", m.JobID, "message", message)
		p.tell(m, fleet.MachineEvent{From: m.State, Interrupted: true, Err: told})
	}
	for _, l := range m.leases {
		if l.began.IsZero() {
			continue
		}
		l.interrupt(told)
		if status != abi.StatusInterrupted {
			l.lose(told)
		}
	}
	p.spoil(m, reason)
}

// spoil removes a machine that is of no more use, once no job runs on it and no probe is under way. The driver's remove clears away
// what the instance left.
func (p *Pool) spoil(m *machine, reason string) {
	if m.State == fleet.Used || m.busy && len(m.leases) > 0 {
		m.broken = reason
		m.close()
		if m.State == fleet.Used {
			p.shed(m)
		}
		return
	}
	p.remove(m, reason)
}

// replacements is how many machines to make for jobs whose machines are being taken back: they will be tried again.
func (p *Pool) replacements() int {
	n := 0
	for _, m := range p.fleet {
		if m.State == fleet.Used && m.interrupted {
			n++
		}
	}
	return n
}

// promise turns a lease that lost its machine before it had a job into the right to have another one.
func (p *Pool) promise(l *Lease) {
	l.state = reserved
	l.ready = make(chan struct{})
	p.reserved++
}

// interrupt tells the job, once, that its machine is being taken away.
func (l *Lease) interrupt(reason string) {
	if l.taken == nil {
		l.taken = errors.New(reason)
		close(l.notice)
	}
}

// Interrupted blocks until the provider takes the machine back under the lease's job, and returns what it says of that; nil when ctx or
// the pool ends before.
func (l *Lease) Interrupted(ctx context.Context) error {
	select {
	case <-l.notice:
		return l.taken
	case <-ctx.Done():
	case <-l.p.done:
	}
	return nil
}

// lose tells the job, once, that its machine does not run any more.
func (l *Lease) lose(reason string) {
	if l.over == nil {
		l.over = errors.New(reason)
		close(l.lost)
	}
}

// Gone blocks until the provider says of the machine, under the lease's job, that it is switched off or there no more, and returns that;
// nil when ctx or the pool ends before. A list that lacks the machine says nothing before goneAfter complete ones in a row do.
func (l *Lease) Gone(ctx context.Context) error {
	select {
	case <-l.lost:
		return l.over
	case <-ctx.Done():
	case <-l.p.done:
	}
	return nil
}

// Suspect has the provider asked about the lease's machine at the next tick.
func (l *Lease) Suspect() {
	l.p.do(func() {
		if l.m == nil {
			return
		}
		if g := l.p.groups[l.m.group]; g != nil {
			g.last = time.Time{}
			if !slices.Contains(g.doubted, l.m.Name) {
				g.doubted = append(g.doubted, l.m.Name)
			}
		}
	})
}
