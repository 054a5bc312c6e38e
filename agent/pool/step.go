package pool

import (
	"context"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
)

// step follows every event: jobs that wait get what became idle, and the plan says what else is to be done.
func (p *Pool) step() {
	if p.stopping {
		return
	}
	p.assign()
	p.wake()
	if p.decision == nil {
		return
	}
	now := time.Now()
	d := plan.WithWaiting(p.effective(now), p.fleetView(), len(p.wanting))
	actions := plan.Plan(now, p.view, d, p.settings.limits())
	if p.announce {
		p.announce = false
		p.out.send(fleet.Event{At: now, Runner: p.settings.Runner.Name, Decision: p.decision, Actions: actions,
			Rails: plan.Rails(p.view, d, p.settings.limits())})
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

// effective is the last decision with what failures make of it: nothing is created before the pause is over, and then one machine
// at a time until one succeeds.
func (p *Pool) effective(now time.Time) fleet.Decision {
	d := *p.decision
	if p.backoff.failures > 0 {
		d.GrowthLimit = 1
		d.NoGrowth = d.NoGrowth || now.Before(p.backoff.until)
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
		return func() { p.decided(d) }
	})
}

func (p *Pool) decided(d fleet.Decision) {
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
	p.decision = &d
	if old == nil || old.IdleTarget != d.IdleTarget || old.IdleTime != d.IdleTime || old.Reason != d.Reason || old.NoGrowth != d.NoGrowth {
		p.announce = true
		l := p.settings.limits()
		p.log.Debug("Docker Machine Details", "idleTarget", d.IdleTarget, "idleTime", d.IdleTime, "reason", d.Reason,
			"maxMachines", l.Limit, "maxMachineCreate", l.MaxGrowthRate, "counts", p.fleetView().Counts())
	}
}
