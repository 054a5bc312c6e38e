package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// ErrWatching means that the machines are another program's, which this pool only watches.
var ErrWatching = errors.New("the machines are another program's; this agent only watches them")

// lookEvery is the pause between two looks at another program's machines.
const lookEvery = 2 * time.Second

// look asks what machines there are now.
func (p *Pool) look(now time.Time) {
	if p.looking || now.Sub(p.lookedAt) < lookEvery {
		return
	}
	p.looking, p.lookedAt = true, now
	used := map[string]bool{}
	for _, m := range p.fleet {
		if m.State == fleet.Used {
			used[m.Name] = true
		}
	}
	p.call(func() func() {
		ctx, cancel := context.WithTimeout(p.ctx, p.opts.CallTimeout)
		defer cancel()
		machines, err := p.opts.Watch(ctx, used)
		return func() {
			p.looking = false
			p.looked(machines, err)
		}
	})
}

// looked makes the fleet what the other program has. Idle times count from when a machine was first seen idle.
func (p *Pool) looked(machines []fleet.Machine, err error) {
	if err != nil {
		p.log.Warn("The machines can't be watched", "error", err)
		return
	}
	now := time.Now()
	there := map[string]bool{}
	for _, seen := range machines {
		there[seen.Name] = true
		m := p.byName[seen.Name]
		if m == nil {
			m = &machine{Machine: seen}
			m.State, m.StateSince, m.IdleSince = "", now, now
			p.add(m)
		}
		p.watched(m, seen.State, now)
	}
	for _, m := range slices.Clone(p.fleet) {
		if !there[m.Name] {
			p.tell(m, fleet.MachineEvent{From: m.State, Gone: true, Reason: "the other program removed it"})
			p.drop(m)
		}
	}
	p.saw = true
}

// watched moves a machine to the state that it was seen in, and counts jobs.
func (p *Pool) watched(m *machine, s fleet.State, now time.Time) {
	if m.State == s {
		return
	}
	if s == fleet.Used {
		p.demand.arrived(now)
		m.UsedCount++
	}
	if m.State == fleet.Used {
		p.demand.finished(now, now.Sub(m.StateSince))
	}
	if s == fleet.Idle {
		m.IdleSince = now
	}
	p.enter(m, s, "")
}

// report says what would be done, once for each change.
func (p *Pool) report(actions []fleet.Action, rails []fleet.Rail) {
	creates, why := 0, ""
	var removes []string
	for _, a := range actions {
		if a.Kind == fleet.Create {
			creates, why = creates+1, a.Reason
			continue
		}
		removes = append(removes, fmt.Sprintf("%s (%s)", a.Machine, a.Reason))
	}
	text := fmt.Sprint(creates, removes)
	if text == p.reported {
		return
	}
	first := p.reported == ""
	p.reported = text
	counts := p.view.Counts()
	log := p.log.With("reason", p.decision.Reason, "idleTarget", p.decision.IdleTarget, "idleTime", p.decision.IdleTime,
		"creating", counts.Creating, "idle", counts.Idle, "used", counts.Used)
	for _, r := range rails {
		log = log.With("rail."+r.Name, r.Reason)
	}
	if creates > 0 {
		log.Info("Would create machines", "number", creates, "why", why)
	}
	if len(removes) > 0 {
		log.Info("Would remove machines", "number", len(removes), "machines", strings.Join(removes, ", "))
	}
	if creates+len(removes) == 0 && !first {
		log.Info("Would do nothing more")
	}
}
