package trial

import (
	"fmt"
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
	"github.com/millwright-ci/millwright/sdk/go/policy/sample"
)

// Outcome is what would become of the proposal on one snapshot, if this policy alone decided.
type Outcome struct {
	Snapshot string       `json:"snapshot"`
	Proposal abi.Proposal `json:"proposal"`        // as the policy gave it
	Rails    []fleet.Rail `json:"rails"`           // what the host changes of it, and why
	Error    string       `json:"error,omitempty"` // what the policy reports instead of proposing something: it is skipped
}

// outcome asks the very code that the agent uses.
func outcome(name string, s sample.Sample, p abi.Proposal) Outcome {
	d, cuts := module.Decided(name, s.Snapshot, p)
	out := Outcome{Snapshot: s.Name, Proposal: p, Rails: []fleet.Rail{}}
	for _, c := range cuts {
		out.Rails = append(out.Rails, fleet.Rail{
			Name: c.Name, Cause: "abi", Wanted: c.Wanted, Got: c.Got, Reason: fmt.Sprintf("no number of a proposal counts for more than %d", rules.MaxNumber),
		})
	}
	r := s.Snapshot.Runner
	limits := fleet.Limits{Limit: r.Limit, MaxGrowthRate: r.MaxGrowthRate, MaxBuilds: r.MaxBuilds}
	out.Rails = append(out.Rails, plan.Rails(time.UnixMilli(s.Snapshot.NowUnixMS), fleetOf(s.Snapshot), d, limits)...)
	return out
}

// fleetOf makes machines of a snapshot's counts; those that it lists bear their names.
func fleetOf(s abi.Snapshot) fleet.Fleet {
	listed := map[string][]string{}
	for _, m := range s.Machines {
		listed[m.State] = append(listed[m.State], m.Name)
	}
	var f fleet.Fleet
	add := func(label string, state fleet.State, n, tries int) {
		for i := range n {
			name := label + "-" + strconv.Itoa(i+1)
			if i < len(listed[label]) {
				name = listed[label][i]
			}
			f = append(f, &fleet.Machine{Name: name, State: state, RemoveTries: tries})
		}
	}
	c := s.Fleet
	add("creating", fleet.Creating, c.Creating, 0)
	add("idle", fleet.Idle, c.Idle, 0)
	add("acquired", fleet.Acquired, c.Acquired, 0)
	add("used", fleet.Used, c.Used, 0)
	add("removing", fleet.Removing, c.Removing, 0)
	add("stuck-on-removing", fleet.Removing, c.Stuck, fleet.StuckAfter)
	return f
}
