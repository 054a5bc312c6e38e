package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestRails(t *testing.T) {
	old := now.Add(-90 * time.Minute)
	f := fleet.Fleet{{Name: "a", State: fleet.Idle, CreatedAt: old}, {Name: "b", State: fleet.Used, CreatedAt: old}, {Name: "c", State: fleet.Creating, CreatedAt: now}}
	for name, tc := range map[string]struct {
		d    fleet.Decision
		l    fleet.Limits
		want []fleet.Rail
	}{
		"nothing to change": {fleet.Decision{IdleTarget: 5}, fleet.Limits{Limit: 10}, nil},
		"limit":             {fleet.Decision{IdleTarget: 10}, fleet.Limits{Limit: 5}, []fleet.Rail{{Name: "create", Cause: "limit", Wanted: 8, Got: 2, Reason: "limit is 5 and there are 3 machines"}}},
		"growth rate":       {fleet.Decision{IdleTarget: 10}, fleet.Limits{MaxGrowthRate: 3}, []fleet.Rail{{Name: "create", Cause: "MaxGrowthRate", Wanted: 8, Got: 2, Reason: "MaxGrowthRate is 3 and 1 machines are being created"}}},
		"growth limit":      {fleet.Decision{IdleTarget: 10, GrowthLimit: 2}, fleet.Limits{MaxGrowthRate: 3}, []fleet.Rail{{Name: "create", Cause: "growth_limit", Wanted: 8, Got: 1, Reason: "growth_limit of the policies is 2 and 1 machines are being created"}}},
		"no growth":         {fleet.Decision{IdleTarget: 10, NoGrowth: true}, fleet.Limits{}, []fleet.Rail{{Name: "create", Cause: "no_growth", Wanted: 8, Got: 0, Reason: "nothing is created while a policy wants none, or a required one fails"}}},
		"max_machines of the agent": {fleet.Decision{IdleTarget: 10}, fleet.Limits{Limit: 20, All: fleet.Ceilings{MaxMachines: 12}, Agent: fleet.Agent{Machines: 7}},
			[]fleet.Rail{{Name: "create", Cause: "max_machines", Wanted: 8, Got: 2, Reason: "max_machines is 12 and the agent has 10 machines"}}},
		"max_machines of the runner": {fleet.Decision{IdleTarget: 10}, fleet.Limits{Own: fleet.Ceilings{MaxMachines: 2}},
			[]fleet.Rail{{Name: "create", Cause: "runners.max_machines", Wanted: 8, Got: 0, Reason: "max_machines of the runner is 2 and there are 3 machines"},
				{Name: "keep", Cause: "runners.max_machines", Wanted: 3, Got: 2, Reason: "too many machines: max_machines of the runner is 2"}}},
		"max_creates_per_hour": {fleet.Decision{IdleTarget: 10},
			fleet.Limits{All: fleet.Ceilings{MaxCreatesPerHour: 9}, Own: fleet.Ceilings{MaxCreatesPerHour: 4}, Agent: fleet.Agent{Creates: 5, OwnCreates: 3}},
			[]fleet.Rail{{Name: "create", Cause: "runners.max_creates_per_hour", Wanted: 8, Got: 1, Reason: "max_creates_per_hour of the runner is 4 and 3 machines were asked for within the last hour"}}},
		"max_machine_age": {fleet.Decision{}, fleet.Limits{Own: fleet.Ceilings{MaxMachineAge: time.Hour}, All: fleet.Ceilings{MaxMachineAge: 2 * time.Hour}},
			[]fleet.Rail{{Name: "keep", Cause: "max_machine_age", Wanted: 3, Got: 2, Reason: "machine is too old: max_machine_age is 1h0m0s"}}},
		"frozen": {fleet.Decision{IdleTarget: 3, Remove: []abi.Removal{{Name: "a"}}}, fleet.Limits{Frozen: true}, []fleet.Rail{
			{Name: "create", Cause: "frozen", Wanted: 1, Got: 0, Reason: "frozen by the operator: nothing is created or removed"},
			{Name: "remove", Cause: "frozen", Wanted: 1, Got: 0, Reason: "frozen by the operator: nothing is created or removed"}}},
		"one at a time": {fleet.Decision{IdleTarget: 4}, fleet.Limits{Trial: true},
			[]fleet.Rail{{Name: "create", Cause: "trial", Wanted: 2, Got: 0, Reason: "one machine at a time until a creation succeeds, and 1 machines are being created"}}},
		"what only may be tightened": {fleet.Decision{GrowthLimit: 9, MaxBuilds: 9}, fleet.Limits{MaxGrowthRate: 3, MaxBuilds: 4}, []fleet.Rail{
			{Name: "growth_limit", Cause: "MaxGrowthRate", Wanted: 9, Got: 3, Reason: "policies may only tighten MaxGrowthRate, which is 3"},
			{Name: "max_builds", Cause: "MaxBuilds", Wanted: 9, Got: 4, Reason: "policies may only tighten MaxBuilds, which is 4"}}},
		"machines in use": {fleet.Decision{Remove: []abi.Removal{{Name: "a"}, {Name: "b"}, {Name: "x"}}}, fleet.Limits{}, []fleet.Rail{{Name: "remove", Cause: "in_use", Wanted: 3, Got: 1, Reason: "only idle machines are removed"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, plan.Rails(now, f, tc.d, tc.l)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRemovalOrder lowers a limit: a machine that does not answer goes first, one that was just warmed last.
func TestRemovalOrder(t *testing.T) {
	at := func(ago time.Duration) time.Time { return now.Add(-ago) }
	f := fleet.Fleet{
		{Name: "warmed", State: fleet.Idle, CreatedAt: at(2 * time.Minute), ReadyAt: at(30 * time.Second), IdleSince: at(30 * time.Second)},
		{Name: "finished", State: fleet.Idle, CreatedAt: at(time.Hour), ReadyAt: at(59 * time.Minute), IdleSince: at(time.Second), UsedCount: 3},
		{Name: "silent", State: fleet.Idle, CreatedAt: at(time.Hour), ReadyAt: at(59 * time.Minute), IdleSince: at(2 * time.Second), UsedCount: 1, Silent: 2},
		{Name: "idle", State: fleet.Idle, CreatedAt: at(time.Hour), ReadyAt: at(59 * time.Minute), IdleSince: at(20 * time.Minute)},
	}
	var order []string
	for _, a := range plan.Plan(now, f, fleet.Decision{IdleTarget: 1, IdleTime: time.Hour}, fleet.Limits{Limit: 1}) {
		order = append(order, a.Machine)
	}
	if diff := cmp.Diff([]string{"silent", "idle", "finished"}, order); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWarmedGoesLast has random fleets shrink: a machine that was warmed within the last minute and ran no job yet goes only when no other that
// may go for the same reason is left.
func TestWarmedGoesLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fleet.Fleet
		warm := map[string]bool{}
		for i := range rapid.IntRange(1, 12).Draw(t, "machines") {
			ready := now.Add(-time.Duration(rapid.IntRange(0, 180).Draw(t, "ready")) * time.Second)
			m := &fleet.Machine{Name: fmt.Sprintf("m%d", i), State: fleet.Idle, CreatedAt: ready.Add(-time.Minute), ReadyAt: ready, IdleSince: ready}
			if rapid.Bool().Draw(t, "used") {
				m.UsedCount = 1
				m.IdleSince = ready.Add(now.Sub(ready) / 2)
			}
			warm[m.Name] = m.UsedCount == 0 && now.Sub(ready) < time.Minute
			f = append(f, m)
		}
		d := fleet.Decision{IdleTarget: rapid.IntRange(0, 12).Draw(t, "target"), IdleTime: time.Duration(rapid.IntRange(0, 120).Draw(t, "idle time")) * time.Second}
		l := fleet.Limits{Limit: rapid.IntRange(0, 12).Draw(t, "limit")}
		why := map[string]string{}
		for _, a := range plan.Plan(now, f, d, l) {
			if a.Kind == fleet.Remove {
				why[a.Machine] = a.Reason
			}
		}
		for name, reason := range why {
			if !warm[name] {
				continue
			}
			for _, m := range f {
				may := reason == plan.TooManyMachines || now.Sub(m.IdleSince) > d.IdleTime
				if why[m.Name] == "" && !warm[m.Name] && may {
					t.Fatalf("%s goes for %q just warmed, and %s stays, idle for %s", name, reason, m.Name, now.Sub(m.IdleSince))
				}
			}
		}
	})
}
