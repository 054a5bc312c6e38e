package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestRails(t *testing.T) {
	f := fleet.Fleet{{Name: "a", State: fleet.Idle}, {Name: "b", State: fleet.Used}, {Name: "c", State: fleet.Creating}}
	for name, tc := range map[string]struct {
		d    fleet.Decision
		l    fleet.Limits
		want []fleet.Rail
	}{
		"nothing to change": {fleet.Decision{IdleTarget: 5}, fleet.Limits{Limit: 10}, nil},
		"limit":             {fleet.Decision{IdleTarget: 10}, fleet.Limits{Limit: 5}, []fleet.Rail{{Name: "create", Wanted: 8, Got: 2, Reason: "limit is 5 and there are 3 machines"}}},
		"growth rate":       {fleet.Decision{IdleTarget: 10}, fleet.Limits{MaxGrowthRate: 3}, []fleet.Rail{{Name: "create", Wanted: 8, Got: 2, Reason: "MaxGrowthRate is 3 and 1 machines are being created"}}},
		"growth limit":      {fleet.Decision{IdleTarget: 10, GrowthLimit: 2}, fleet.Limits{MaxGrowthRate: 3}, []fleet.Rail{{Name: "create", Wanted: 8, Got: 1, Reason: "growth_limit of the policies is 2 and 1 machines are being created"}}},
		"no growth":         {fleet.Decision{IdleTarget: 10, NoGrowth: true}, fleet.Limits{}, []fleet.Rail{{Name: "create", Wanted: 8, Got: 0, Reason: "nothing is created while a required policy fails, or the provider does"}}},
		"what only may be tightened": {fleet.Decision{GrowthLimit: 9, MaxBuilds: 9}, fleet.Limits{MaxGrowthRate: 3, MaxBuilds: 4}, []fleet.Rail{
			{Name: "growth_limit", Wanted: 9, Got: 3, Reason: "policies may only tighten MaxGrowthRate, which is 3"},
			{Name: "max_builds", Wanted: 9, Got: 4, Reason: "policies may only tighten MaxBuilds, which is 4"}}},
		"machines in use": {fleet.Decision{Remove: []abi.Removal{{Name: "a"}, {Name: "b"}, {Name: "x"}}}, fleet.Limits{}, []fleet.Rail{{Name: "remove", Wanted: 3, Got: 1, Reason: "only idle machines are removed"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, plan.Rails(f, tc.d, tc.l)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
