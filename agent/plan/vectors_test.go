package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var now = time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)

// conf is a vector's configuration, in GitLab's words.
type conf struct {
	limit, idleCount, idleMin, idleTime, maxBuilds, growth int
	factor                                                 float64
}

// idleTarget is what the built-in policies make of the settings: how many machines to hold available while used ones run jobs.
func (c conf) idleTarget(used int) int {
	if c.factor <= 0 {
		return c.idleCount
	}
	return min(c.idleCount, max(c.idleMin, 1, int(float64(used)*c.factor+1e-9)))
}

func (c conf) decision(f fleet.Fleet) fleet.Decision {
	return fleet.Decision{
		IdleTarget: c.idleTarget(f.Counts().Used),
		IdleTime:   time.Duration(c.idleTime) * time.Second,
	}
}

func (c conf) limits() fleet.Limits {
	return fleet.Limits{Limit: c.limit, MaxGrowthRate: c.growth, MaxBuilds: c.maxBuilds}
}

// group is n machines alike; a vector lists groups from the oldest to the newest.
type group struct {
	state fleet.State
	n     int
	idle  int // seconds
	used  int // jobs so far
}

func used(n int) group           { return group{state: fleet.Used, n: n} }
func idle(n, seconds int) group  { return group{state: fleet.Idle, n: n, idle: seconds} }
func idleUsed(n, jobs int) group { return group{state: fleet.Idle, n: n, used: jobs} }
func acquired(n int) group       { return group{state: fleet.Acquired, n: n} }
func creating(n int) group       { return group{state: fleet.Creating, n: n} }
func removing(n int) group       { return group{state: fleet.Removing, n: n} }

// build names the machines m000, m001, ... from the oldest to the newest.
func build(groups []group) fleet.Fleet {
	var f fleet.Fleet
	for _, g := range groups {
		for range g.n {
			m := fleet.Machine{
				Name:      fmt.Sprintf("m%03d", len(f)),
				State:     g.state,
				CreatedAt: now.Add(time.Duration(len(f))*time.Second - 24*time.Hour),
				UsedCount: g.used,
			}
			if g.state == fleet.Idle || g.state == fleet.Acquired {
				m.IdleSince = now.Add(-time.Duration(g.idle) * time.Second)
			}
			f = append(f, m)
		}
	}
	return f
}

// names returns m<from> up to, but not including, m<to>.
func names(from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprintf("m%03d", i))
	}
	return s
}

// apply does the actions as the pool would: the removed ones are being removed, new ones are being created.
func apply(f fleet.Fleet, actions []fleet.Action) fleet.Fleet {
	f = slices.Clone(f)
	for _, a := range actions {
		if a.Kind == fleet.Create {
			f = append(f, fleet.Machine{Name: fmt.Sprintf("new%d", len(f)), State: fleet.Creating, CreatedAt: now})
			continue
		}
		i := slices.IndexFunc(f, func(m fleet.Machine) bool { return m.Name == a.Machine })
		f[i].State = fleet.Removing
	}
	return f
}

// next says what a worker that wants a job does after the step: take a machine, ask for a job first, or hold back.
func next(f fleet.Fleet, d fleet.Decision, l fleet.Limits) string {
	if m, ok := plan.Pick(f); ok {
		return "take " + m.Name
	}
	if d.IdleTarget == 0 && plan.Room(f, d, l) > 0 {
		return "ask+create"
	}
	return "hold"
}

// The configurations that several vectors share; the names are of the first one each.
var (
	v1  = conf{limit: 10, idleCount: 2, growth: 1, idleTime: 1800}
	v5  = conf{limit: 40, idleCount: 10}
	v8  = conf{limit: 200, idleCount: 100, idleMin: 10, factor: 1.1}
	v11 = conf{limit: 200, idleCount: 100, idleMin: 10, factor: 1.1, idleTime: 60}
	v16 = conf{idleCount: 100, factor: 1.1, idleTime: 60}
	v23 = conf{idleCount: 10, factor: 1.0, idleTime: 12}
	v25 = conf{limit: 10, idleCount: 50, idleMin: 5, factor: 1.5, idleTime: 3600, maxBuilds: 100}
	v37 = conf{idleCount: 10, limit: 2}
)

