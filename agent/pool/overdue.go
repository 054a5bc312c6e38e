package pool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// What a machine can be in for too long, as events, log and metrics call it.
const (
	overdueCreating     = string(fleet.Creating)
	overdueProvisioning = "provisioning"
	overdueAcquired     = string(fleet.Acquired)
	overdueRemoving     = string(fleet.Removing)
)

// removingRemind is between two lines of the log about one removal that does not come to its end.
const removingRemind = time.Hour

// watch looks for machines that are in one state for too long, and does what gets them out of it.
func (p *Pool) watch(now time.Time) {
	for _, m := range slices.Clone(p.fleet) {
		switch {
		case m.State == fleet.Removing:
			p.watchRemoving(m, now)
		case p.stopping:
		case m.State == fleet.Creating:
			p.watchCreating(m, now)
		default:
			p.watchAcquired(m, now)
		}
	}
}

// watchCreating ends creations that take too long, such as those whose instance never runs. A call that is under way was told to end
// at the same time; when it does not, the removal waits for it.
func (p *Pool) watchCreating(m *machine, now time.Time) {
	limit := p.opts.CreateTimeout
	if m.busy {
		limit += p.opts.CallTimeout + p.opts.Tick
	}
	if now.Sub(m.CreatedAt) < limit {
		return
	}
	err := fmt.Errorf("not ready after %s: %w", p.opts.CreateTimeout, context.DeadlineExceeded)
	p.overdue(m, overdueCreating, "it is removed and another one made: "+err.Error())
	p.creationFailed(m, err)
}

// watchAcquired takes slots back from leases that have no job for too long. The leases stay as good as those without a machine.
func (p *Pool) watchAcquired(m *machine, now time.Time) {
	late := slices.DeleteFunc(m.in(held), func(l *Lease) bool { return l.job != 0 || now.Sub(l.since) < p.opts.AcquireTimeout })
	if len(late) == 0 {
		return
	}
	p.overdue(m, overdueAcquired, fmt.Sprintf("no job came for %s; it is idle again", p.opts.AcquireTimeout))
	for _, l := range late {
		m.let(l)
		p.promise(l)
	}
	if m.State == fleet.Acquired && len(m.leases) == 0 {
		p.returned(m, nil, false)
	}
}

// watchRemoving tells of removals that do not come to their end. They are tried for ever.
func (p *Pool) watchRemoving(m *machine, now time.Time) {
	if now.Sub(m.StateSince) < p.opts.RemoveTimeout || now.Sub(m.overdueAt) < removingRemind {
		return
	}
	m.overdueAt = now
	p.overdue(m, overdueRemoving, fmt.Sprintf("not gone after %s and %d tries; it is tried for ever", now.Sub(m.StateSince).Round(time.Second), m.RemoveTries))
}

func (p *Pool) overdue(m *machine, in, action string) {
	p.log.Warn("Machine is overdue", "name", m.Name, "instance", m.Instance.ID, "in", in, "since", m.StateSince, "phase", m.phase,
		"action", action, "last_error", m.RemoveErr)
	p.tell(m, fleet.MachineEvent{From: m.State, Overdue: in, Err: action})
}
