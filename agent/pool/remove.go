package pool

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The reasons for removals that are the pool's, in GitLab Runner's words where it has them; the plan has its own.
const (
	reasonBuilds      = "Too many builds"
	reasonFailed      = "Failed to create"
	reasonUnavailable = "machine is unavailable"
	reasonDrain       = "shutdown drain"
	reasonTakenOver   = "taken over to be removed" // by agent/migrate, which writes it down
	reasonAsked       = "asked for by the operator"
	reasonOrphan      = "bears our owner tag and is in no journal"
	reasonDriver      = "its runner has another driver now"
)

// The pause after a removal that failed doubles from the first to the longest. It is tried for ever: a machine that nobody retries
// costs money.
const (
	firstRemovalPause   = time.Second
	longestRemovalPause = 5 * time.Minute
)

var (
	// ErrUnknown means that the pool has no machine of that name.
	ErrUnknown = errors.New("no such machine")
	// ErrInUse means that a job holds the machine.
	ErrInUse = errors.New("the machine is in use")
)

// RemoveMachine removes one machine by hand and waits until it is gone or ctx ends; the removal goes on then. A machine in use is
// refused with ErrInUse. A removal that failed before is tried again at once.
func (p *Pool) RemoveMachine(ctx context.Context, name string) error {
	return p.removal(ctx, func() (*machine, error) {
		m := p.byName[name]
		switch {
		case p.opts.Watch != nil:
			return nil, ErrWatching
		case m == nil:
			return nil, ErrUnknown
		case m.Held():
			return nil, ErrHeld
		case p.shared.frozen():
			return nil, ErrFrozen
		case m.wanted(): // one that only waits for a job gets another machine
			return nil, ErrInUse
		case m.State == fleet.Removing:
			m.retryAt = time.Time{}
			p.startRemoval(m)
		default:
			p.remove(m, reasonAsked)
		}
		return m, nil
	})
}

