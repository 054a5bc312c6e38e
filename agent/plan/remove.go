package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// step is one run of Plan: the counts as they are after the actions so far.
type step struct {
	d fleet.Decision
	l fleet.Limits

	idle                       []fleet.Machine // not removed yet, longest idle first
	available, creating, total int
	live                       int // all but those being removed

	actions []fleet.Action
}

func newStep(f fleet.Fleet, d fleet.Decision, l fleet.Limits) *step {
	c := f.Counts()
	s := &step{d: d, l: l, available: c.Available, creating: c.Creating, total: c.Total, live: c.Available + c.Used}
	for _, m := range f {
		if m.State == fleet.Idle {
			s.idle = append(s.idle, m)
		}
	}
	slices.SortFunc(s.idle, func(a, b fleet.Machine) int {
		return cmp.Or(a.IdleSince.Compare(b.IdleSince), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
	})
	return s
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

// removeOverLimit removes idle machines while the live ones exceed the limit. Those being removed leave anyway: counting them
// would remove a second machine for each.
func (s *step) removeOverLimit() {
	if s.l.Limit <= 0 {
		return
	}
	over := s.live - s.l.Limit
	s.removeWhere(TooManyMachines, func(fleet.Machine) bool {
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

// removeWhere removes the idle machines that match, longest idle first.
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