// TestVectors is the table of one pass of docker+machine. Where the vector states today's behaviour and ours differs, why says so:
// "age" means that the longest idle machines go where today the last in name order do; the number is the same.
func TestVectors(t *testing.T) {
	const age = "age"
	for _, v := range []struct {
		name    string
		conf    conf
		fleet   []group
		reason  string   // of the removals
		removed []string // by name, in any order
		created int
		then    string
		why     string // why it differs from today's behaviour; "" when it does not
	}{
		{name: "V1 growth rate holds creation back", conf: v1, created: 1, then: "hold"},
		{name: "V2 without growth rate", conf: conf{limit: 10, idleCount: 2, idleTime: 1800}, created: 2, then: "hold"},
		{name: "V3 used ones are no supply", conf: v1, fleet: []group{used(2)}, created: 1, then: "hold"},
		{name: "V4 one idle", conf: v1, fleet: []group{used(5), idle(1, 0)}, created: 1, then: "take m005"},
		{name: "V5 supply full", conf: v5, fleet: []group{used(19), idle(10, 0)}, then: "take m028"},
		{name: "V6 half the supply", conf: v5, fleet: []group{used(19), idle(5, 0)}, created: 5, then: "take m023"},
		{name: "V7 limit binds", conf: conf{limit: 25, idleCount: 10}, fleet: []group{used(20)}, created: 5, then: "hold"},
		{name: "V8 factor", conf: v8, fleet: []group{used(10), idle(5, 0)}, created: 6, then: "take m014"},
		{name: "V9 IdleCount and limit bind", conf: v8, fleet: []group{used(100), idle(90, 0)}, created: 10, then: "take m189"},
		{name: "V10 IdleCount binds", conf: conf{idleCount: 100, idleMin: 10, factor: 1.1},
			fleet: []group{used(100), idle(90, 0)}, created: 10, then: "take m189"},
		{name: "V11 shrink to the factor", conf: v11, fleet: []group{used(20), idle(100, 100)},
			reason: plan.TooManyIdle, removed: names(20, 98), then: "take m119", why: age},
		{name: "V12 the order of names does not matter", conf: v11, fleet: []group{idle(100, 100), used(20)},
			reason: plan.TooManyIdle, removed: names(0, 78), then: "take m099",
			why: "today judges by the machines before it and removes 90, creates 12"},
		{name: "V13 not aged yet", conf: conf{limit: 200, idleCount: 100, idleMin: 10, factor: 1.1, idleTime: 600},
			fleet: []group{used(20), idle(100, 100)}, then: "take m119"},
		{name: "V14 shrink to the minimum", conf: v11, fleet: []group{idle(22, 100)},
			reason: plan.TooManyIdle, removed: names(0, 12), then: "take m021", why: age},
		{name: "V15 grow to the minimum", conf: v11, fleet: []group{idle(9, 0)}, created: 1, then: "take m008"},
		{name: "V16 the minimum is 1 at least", conf: v16, fleet: []group{idle(5, 100)},
			reason: plan.TooManyIdle, removed: names(0, 4), then: "take m004", why: age},
		{name: "V17 from nothing", conf: v16, created: 1, then: "hold"},
		{name: "V18 the product is rounded down", conf: conf{idleCount: 50, idleMin: 1, factor: 1.5},
			fleet: []group{used(3)}, created: 4, then: "hold"},
		{name: "V19 inexact product", conf: conf{idleCount: 100, factor: 0.29}, fleet: []group{used(100)}, created: 29, then: "hold",
			why: "today truncates 28.999 to 28"},
		{name: "V20 exact product", conf: conf{idleCount: 100, factor: 0.2}, fleet: []group{used(200)}, created: 40, then: "hold"},
		{name: "V21 aged ones beyond the target go", conf: conf{idleCount: 2, idleTime: 60},
			fleet:  []group{idle(2, 100), idle(2, 10)},
			reason: plan.TooManyIdle, removed: names(0, 2), then: "take m003", why: "today keeps what sorts first"},
		{name: "V22 as many as are beyond the target", conf: conf{idleCount: 2, idleTime: 60},
			fleet:  []group{idle(2, 100), idle(1, 10), idle(1, 100)},
			reason: plan.TooManyIdle, removed: names(0, 2), then: "take m003", why: "today removes the fourth only, by rank"},
		{name: "V23 idle ones sort first", conf: v23, fleet: []group{idle(3, 13), used(3)}, then: "take m002",
			why: "today removes 2 and creates 2: it counts no used machine before them"},
		{name: "V24 idle ones sort last", conf: v23, fleet: []group{used(3), idle(3, 13)}, then: "take m005"},
		{name: "V25 weekday from nothing", conf: v25, created: 5, then: "hold"},
		{name: "V26 weekday, limit binds", conf: v25, fleet: []group{used(4), idle(1, 0)}, created: 5, then: "take m004"},
		{name: "V27 weekend", conf: conf{limit: 10, idleCount: 5, idleTime: 60}, fleet: []group{used(3)}, created: 5, then: "hold"},
		{name: "V28 weekend, shrink", conf: conf{limit: 50, idleCount: 5, idleTime: 60}, fleet: []group{idle(22, 61)},
			reason: plan.TooManyIdle, removed: names(0, 17), then: "take m021", why: age},
		{name: "V29 a period began", conf: conf{idleCount: 50, idleTime: 3600}, fleet: []group{idle(10, 100)}, created: 40, then: "take m009"},
		{name: "V30 on demand", conf: conf{limit: 2}, then: "ask+create"},
		{name: "V31 on demand, limit reached", conf: conf{limit: 2}, fleet: []group{used(2)}, then: "hold"},
		{name: "V32 removing ones count for the limit", conf: conf{limit: 2}, fleet: []group{removing(2)}, then: "hold"},
		{name: "V33 on demand, one idle", conf: conf{limit: 2, idleTime: 600}, fleet: []group{used(1), idle(1, 10)}, then: "take m001"},
		{name: "V34 on demand, aged", conf: conf{idleTime: 600}, fleet: []group{idle(2, 601)},
			reason: plan.TooManyIdle, removed: names(0, 2), then: "ask+create"},
		{name: "V35 on demand, growth rate", conf: conf{growth: 1}, fleet: []group{creating(1)}, then: "hold"},
		{name: "V36 IdleCount 0 makes the factor meaningless", conf: conf{idleMin: 5, factor: 2}, fleet: []group{used(4)}, then: "ask+create"},
		{name: "V37 limit lowered", conf: v37, fleet: []group{idle(5, 0)},
			reason: plan.TooManyMachines, removed: names(0, 3), then: "take m004", why: age},
		{name: "V38 limit lowered, used ones sort first", conf: v37, fleet: []group{used(3), idle(2, 0)},
			reason: plan.TooManyMachines, removed: names(3, 5), then: "hold"},
		{name: "V39 limit lowered, used ones sort last", conf: v37, fleet: []group{idle(2, 0), used(3)},
			reason: plan.TooManyMachines, removed: names(0, 2), then: "hold", why: "today their rank protects them"},
		{name: "V40 worn out", conf: conf{idleCount: 1, maxBuilds: 2}, fleet: []group{idleUsed(1, 2)},
			reason: plan.TooManyBuilds, removed: names(0, 1), created: 1, then: "hold"},
		{name: "V41 worn out, limit reached", conf: conf{limit: 4, idleCount: 2, maxBuilds: 1}, fleet: []group{idleUsed(2, 1)},
			reason: plan.TooManyBuilds, removed: names(0, 2), created: 2, then: "hold"},
		{name: "V42 removing ones count for the total", conf: conf{limit: 5, idleCount: 5}, fleet: []group{removing(2), idle(1, 0)},
			created: 2, then: "take m002"},
		{name: "V43 acquired ones are supply", conf: conf{idleCount: 2}, fleet: []group{acquired(2)}, then: "hold"},
		{name: "V44 creating ones are supply", conf: conf{idleCount: 5}, fleet: []group{idle(1, 0), creating(2)}, created: 2, then: "take m000"},
		{name: "V45 growth rate counts those being created", conf: conf{idleCount: 10, growth: 3}, fleet: []group{creating(1)},
			created: 2, then: "hold"},
		{name: "V46 IdleCount beats the minimum", conf: conf{idleCount: 5, idleMin: 10, factor: 1, idleTime: 10},
			fleet: []group{idle(8, 60)}, reason: plan.TooManyIdle, removed: names(0, 3), then: "take m007", why: age},
		{name: "V47 minimum without factor", conf: conf{idleCount: 10, idleMin: 3}, fleet: []group{idle(3, 0)}, created: 7, then: "take m002"},
		{name: "V48 IdleTime 0", conf: conf{idleCount: 2}, fleet: []group{idle(5, 1)},
			reason: plan.TooManyIdle, removed: names(0, 3), then: "take m004", why: age},
		{name: "V49 limit binds with idle ones", conf: conf{limit: 30, idleCount: 10}, fleet: []group{used(25), idle(2, 0)},
			created: 3, then: "take m026"},
		{name: "V50 negative limit", conf: conf{limit: -1, idleCount: 2}, created: 2, then: "hold"},
		{name: "V51 a directory without a record is no machine", conf: conf{idleCount: 2}, created: 2, then: "hold",
			why: "today counts the phantom and creates 1; the journal reports it instead"},
	} {
		t.Run(v.name, func(t *testing.T) {
			f := build(v.fleet)
			d := v.conf.decision(f)
			actions := plan.Plan(now, f, d, v.conf.limits())

			created, removed := 0, []string(nil)
			for _, a := range actions {
				if a.Kind == fleet.Create {
					created++
					continue
				}
				removed = append(removed, a.Machine)
				if a.Reason != v.reason {
					t.Errorf("%s is removed for %q, want %q", a.Machine, a.Reason, v.reason)
				}
			}
			slices.Sort(removed)
			if diff := cmp.Diff(v.removed, removed); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			if created != v.created {
				t.Errorf("created %d, want %d", created, v.created)
			}
			if got := next(apply(f, actions), d, v.conf.limits()); got != v.then {
				t.Errorf("then %q, want %q", got, v.then)
			}
		})
	}
}

// TestOwnClock has the documentation's example on a pool with its own clock: all 20 workers run a job, and 10 are idle.
func TestOwnClock(t *testing.T) {
	f := build([]group{used(20), idle(9, 0)})
	c := v5
	if got := len(plan.Plan(now, f, c.decision(f), c.limits())); got != 1 {
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
