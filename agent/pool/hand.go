package pool

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

var (
	// ErrFrozen means that the operator froze the agent: nothing is created or removed.
	ErrFrozen = errors.New("the agent is frozen; `millwright unfreeze` ends that")
	// ErrHeld means that the operator has the machine kept.
	ErrHeld = errors.New("the machine is held; `millwright machine release` ends that")
	// ErrRemoving means that it is too late to keep the machine.
	ErrRemoving = errors.New("the machine is being removed already")
)

const (
	reasonFrozen  = "withdrawn before the provider was asked, since the agent is frozen"
	reasonHoldEnd = "its hold has ended"
)

// Cordon keeps a machine from new jobs, or with on false lets it have them again. It stays, but for its age and when it breaks. The
// journal knows when Cordon returns nil.
func (p *Pool) Cordon(ctx context.Context, name string, on bool) error {
	return p.mark(ctx, name, func(m *machine) {
		m.Cordoned = on
		p.log.Info("Machine cordoned", "name", m.Name, "on", on)
	})
}

// Hold keeps a machine for a look at it: it gets no new job and is not removed for any reason, worn out or broken, until the hold ends.
// A second hold replaces the first.
func (p *Pool) Hold(ctx context.Context, name string, h fleet.Hold) error {
	return p.mark(ctx, name, func(m *machine) {
		m.Hold = h
		p.log.Info("Machine held", "name", m.Name, "until", h.Until, "reason", h.Reason)
	})
}

// EndHold ends a machine's hold before its time; without one it does nothing.
func (p *Pool) EndHold(ctx context.Context, name string) error {
	return p.mark(ctx, name, func(m *machine) {
		if m.Held() {
			p.endHold(m, "released")
		}
	})
}

// mark changes what the operator says of a machine, and waits until it is written down.
func (p *Pool) mark(ctx context.Context, name string, change func(*machine)) error {
	if p.opts.Watch != nil {
		return ErrWatching
	}
	var err error
	written := make(chan error, 1)
	asked := p.do(func() {
		m := p.byName[name]
		switch {
		case m == nil:
			err = ErrUnknown
		case m.State == fleet.Removing:
			err = ErrRemoving
		default:
			change(m)
			p.reclaim(m)
			p.tell(m, fleet.MachineEvent{From: m.State})
			p.save(m, func(err error) { written <- err })
		}
	})
	switch {
	case !asked:
		return ErrStopped
	case err != nil:
		return err
	}
	select {
	case err := <-written:
		return err
	case <-p.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reclaim takes a machine that is kept from jobs back from leases that have no job yet; a lease becomes the right to another one.
func (p *Pool) reclaim(m *machine) {
	if !m.Kept() || m.State != fleet.Acquired && m.State != fleet.Used {
		return
	}
	p.shed(m)
	if m.State == fleet.Acquired && len(m.leases) == 0 && !m.busy {
		p.returned(m, nil, false)
	}
}

// Sync returns when the pool has taken in what was changed elsewhere, such as a freeze.
func (p *Pool) Sync() { p.do(func() {}) }

// endHolds ends the holds whose time has come.
func (p *Pool) endHolds(now time.Time) {
	for _, m := range slices.Clone(p.fleet) {
		if m.Held() && !now.Before(m.Hold.Until) {
			p.endHold(m, reasonHoldEnd)
		}
	}
}

// endHold gives a machine back to the plan. Whoever looked at it may have left something: it is cleaned before it serves.
func (p *Pool) endHold(m *machine, why string) {
	p.log.Info("Machine is held no more", "name", m.Name, "why", why)
	m.Hold = fleet.Hold{}
	m.dirty = true
	p.save(m, func(error) { // a removal writes for itself, and nothing may be written after it
		if m.broken != "" && len(m.leases) == 0 && !m.Held() {
			p.remove(m, m.broken)
		}
	})
}

// keep is what becomes of a removal while the machine is held: it waits, out of service, for the end of the hold.
func (p *Pool) keep(m *machine, reason string) {
	if m.broken != "" && m.State == fleet.Idle {
		return // it is known
	}
	m.broken = reason
	p.log.Info("Machine is kept although it would be removed", "name", m.Name, "reason", reason, "until", m.Hold.Until)
	p.detach(m)
	if m.State == fleet.Idle {
		return
	}
	if m.IdleSince.IsZero() {
		m.IdleSince = time.Now()
	}
	p.enter(m, fleet.Idle, reason)
	p.save(m, nil) // it is not being removed
}

// notAsked drops a machine that the provider was not asked for. That the operator froze the agent meanwhile is no failure.
func (p *Pool) notAsked(m *machine, err error) {
	switch {
	case p.ctx.Err() != nil: // cut off by Stop, and journalled: the next start clears it away
	case errors.Is(err, ErrFrozen):
		m.cancel()
		m.RemoveReason = reasonFrozen
		p.log.Info("Machine creation withdrawn", "name", m.Name, "reason", reasonFrozen)
		p.forgetCreation(m)
	default:
		p.notCreated(m, err)
	}
}

// forgetCreation takes a machine off the books that no provider ever heard of. What the journal can't forget is an intent, which the
// next start clears.
func (p *Pool) forgetCreation(m *machine) {
	p.shared.giveBack(p.opts.Key, m.CreatedAt)
	p.call(func() func() {
		p.opts.Journal.Remove(m.Name)
		return func() { p.gone(m) }
	})
}

// drainOn removes what a drain left alone because it was held or all was frozen.
func (p *Pool) drainOn() {
	if !p.draining || p.shared.frozen() {
		return
	}
	for _, m := range slices.Clone(p.fleet) {
		if m.State != fleet.Removing && !m.Held() {
			p.remove(m, reasonDrain)
		}
	}
}

// keptOnly tells whether nothing is left to a drain but what the operator has kept.
func (p *Pool) keptOnly() bool {
	if p.shared.frozen() {
		return true
	}
	return !slices.ContainsFunc(p.fleet, func(m *machine) bool { return !m.Held() && !m.leftOver })
}