// removal waits for the end of a removal that begin, which runs on the loop, began.
func (p *Pool) removal(ctx context.Context, begin func() (*machine, error)) error {
	var err error
	gone := make(chan struct{})
	asked := p.do(func() {
		var m *machine
		if m, err = begin(); err == nil {
			m.onGone = append(m.onGone, func() { close(gone) })
		}
	})
	if !asked {
		return ErrStopped
	}
	if err != nil {
		return err
	}
	select {
	case <-gone:
		return nil
	case <-p.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remove begins a removal: a creation under way is cut off, a lease loses the machine.
func (p *Pool) remove(m *machine, reason string) {
	if m.State == fleet.Removing {
		return
	}
	if m.Held() {
		p.keep(m, reason)
		return
	}
	if m.cancel != nil {
		m.cancel()
	}
	m.RemoveReason = reason
	p.log.Info("Requesting machine removal", p.about(m)...)
	p.detach(m)
	p.enter(m, fleet.Removing, reason)
	p.startRemoval(m)
}

// about is what the lines of a removal say of a machine, with GitLab Runner's fields: lifetime since the creation was decided, used since
// the last job ended.
func (p *Pool) about(m *machine) []any {
	now, idle := time.Now(), time.Duration(0)
	if !m.IdleSince.IsZero() {
		idle = now.Sub(m.IdleSince)
	}
	return []any{
		"name", m.Name, "instance_id", m.Instance.ID, "lifetime", now.Sub(m.CreatedAt), "used", idle, "usedCount", m.UsedCount,
		"reason", m.RemoveReason,
	}
}

// startRemoval asks the provider to remove m, once no other call for m is under way. The journal knows before, and forgets after.
func (p *Pool) startRemoval(m *machine) {
	if m.busy {
		return // free comes back to it
	}
	if p.shared.frozen() {
		p.save(m, nil) // and retryRemovals comes back to it
		return
	}
	m.busy = true
	p.save(m, func(error) { // not written: the record before leads to a removal just as well
		record, in, gate := m.Machine, p.accountOf(m.Driver, m.Options), p.removeGate()
		p.log.Info("Removing machine", p.about(m)...)
		p.call(func() func() {
			err := p.callRemove(p.ctx, gate, record, in, m.listed || record.Instance.ID != "")
			return func() { p.removed(m, err) }
		})
	})
}

// free ends the call under way for m, and begins the removal that waited for that.
func (p *Pool) free(m *machine) {
	m.busy = false
	if m.State == fleet.Removing {
		p.startRemoval(m)
	}
}

// callRemove runs elsewhere. seen is whether the provider ever showed the instance.
func (p *Pool) callRemove(ctx context.Context, gate chan struct{}, m fleet.Machine, in *account, seen bool) error {
	if err := enterGate(ctx, gate); err != nil {
		return err
	}
	defer leaveGate(gate)
	d, err := p.opts.Drivers(m.Driver)
	if err != nil {
		return err
	}
	if err := in.enterFor(ctx, opRemove, d); err != nil {
		return err
	}
	if p.shared.frozen() {
		return ErrFrozen
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.CallTimeout)
	defer cancel()
	err = d.Remove(ctx, abi.RemoveRequest{
		ABI: abi.Version, Owner: p.owner(), Name: m.Name, ID: m.Instance.ID, Options: driverOptions(m.Options), State: m.Instance.State,
	})
	in.answered(err)
	if !seen && errors.Is(err, driver.ErrInvalid) {
		// The driver refused the very options that its creation was refused for: nothing was ever made, nor ever could be removed.
		err = nil
	}
	if err != nil {
		return err
	}
	if _, own := d.(driver.SelfPaced); own { // a group's books know what may still show up, and nobody else can ask about it
		return p.opts.Journal.Remove(m.Name)
	}
	// The provider may not know yet that it makes one.
	if err := p.shared.leave(fleet.Place{Driver: m.Driver, Options: driverOptions(m.Options), Machine: m.Name, Left: time.Now()}); err != nil {
		return err
	}
	return p.opts.Journal.Remove(m.Name)
}

func (p *Pool) removed(m *machine, err error) {
	m.busy = false
	var underWay *driver.UnderWay
	switch {
	case err == nil:
		p.log.Info("Machine removed", append(p.about(m), "now", time.Now(), "retries", m.RemoveTries)...)
		if p.draining {
			p.log.Info("Machine drained successfully", "name", m.Name)
		}
		p.gone(m)
	case p.ctx.Err() != nil: // cut off by Stop; the next start goes on
	case errors.Is(err, ErrFrozen): // retryRemovals goes on when that ends
	case errors.As(err, &underWay):
		m.retryAt = time.Now().Add(underWay.Again)
	default:
		m.RemoveTries++
		m.RemoveErr = err.Error()
		m.retryAt = time.Now().Add(max(
			delay(m.RemoveTries-1, firstRemovalPause, longestRemovalPause, p.opts.Jitter()), retryAfter(err)))
		p.drainFailed(m, err)
		p.log.Warn("Machine removal failed", "name", m.Name, "reason", m.RemoveReason, "attempts", m.RemoveTries,
			"next_try", m.retryAt, "error", err)
		p.tell(m, fleet.MachineEvent{From: fleet.Removing, Reason: m.RemoveReason, Err: err.Error(),
			Op: fleet.OpRemove, Kind: driver.KindOf(err)})
	}
}

// gone drops a machine that exists no more.
func (p *Pool) gone(m *machine) {
	p.drop(m)
	p.past[m.Name] = time.Now()
	e := fleet.MachineEvent{From: m.State, Gone: true, Reason: m.RemoveReason, Duration: time.Since(m.StateSince), Age: time.Since(m.CreatedAt)}
	if m.RemoveReason != "" {
		e.Cause = cause(m.RemoveReason)
	}
	p.tell(m, e)
	for _, f := range m.onGone {
		f()
	}
}

func (p *Pool) retryRemovals(now time.Time) {
	if p.ctx.Err() != nil || p.shared.frozen() {
		return
	}
	for _, m := range slices.Clone(p.fleet) {
		if m.State == fleet.Removing && !m.busy && !m.leftOver && !now.Before(m.retryAt) {
			p.startRemoval(m)
		}
	}
}

// wornOut tells whether m ran all the jobs that it may.
func (p *Pool) wornOut(m *machine) bool {
	limit := plan.MaxBuilds(p.tightened(), p.settings.limits())
	return limit > 0 && m.UsedCount >= limit
}
