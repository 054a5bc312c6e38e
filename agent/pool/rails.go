package pool

import (
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
)

// limits are the guard rails as they are now: those of the settings, the operator's, and what failures make of them.
func (p *Pool) limits(now time.Time) fleet.Limits {
	l := p.settings.limits()
	if p.opts.Most != nil {
		if most := p.opts.Most(); most > 0 && (l.MaxInstances <= 0 || most < l.MaxInstances) {
			l.MaxInstances = most
		}
	}
	l.All, l.Agent = p.shared.view(p.opts.Key, now)
	if l.Throttle.PerSecond > 0 {
		l.Bucket = p.bucket.Refill(now, l.Throttle)
	}
	l.Frozen = p.shared.frozen()
	state := p.breaker.state(now)
	l.Paused, l.Trial = state == BreakerOpen, state != BreakerClosed
	return l
}

// publish tells the other pools how many machines this one has.
func (p *Pool) publish() {
	live := 0
	for _, m := range p.fleet {
		if m.State != fleet.Removing {
			live++
		}
	}
	p.shared.put(p.opts.Key, len(p.fleet), live)
}

// rails are what the guard rails change of a decision, given p.view.
func (p *Pool) rails(now time.Time, d fleet.Decision, l fleet.Limits) []fleet.Rail {
	return append(plan.Rails(now, p.view, d, l), p.overrideRail()...)
}

// railsNow are what the guard rails change of the last decision now.
func (p *Pool) railsNow(now time.Time) []fleet.Rail {
	if p.decision == nil {
		return nil
	}
	return p.rails(now, plan.WithWaiting(p.effective(), p.view, p.unserved(now)), p.limits(now))
}

// logRails logs each guard rail when it begins to change something.
func (p *Pool) logRails(now time.Time) {
	changing := map[string]bool{}
	for _, r := range p.railsNow(now) {
		key := r.Name + " " + r.Cause
		changing[key] = true
		if !p.logged[key] {
			p.log.Info("Guard rail holds", "what", r.Name, "guard_rail", r.Cause, "wanted", r.Wanted, "got", r.Got, "reason", r.Reason)
		}
	}
	p.logged = changing
}
