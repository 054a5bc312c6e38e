package pool

import (
	"strings"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// causes are those of the reasons that are the pool's and the plan's.
var causes = map[string]string{
	reasonBuilds:         fleet.CauseBuilds,
	plan.TooManyBuilds:   fleet.CauseBuilds,
	plan.TooManyIdle:     fleet.CauseIdle,
	plan.TooManyMachines: fleet.CauseLimit,
	reasonFailed:         fleet.CauseFailed,
	reasonUnavailable:    fleet.CauseUnavailable,
	reasonDrain:          fleet.CauseDrain,
	reasonAsked:          fleet.CauseAsked,
	reasonTakenOver:      fleet.CauseDrain,
	reasonOrphan:         fleet.CauseOrphan,
	reasonDriver:         fleet.CauseRetired,
	"the instance is " + string(abi.StatusInterrupted): fleet.CauseInterrupted,
}

// cause returns the word for a removal's reason. A reason that nobody here gave is a policy's.
func cause(reason string) string {
	if c, ok := causes[reason]; ok {
		return c
	}
	switch {
	case strings.HasPrefix(reason, plan.TooOldMachine), strings.HasPrefix(reason, plan.TooManyMachines+": "):
		return fleet.CauseCeiling
	case strings.HasPrefix(reason, "the instance is "):
		return fleet.CauseLost
	case strings.HasPrefix(reason, "was ") && strings.HasSuffix(reason, " when the agent ended"):
		return fleet.CauseLeft
	}
	return fleet.CausePolicy
}
