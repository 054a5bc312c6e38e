package pool

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
)

// step follows every event: jobs that wait get what became idle, and the plan says what else is to be done.
func (p *Pool) step() {
	defer p.publish()
	if p.stopping {
		return
	}
	p.assign()
	p.wake()
	if p.decision == nil {
		return
	}
	now := time.Now()
	d := plan.WithWaiting(p.effective(), p.view, p.unserved(now))
	limits := p.limits(now)
	actions := plan.Plan(now, p.view, d, limits)
	if p.announce {
		p.announce = false
		p.out.send(fleet.Event{At: now, Runner: p.settings.Runner.Name, Executor: p.settings.Executor, Decision: p.decision, Actions: actions,
			Rails: p.rails(now, d, limits)})
	}
	if p.opts.Watch != nil {
		if p.saw {
			p.report(actions, p.rails(now, d, limits))
		}
		return
	}
	waiting := ""
	if n := len(p.wanting); n > 0 {
		waiting = fmt.Sprintf("; %d jobs wait", n)
	}
	for _, a := range actions {
		switch a.Kind {
		case fleet.Create:
			p.create(a.Reason + waiting)
		case fleet.Remove:
			if m := p.byName[a.Machine]; m.State == fleet.Idle { // as it was for the plan
				p.remove(m, a.Reason)
			}
		}
	}
}

// never is an IdleTime that no machine reaches.
const never = time.Duration(math.MaxInt64)

// effective is the last decision as far as it still holds. One that answers settings which are no more neither creates nor removes;
// one for another number of used machines removes none for idleness, since its target may depend on that number: the next decision is
// a tick away at most. Machines that providers take back are replaced.
func (p *Pool) effective() fleet.Decision {
	d := *p.decision
	switch {
	case p.stale:
		d.IdleTarget, d.IdleTime, d.Remove = 0, never, nil
	case p.usedThen != p.running():
		d.IdleTime = never
	}
	if !p.stale {
		d.IdleTarget += p.replacements()
	}
	if p.ebbing {
		d = p.ebb(d)
	}
	return d
}

// ask asks the policies for a decision, once a tick at most and one thing at a time.
func (p *Pool) ask(now time.Time) {
	if p.opts.Decider == nil || p.asking || now.Sub(p.askedAt) < p.opts.Tick {
		return
	}
	p.asking, p.askedAt = true, now
	snapshot := p.snapshot(now)
	p.call(func() func() {
		ctx, cancel := context.WithTimeout(p.ctx, p.opts.CallTimeout)
		defer cancel()
		d := p.opts.Decider.Decide(ctx, snapshot)
		return func() { p.decided(d, snapshot.Demand.Running) }
	})
}

// decided takes a decision that was made while so many jobs ran.
func (p *Pool) decided(d fleet.Decision, used int) {
	p.asking = false
	if p.stopping {
		return
	}
	if p.askAgain { // it answers settings that are no more
		p.askAgain = false
		p.ask(time.Now())
		return
	}
	if d.At.IsZero() {
		d.At = time.Now()
	}
	old := p.decision
	p.decision, p.usedThen, p.stale = &d, used, false
	if old == nil || old.IdleTarget != d.IdleTarget || old.IdleTime != d.IdleTime || old.Reason != d.Reason || old.NoGrowth != d.NoGrowth {
		p.announce = true
		p.details(d)
	}
}

// details logs the state of the fleet at a new decision, with GitLab Runner's words and fields, and ours beside them.
func (p *Pool) details(d fleet.Decision) {
	c, l, r := p.view.Counts(), p.limits(time.Now()), p.settings.Runner
	p.log.Debug("Docker Machine Details", "used", c.Used+c.Acquired, "idle", c.Idle, "total", c.Total, "creating", c.Creating,
		"removing", c.Removing+c.Stuck, "idleCount", r.IdleCount, "idleCountMin", r.IdleCountMin, "idleScaleFactor", r.IdleScaleFactor,
		"maxMachines", l.Limit, "maxMachineCreate", l.MaxGrowthRate, "idleTarget", d.IdleTarget, "idleTime", d.IdleTime, "reason", d.Reason)
}
