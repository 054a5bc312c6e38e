package plan

import (
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// What a guard rail is called in a record, for people and metrics: the key of config.toml or millwright.toml where there is one.
const (
	causeStep        = "step"
	causeLimit       = "limit"
	causeGrowthRate  = "MaxGrowthRate"
	causeMaxBuilds   = "MaxBuilds"
	causeGrowth      = "growth_limit"
	causeNoGrowth    = "no_growth"
	causeInUse       = "in_use"
	causeFrozen      = "frozen"
	causePaused      = "paused"
	causeTrial       = "trial"
	causeMachines    = "max_machines"
	causeCreates     = "max_creates_per_hour"
	causeOwnMachines = "runners.max_machines"
	causeOwnCreates  = "runners.max_creates_per_hour"
	causeInstances   = "max_instances"
	causeThrottle    = "scale_throttle"
	causeAge         = "max_machine_age"
)

// bound is one guard rail on creation.
type bound struct {
	cause       string
	left        int // how many it lets be created now; less than 0 counts as 0
	limit, have int // what makes it so
}

// bounds returns the guard rails that hold for a fleet, the ones first that people should hear of first where several leave the same.
func bounds(c abi.Counts, d fleet.Decision, l fleet.Limits) []bound {
	list := make([]bound, 0, 14)
	if l.Frozen {
		list = append(list, bound{cause: causeFrozen})
	}
	if d.NoGrowth {
		list = append(list, bound{cause: causeNoGrowth})
	}
	if l.Paused {
		list = append(list, bound{cause: causePaused})
	}
	add := func(cause string, limit, have int) {
		if limit > 0 {
			list = append(list, bound{cause, limit - have, limit, have})
		}
	}
	add(causeMachines, l.All.MaxMachines, c.Total+l.Agent.Machines)
	add(causeOwnMachines, l.Own.MaxMachines, c.Total)
	add(causeCreates, l.All.MaxCreatesPerHour, l.Agent.Creates)
	add(causeOwnCreates, l.Own.MaxCreatesPerHour, l.Agent.OwnCreates)
	if l.Trial {
		add(causeTrial, 1, c.Creating)
	}
	add(causeLimit, l.Limit, c.Total)
	add(causeInstances, l.MaxInstances, c.Total)
	if l.Throttle.PerSecond > 0 {
		list = append(list, bound{causeThrottle, l.Bucket.Left(), l.Throttle.PerSecond, l.Throttle.Burst})
	}
	add(causeGrowthRate, l.MaxGrowthRate, c.Creating)
	add(causeGrowth, d.GrowthLimit, c.Creating)
	return append(list, bound{causeStep, maxCreates, maxCreates, 0})
}

// tightest returns the bound that leaves the least.
func tightest(list []bound) bound {
	best := list[0]
	for _, b := range list[1:] {
		if max(b.left, 0) < max(best.left, 0) {
			best = b
		}
	}
	return best
}

// words says what b is, for people.
func (b bound) words() string {
	switch b.cause {
	case causeFrozen:
		return "frozen by the operator: nothing is created or removed"
	case causeNoGrowth:
		return "nothing is created while a policy wants none, or a required one fails"
	case causePaused:
		return "nothing is created for now, since creations failed"
	case causeTrial:
		return fmt.Sprintf("one machine at a time until a creation succeeds, and %d machines are being created", b.have)
	case causeMachines:
		return fmt.Sprintf("max_machines is %d and the agent has %d machines", b.limit, b.have)
	case causeOwnMachines:
		return fmt.Sprintf("max_machines of the runner is %d and there are %d machines", b.limit, b.have)
	case causeCreates:
		return fmt.Sprintf("max_creates_per_hour is %d and the agent asked for %d machines within the last hour", b.limit, b.have)
	case causeOwnCreates:
		return fmt.Sprintf("max_creates_per_hour of the runner is %d and %d machines were asked for within the last hour", b.limit, b.have)
	case causeLimit:
		return fmt.Sprintf("limit is %d and there are %d machines", b.limit, b.have)
	case causeInstances:
		return fmt.Sprintf("max_instances is %d and there are %d instances", b.limit, b.have)
	case causeThrottle:
		return fmt.Sprintf("scale_throttle lets %d instances a second be created, and %d at once", b.limit, b.have)
	case causeGrowth:
		return fmt.Sprintf("growth_limit of the policies is %d and %d machines are being created", b.limit, b.have)
	case causeGrowthRate:
		return fmt.Sprintf("MaxGrowthRate is %d and %d machines are being created", b.limit, b.have)
	}
	return fmt.Sprintf("at most %d machines are created at once", b.limit)
}

// MaxAge returns how old a machine may get: the stricter of both ceilings, 0 for any age.
func MaxAge(l fleet.Limits) time.Duration { return tighter(l.Own.MaxMachineAge, l.All.MaxMachineAge) }

// TooOld tells whether a machine is older than the operator's ceilings allow. A clock that was set back makes none old.
func TooOld(now time.Time, m *fleet.Machine, l fleet.Limits) bool {
	age := MaxAge(l)
	return age > 0 && now.Sub(m.CreatedAt) > age
}
