// Package plan decides what a fleet needs next. It is pure: the same clock, fleet, decision and limits give the same actions,
// whether the pool asks for a live runner or the simulator for last week's. It enforces the guard rails whatever a policy says.
package plan

import (
	"fmt"
	"math"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The reasons for a removal, in GitLab Runner's words, because people search their logs for them.
const (
	TooManyBuilds   = "too many builds"
	TooManyMachines = "too many machines"
	TooManyIdle     = "too many idle machines"
	TooOldMachine   = "machine is too old" // ours: GitLab Runner knows no age
)

// maxCreates bounds the creations of one step, so that no policy's number fills the memory where no limit is set.
const maxCreates = 1000

// Plan returns what to do now: removals first, then creations, since a removal may call for a replacement.
//
// The guard rails hold for every decision: no machine but an idle one is removed; with a Limit no creation makes the total exceed
// it, removing machines included; at most MaxGrowthRate machines are being created at once; an idle machine that ran MaxBuilds
// jobs goes. GrowthLimit and MaxBuilds of the decision can only tighten them. The operator's ceilings hold in the same way, and when
// all is Frozen nothing is done.
//
// All that counts what is available counts slots: a machine has one, or with Limits.Slots as many as it was made with, of which MaxBuilds
// leaves no more than the jobs that it may still run. So as many machines are made as the missing slots need, and a machine is removed for
// idleness only when the slots of the others are enough. With MaxInstances no creation makes the total exceed it either, and no more are made
// than the Bucket of the Throttle holds.
//
// An idle machine goes for the first of these reasons: it is older than MaxMachineAge; it ran MaxBuilds jobs; the policies named it;
// the live machines (all but those being removed) exceed the Limit, MaxInstances or MaxMachines; it is idle for longer than IdleTime and more than
// IdleTarget machines are available. The last two take the machine that is idle for longest first, but before it one that does not answer
// probes, and after all others one that has just been warmed for nothing yet. Removing for idleness never leaves fewer than IdleTarget available. A cordoned machine goes for its age alone, one
// that is held for nothing.
//
// The order of f does not matter. Source: GitLab Runner 19.4, autoscaling of docker+machine; its removal judges a machine by those
// that sort before it, ours by totals and age.
func Plan(now time.Time, f fleet.Fleet, d fleet.Decision, l fleet.Limits) []fleet.Action {
	if l.Frozen {
		return nil
	}
	s := newStep(now, f, d, l)
	s.removeOld()
	s.removeWornOut()
	s.removeNamed()
	s.removeOverLimit()
	s.removeAged()
	s.create()
	return s.actions
}

// Room returns how many machines may be created now, whatever the target is: what the guard rails leave. It is bounded even where
// nothing limits it.
func Room(f fleet.Fleet, d fleet.Decision, l fleet.Limits) int { return room(f.Counts(), d, l) }

// MaxBuilds returns how many jobs a machine may run: the stricter of limit and decision, 0 for any number.
func MaxBuilds(d fleet.Decision, l fleet.Limits) int { return tighter(l.MaxBuilds, d.MaxBuilds) }

// WithWaiting returns d with its target raised for jobs that wait for a slot of their own. Slots that are being created or free serve the
// jobs first, and only what is left of them counts for the target; reserved ones belong to somebody else already.
func WithWaiting(d fleet.Decision, f fleet.Fleet, waiting int) fleet.Decision {
	if waiting > 0 {
		held := 0
		for _, m := range f {
			held += reserved(m)
		}
		d.IdleTarget = waiting + max(min(d.IdleTarget, math.MaxInt32), held)
	}
	return d
}

// room is Room over counts.
func room(c abi.Counts, d fleet.Decision, l fleet.Limits) int {
	return max(tightest(bounds(c, d, l)).left, 0)
}

// tighter returns the stricter of two limits, of which 0 or less means none.
func tighter[T int | time.Duration](a, b T) T {
	switch {
	case a <= 0:
		return max(b, 0)
	case b <= 0:
		return a
	}
	return min(a, b)
}

// create adds creations up to the target, as far as there is room.
func (s *step) create() {
	noun := ""
	if s.l.Slots > 1 {
		noun = "slots "
	}
	n := min(machinesFor(s.d.IdleTarget-s.available, s.d, s.l), room(s.counts, s.d, s.l))
	for range n {
		s.actions = append(s.actions, fleet.Action{
			Kind:   fleet.Create,
			Reason: fmt.Sprintf("%d of %d wanted %sare available", s.available, s.d.IdleTarget, noun),
		})
	}
}
