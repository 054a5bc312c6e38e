package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// step is one run of Plan: the counts as they are after the actions so far.
type step struct {
	d fleet.Decision
	l fleet.Limits

	counts    abi.Counts      // before all actions
	idle      []fleet.Machine // not removed yet and not kept, in the order in which they go
	cordoned  []fleet.Machine // idle ones, but for those that are held
	available int
	live      int // all but those being removed

	actions []fleet.Action
}

func newStep(now time.Time, f fleet.Fleet, d fleet.Decision, l fleet.Limits) *step {
	c := f.Counts()
	s := &step{d: d, l: l, counts: c, available: c.Available, live: c.Total - c.Removing - c.Stuck}
	for _, m := range f {
		switch {
		case m.State != fleet.Idle || m.Held():
		case m.Cordoned:
			s.cordoned = append(s.cordoned, m)
		default:
			s.idle = append(s.idle, m)
		}
	}
	for _, list := range [][]fleet.Machine{s.idle, s.cordoned} {
		slices.SortFunc(list, func(a, b fleet.Machine) int {
			return cmp.Or(cmp.Compare(b.Silent, a.Silent), cmp.Compare(warm(now, a), warm(now, b)), a.IdleSince.Compare(b.IdleSince), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
		})
	}
	return s
}

// warmFor is how long a machine that has run no job yet counts as just warmed.
const warmFor = time.Minute

// warm is 1 for a machine that has just been warmed, else 0.
func warm(now time.Time, m fleet.Machine) int {
	if m.UsedCount == 0 && !m.ReadyAt.IsZero() && now.Sub(m.ReadyAt) < warmFor {
		return 1
	}
	return 0
}

// removeOld removes the machines that are older than the operator allows. Cordoned ones too: they would stay for ever.
func (s *step) removeOld(now time.Time) {
	if MaxAge(s.l) <= 0 {
		return
	}
	reason := tooOldReason(s.l)
	s.removeWhere(reason, func(m fleet.Machine) bool { return TooOld(now, m, s.l) })
	for _, m := range s.cordoned {
		if TooOld(now, m, s.l) {
			s.remove(m, reason)
			s.available++ // it did not count as such
		}
	}
}

// removeWornOut removes the idle machines that ran all the jobs they may.
func (s *step) removeWornOut() {
	limit := MaxBuilds(s.d, s.l)
	if limit <= 0 {
		return
	}
	s.removeWhere(TooManyBuilds, func(m fleet.Machine) bool { return m.UsedCount >= limit })
}

// removeNamed removes the machines that the policies named, as far as they are idle.
func (s *step) removeNamed() {
	if len(s.d.Remove) == 0 {
		return
	}
	reasons := make(map[string]string, len(s.d.Remove))
	for _, r := range s.d.Remove {
		reasons[r.Name] = cmp.Or(r.Reason, "asked for by a policy")
	}
	s.idle = slices.DeleteFunc(s.idle, func(m fleet.Machine) bool {
		reason, ok := reasons[m.Name]
		if ok {
			s.remove(m, reason)
		}
		return ok
	})
}

// removeOverLimit removes idle machines while the live ones exceed the limit or a ceiling. Those being removed leave anyway: counting
// them would remove a second machine for each.
func (s *step) removeOverLimit() {
	s.removeOver(TooManyMachines, s.l.Limit, s.live)
	s.removeOver(tooManyReason("max_machines of the runner", s.l.Own.MaxMachines), s.l.Own.MaxMachines, s.live)
	s.removeOver(tooManyReason("max_machines", s.l.All.MaxMachines), s.l.All.MaxMachines, s.live+s.l.Agent.Live)
}

func (s *step) removeOver(reason string, limit, live int) {
	if limit <= 0 {
		return
	}
	over := live - limit
	s.removeWhere(reason, func(fleet.Machine) bool {
		over--
		return over >= 0
	})
}

// removeAged removes machines beyond the target that are idle for too long.
func (s *step) removeAged(now time.Time) {
	excess := s.available - max(s.d.IdleTarget, 0)
	s.removeWhere(TooManyIdle, func(m fleet.Machine) bool {
		if excess <= 0 || now.Sub(m.IdleSince) <= s.d.IdleTime {
			return false
		}
		excess--
		return true
	})
}

// removeWhere removes the idle machines that match: first those that do not answer, then the longest idle, last those just warmed.
func (s *step) removeWhere(reason string, match func(fleet.Machine) bool) {
	s.idle = slices.DeleteFunc(s.idle, func(m fleet.Machine) bool {
		if !match(m) {
			return false
		}
		s.remove(m, reason)
		return true
	})
}

func (s *step) remove(m fleet.Machine, reason string) {
	s.actions = append(s.actions, fleet.Action{Kind: fleet.Remove, Machine: m.Name, Reason: reason})
	s.available--
	s.live--
}
