package plan

import (
	"fmt"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Rails returns what the guard rails make of d now: each number that they change, with what became of it and why. It is for people; Plan
// does not need it.
func Rails(f fleet.Fleet, d fleet.Decision, l fleet.Limits) []fleet.Rail {
	var rails []fleet.Rail
	add := func(name string, wanted, got int, format string, args ...any) {
		rails = append(rails, fleet.Rail{Name: name, Wanted: wanted, Got: got, Reason: fmt.Sprintf(format, args...)})
	}
	c := f.Counts()
	if missing := d.IdleTarget - c.Available; missing > 0 {
		if got := min(missing, Room(f, d, l)); got < missing {
			add("create", missing, got, "%s", bound(c.Total, c.Creating, got, d, l))
		}
	}
	if l.MaxGrowthRate > 0 && d.GrowthLimit > l.MaxGrowthRate {
		add("growth_limit", d.GrowthLimit, l.MaxGrowthRate, "policies may only tighten MaxGrowthRate, which is %d", l.MaxGrowthRate)
	}
	if l.MaxBuilds > 0 && d.MaxBuilds > l.MaxBuilds {
		add("max_builds", d.MaxBuilds, l.MaxBuilds, "policies may only tighten MaxBuilds, which is %d", l.MaxBuilds)
	}
	if n := len(d.Remove); n > 0 {
		named := map[string]bool{}
		for _, r := range d.Remove {
			named[r.Name] = true
		}
		idle := 0
		for _, m := range f {
			if named[m.Name] && m.State == fleet.Idle {
				idle++
			}
		}
		if idle < n {
			add("remove", n, idle, "only idle machines are removed")
		}
	}
	return rails
}

// bound names the guard rail that lets no more than got machines be created.
func bound(total, creating, got int, d fleet.Decision, l fleet.Limits) string {
	growth := tighter(l.MaxGrowthRate, d.GrowthLimit)
	switch {
	case d.NoGrowth:
		return "nothing is created while a required policy fails, or the provider does"
	case l.Limit > 0 && max(l.Limit-total, 0) == got:
		return fmt.Sprintf("limit is %d and there are %d machines", l.Limit, total)
	case growth > 0 && max(growth-creating, 0) == got && growth == d.GrowthLimit && growth != l.MaxGrowthRate:
		return fmt.Sprintf("growth_limit of the policies is %d and %d machines are being created", growth, creating)
	case growth > 0 && max(growth-creating, 0) == got:
		return fmt.Sprintf("MaxGrowthRate is %d and %d machines are being created", growth, creating)
	}
	return fmt.Sprintf("at most %d machines are created at once", maxCreates)
}
