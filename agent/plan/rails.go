package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Rails returns what the guard rails make of d now: each number that they change, with what became of it, which guard rail it was and
// why. It is for people; Plan does not need it.
func Rails(now time.Time, f fleet.Fleet, d fleet.Decision, l fleet.Limits) []fleet.Rail {
	var rails []fleet.Rail
	add := func(name, cause string, wanted, got int, format string, args ...any) {
		rails = append(rails, fleet.Rail{Name: name, Cause: cause, Wanted: wanted, Got: got, Reason: fmt.Sprintf(format, args...)})
	}
	c := f.Counts()
	if missing := machinesFor(d.IdleTarget-available(Slots(now, f, d, l)), d, l); missing > 0 {
		if b := tightest(bounds(c, d, l)); b.left < missing {
			add("create", b.cause, missing, max(b.left, 0), "%s", b.words())
		}
	}
	if l.MaxGrowthRate > 0 && d.GrowthLimit > l.MaxGrowthRate {
		add("growth_limit", causeGrowthRate, d.GrowthLimit, l.MaxGrowthRate, "policies may only tighten MaxGrowthRate, which is %d", l.MaxGrowthRate)
	}
	if l.MaxBuilds > 0 && d.MaxBuilds > l.MaxBuilds {
		add("max_builds", causeMaxBuilds, d.MaxBuilds, l.MaxBuilds, "policies may only tighten MaxBuilds, which is %d", l.MaxBuilds)
	}
	if idle := named(f, d); idle < len(d.Remove) {
		add("remove", causeInUse, len(d.Remove), idle, "only idle machines are removed")
	}
	if l.Frozen {
		thawed := l
		thawed.Frozen = false
		if n := removals(Plan(now, f, d, thawed), ""); n > 0 {
			add("remove", causeFrozen, n, 0, "%s", bound{cause: causeFrozen}.words())
		}
		return rails
	}
	actions := Plan(now, f, d, l)
	for _, e := range ceilingReasons(l) {
		if n := removals(actions, e.reason); n > 0 {
			add("keep", e.cause, c.Total, c.Total-n, "%s", e.reason)
		}
	}
	return rails
}

// named counts the machines that the policies want removed and that may be.
func named(f fleet.Fleet, d fleet.Decision) int {
	if len(d.Remove) == 0 {
		return 0
	}
	names := map[string]bool{}
	for _, r := range d.Remove {
		names[r.Name] = true
	}
	n := 0
	for _, m := range f {
		if names[m.Name] && m.State == fleet.Idle && !m.Kept() {
			n++
		}
	}
	return n
}

// removals counts the actions that remove for a reason, "" for any.
func removals(actions []fleet.Action, reason string) int {
	n := 0
	for _, a := range actions {
		if a.Kind == fleet.Remove && (reason == "" || strings.HasPrefix(a.Reason, reason)) {
			n++
		}
	}
	return n
}

// ceiling is one of the operator's ceilings, or max_instances, that machines are removed for, with the reason of these removals.
type ceiling struct{ cause, reason string }

func ceilingReasons(l fleet.Limits) []ceiling {
	var list []ceiling
	if n := l.MaxInstances; n > 0 {
		list = append(list, ceiling{causeInstances, tooManyReason(causeInstances, n)})
	}
	if age := MaxAge(l); age > 0 {
		list = append(list, ceiling{causeAge, tooOldReason(l)})
	}
	if n := l.Own.MaxMachines; n > 0 {
		list = append(list, ceiling{causeOwnMachines, tooManyReason("max_machines of the runner", n)})
	}
	if n := l.All.MaxMachines; n > 0 {
		list = append(list, ceiling{causeMachines, tooManyReason("max_machines", n)})
	}
	return list
}

func tooOldReason(l fleet.Limits) string {
	return fmt.Sprintf("%s: max_machine_age is %s", TooOldMachine, MaxAge(l))
}

func tooManyReason(name string, n int) string {
	return fmt.Sprintf("%s: %s is %d", TooManyMachines, name, n)
}
