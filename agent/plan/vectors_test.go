package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var now = time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)

type group = specvectors.Group

func used(n int) group          { return group{State: fleet.Used, N: n} }
func idle(n, seconds int) group { return group{State: fleet.Idle, N: n, Idle: seconds} }
func acquired(n int) group      { return group{State: fleet.Acquired, N: n} }
func creating(n int) group      { return group{State: fleet.Creating, N: n} }

// build names the machines m000, m001, ... from the oldest to the newest.
func build(groups []group) fleet.Fleet { return specvectors.Vector{Machines: groups}.Fleet(now) }

// apply does the actions as the pool would: the removed ones are being removed, new ones are being created.
func apply(f fleet.Fleet, actions []fleet.Action) fleet.Fleet {
	f = slices.Clone(f)
	for _, a := range actions {
		if a.Kind == fleet.Create {
			f = append(f, &fleet.Machine{Name: fmt.Sprintf("new%d", len(f)), State: fleet.Creating, CreatedAt: now})
			continue
		}
		i := slices.IndexFunc(f, func(m *fleet.Machine) bool { return m.Name == a.Machine })
		removed := *f[i]
		removed.State = fleet.Removing
		f[i] = &removed
	}
	return f
}

// next says what a worker that wants a job does after the step: take a machine, ask for a job first, or hold back.
func next(f fleet.Fleet, d fleet.Decision, l fleet.Limits) string {
	if m := plan.Pick(now, f, d, l); m != nil {
		return "take " + m.Name
	}
	if d.IdleTarget == 0 && plan.Room(f, d, l) > 0 {
		return "ask+create"
	}
	return "hold"
}

// TestPasses is one pass of docker+machine for each vector, with the target that the policies propose for it.
func TestPasses(t *testing.T) {
	specvectors.Run(t, specvectors.Passes, specvectors.Plan, func(t *testing.T, v specvectors.Vector, want *specvectors.Expectation) {
		f, l := v.Fleet(now), v.Config.Limits()
		d := fleet.Decision{
			IdleTarget: v.Want[specvectors.Policy]["target"].(int),
			IdleTime:   time.Duration(v.Config.IdleTime) * time.Second,
		}
		actions := plan.Plan(now, f, d, l)
		created, reason, removed := 0, "", []string(nil)
		for _, a := range actions {
			switch {
			case a.Kind == fleet.Create:
				created++
			case reason != "" && reason != a.Reason:
				t.Errorf("%s is removed for %q, others for %q", a.Machine, a.Reason, reason)
			default:
				removed, reason = append(removed, a.Machine), a.Reason
			}
		}
		want.Is(t, "removed", specvectors.Span(removed))
		want.Is(t, "reason", reason)
		want.Is(t, "created", created)
		want.Is(t, "then", next(apply(f, actions), d, l))
	})
}

// TestOwnClock has the documentation's example on a pool with its own clock: all 20 workers run a job, and 10 are idle.
func TestOwnClock(t *testing.T) {
	f := build([]group{used(20), idle(9, 0)})
	if got := len(plan.Plan(now, f, fleet.Decision{IdleTarget: 10}, fleet.Limits{Limit: 40})); got != 1 {
		t.Errorf("%d actions with 20 used and 9 idle, want the thirtieth machine", got)
	}
}

func TestPolicies(t *testing.T) {
	f := build([]group{used(2), idle(3, 0), creating(1), acquired(1)})
	for _, tt := range []struct {
		name     string
		decision fleet.Decision
		limits   fleet.Limits
		want     []fleet.Action
	}{
		{
			name:     "names an idle machine",
			decision: fleet.Decision{IdleTarget: 4, IdleTime: time.Hour, Remove: []abi.Removal{{Name: "m003", Reason: "old image"}}},
			want:     []fleet.Action{{Kind: fleet.Remove, Machine: "m003", Reason: "old image"}},
		},
		{
			name: "names machines in use, being created, acquired and unknown",
			decision: fleet.Decision{IdleTarget: 4, IdleTime: time.Hour, Remove: []abi.Removal{
				{Name: "m000"}, {Name: "m005"}, {Name: "m006"}, {Name: "elsewhere"}}},
		},
		{
			name:     "tightens MaxBuilds only",
			decision: fleet.Decision{IdleTarget: 4, IdleTime: time.Hour, MaxBuilds: 100},
			limits:   fleet.Limits{MaxBuilds: 1},
		},
		{
			name:     "tightens growth only",
			decision: fleet.Decision{IdleTarget: 9, GrowthLimit: 50},
			limits:   fleet.Limits{MaxGrowthRate: 2},
			want:     []fleet.Action{{Kind: fleet.Create, Reason: "5 of 9 wanted are available"}},
		},
		{
			name:     "no growth",
			decision: fleet.Decision{IdleTarget: 9, NoGrowth: true},
		},
		{
			name:     "a negative target is zero",
			decision: fleet.Decision{IdleTarget: -5, IdleTime: time.Hour},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, plan.Plan(now, f, tt.decision, tt.limits)); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnormousTarget(t *testing.T) {
	d := fleet.Decision{IdleTarget: 1 << 62}
	if got := len(plan.Plan(now, nil, plan.WithWaiting(d, nil, 3), fleet.Limits{})); got != 1000 {
		t.Errorf("%d creations in one step, want 1000", got)
	}
}

func TestWithWaiting(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fleet   []group
		target  int
		waiting int
		created int
	}{
		{name: "on demand from nothing", waiting: 3, created: 3},
		{name: "what is being created serves first", fleet: []group{creating(2)}, waiting: 3, created: 1},
		{name: "another lease's machine serves nobody else", fleet: []group{acquired(2)}, waiting: 1, created: 1},
		{name: "used ones neither", fleet: []group{used(2)}, waiting: 1, created: 1},
		{name: "beside the idle target", fleet: []group{creating(1)}, target: 2, waiting: 1, created: 2},
		{name: "acquired ones count for the idle target", fleet: []group{acquired(2)}, target: 2, waiting: 1, created: 1},
		{name: "nobody waits", fleet: []group{acquired(2)}, target: 3, created: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := build(tt.fleet)
			d := plan.WithWaiting(fleet.Decision{IdleTarget: tt.target, IdleTime: time.Hour}, f, tt.waiting)
			if got := len(plan.Plan(now, f, d, fleet.Limits{})); got != tt.created {
				t.Errorf("%d creations, want %d", got, tt.created)
			}
		})
	}
}
