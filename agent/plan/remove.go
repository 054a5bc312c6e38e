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
	now time.Time
	d   fleet.Decision
	l   fleet.Limits

	counts    abi.Counts       // before all actions
	idle      []*fleet.Machine // not removed yet and not kept
	cordoned  []*fleet.Machine // idle ones, but for those that are held
	sorted    bool             // idle is in the order in which they go
	available int              // slots
	live      int              // machines: all but those being removed

	actions []fleet.Action
}

func newStep(now time.Time, f fleet.Fleet, d fleet.Decision, l fleet.Limits) *step {
	c := f.Counts()
	s := &step{now: now, d: d, l: l, counts: c, available: available(Slots(now, f, d, l)), live: c.Total - c.Removing - c.Stuck}
	s.idle = make([]*fleet.Machine, 0, c.Idle)
	for _, m := range f {
		switch {
		case m.State != fleet.Idle || m.Held():
		case m.Cordoned:
			s.cordoned = append(s.cordoned, m)
		default:
			s.idle = append(s.idle, m)
		}
	}
	return s
}

// inOrder sorts machines: first those that do not answer, then the longest idle, last those just warmed.
func (s *step) inOrder(list []*fleet.Machine) {
	slices.SortFunc(list, func(a, b *fleet.Machine) int {
		return cmp.Or(cmp.Compare(b.Silent, a.Silent), cmp.Compare(warm(s.now, a), warm(s.now, b)), a.IdleSince.Compare(b.IdleSince),
			a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
	})
}

// warmFor is how long a machine that has run no job yet counts as just warmed.
const warmFor = time.Minute

// warm is 1 for a machine that has just been warmed, else 0.
func warm(now time.Time, m *fleet.Machine) int {
	if m.UsedCount == 0 && !m.ReadyAt.IsZero() && now.Sub(m.ReadyAt) < warmFor {
		return 1
	}
	return 0
}

// removeOld removes the machines that are older than the operator allows. Cordoned ones too: they would stay for ever.
func (s *step) removeOld() {
	if MaxAge(s.l) <= 0 {
		return
	}
	reason := tooOldReason(s.l)
	old := func(m *fleet.Machine) bool { return TooOld(s.now, m, s.l) }
	s.removeWhere(reason, old)
	s.inOrder(s.cordoned)
	for _, m := range s.cordoned {
		if old(m) {
			s.remove(m, reason)
		}
	}
}

// removeWornOut removes the idle machines that ran all the jobs they may.
func (s *step) removeWornOut() {
	limit := MaxBuilds(s.d, s.l)
	if limit <= 0 {
		return
	}
	s.removeWhere(TooManyBuilds, func(m *fleet.Machine) bool { return m.UsedCount >= limit })
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
	s.removeUpTo(len(s.idle), func(m *fleet.Machine) (string, bool) {
		reason, ok := reasons[m.Name]
		return reason, ok
	})
}

// removeOverLimit removes idle machines while the live ones exceed the limit or a ceiling. Those being removed leave anyway: counting
// them would remove a second machine for each.
func (s *step) removeOverLimit() {
	s.removeOver(s.l.Limit, s.live, func() string { return TooManyMachines })
	s.removeOver(s.l.MaxInstances, s.live, func() string { return tooManyReason(causeInstances, s.l.MaxInstances) })
	s.removeOver(s.l.Own.MaxMachines, s.live, func() string { return tooManyReason("max_machines of the runner", s.l.Own.MaxMachines) })
	s.removeOver(s.l.All.MaxMachines, s.live+s.l.Agent.Live, func() string { return tooManyReason("max_machines", s.l.All.MaxMachines) })
}

func (s *step) removeOver(limit, live int, reason func() string) {
	if limit <= 0 || live <= limit {
		return
	}
	because := reason()
	s.removeUpTo(live-limit, func(*fleet.Machine) (string, bool) { return because, true })
}

// removeAged removes machines beyond the target that are idle for too long, as long as the slots of the others are enough.
func (s *step) removeAged() {
	target := max(s.d.IdleTarget, 0)
	s.removeUpTo(len(s.idle), func(m *fleet.Machine) (string, bool) {
		return TooManyIdle, s.now.Sub(m.IdleSince) > s.d.IdleTime && s.available-Free(s.now, m, s.d, s.l) >= target
	})
}

// removeWhere removes the idle machines that match.
func (s *step) removeWhere(reason string, match func(*fleet.Machine) bool) {
	s.removeUpTo(len(s.idle), func(m *fleet.Machine) (string, bool) { return reason, match(m) })
}

// removeUpTo removes n of the idle machines that match, in the order in which they go. Mostly none does, and no order is made.
func (s *step) removeUpTo(n int, match func(*fleet.Machine) (reason string, ok bool)) {
	matches := func(m *fleet.Machine) bool {
		_, ok := match(m)
		return ok
	}
	if n <= 0 || !slices.ContainsFunc(s.idle, matches) {
		return
	}
	if !s.sorted {
		s.inOrder(s.idle)
		s.sorted = true
	}
	s.idle = slices.DeleteFunc(s.idle, func(m *fleet.Machine) bool {
		reason, ok := match(m)
		if !ok || n <= 0 {
			return false
		}
		n--
		s.remove(m, reason)
		return true
	})
}

func (s *step) remove(m *fleet.Machine, reason string) {
	s.actions = append(s.actions, fleet.Action{Kind: fleet.Remove, Machine: m.Name, Reason: reason})
	s.available -= Free(s.now, m, s.d, s.l)
	s.live--
}
