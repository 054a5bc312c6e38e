package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestGuardRails lets a random world live: machines get ready, are taken, come back, disappear or fail to be removed, while a
// policy asks for anything at all. No step may break a guard rail.
func TestGuardRails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := fleet.Limits{
			Limit:         rapid.IntRange(-1, 30).Draw(t, "limit"),
			MaxGrowthRate: rapid.IntRange(-1, 8).Draw(t, "growth"),
			MaxBuilds:     rapid.IntRange(-1, 3).Draw(t, "builds"),
		}
		ceilings := func(name string) fleet.Ceilings {
			return fleet.Ceilings{
				MaxMachines:       rapid.IntRange(-1, 20).Draw(t, name+" machines"),
				MaxCreatesPerHour: rapid.IntRange(-1, 20).Draw(t, name+" creates"),
				MaxMachineAge:     time.Duration(rapid.IntRange(-1, 600).Draw(t, name+" age")) * time.Second,
			}
		}
		limits.Own, limits.All = ceilings("own"), ceilings("all")
		clock, serial := now, 0
		var f fleet.Fleet
		for range rapid.IntRange(1, 15).Draw(t, "ticks") {
			clock = clock.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			f = live(t, clock, f)
			if rapid.IntRange(0, 19).Draw(t, "reconfigure") == 0 {
				limits.Limit = rapid.IntRange(-1, 30).Draw(t, "new limit")
			}
			limits.Agent.Machines = rapid.IntRange(0, 10).Draw(t, "others")
			limits.Agent.Live = rapid.IntRange(0, limits.Agent.Machines).Draw(t, "others live")
			limits.Agent.OwnCreates = rapid.IntRange(0, 25).Draw(t, "created")
			limits.Agent.Creates = limits.Agent.OwnCreates + rapid.IntRange(0, 10).Draw(t, "created by others")
			limits.Frozen = rapid.IntRange(0, 9).Draw(t, "frozen") == 0
			limits.Paused = rapid.IntRange(0, 9).Draw(t, "paused") == 0
			limits.Trial = rapid.IntRange(0, 9).Draw(t, "trial") == 0
			d := anyDecision(t, f)
			actions := plan.Plan(clock, f, d, limits)
			check(t, clock, f, d, limits, actions)
			f = apply(f, actions)
			for i := range f {
				if f[i].StateSince.IsZero() { // apply made it
					serial++
					f[i].Name, f[i].CreatedAt, f[i].StateSince = fmt.Sprintf("x%d", serial), clock, clock
				}
			}
		}
	})
}

func anyDecision(t *rapid.T, f fleet.Fleet) fleet.Decision {
	d := fleet.Decision{
		IdleTarget:  rapid.OneOf(rapid.IntRange(-3, 20), rapid.Just(1<<40)).Draw(t, "target"),
		IdleTime:    time.Duration(rapid.IntRange(-10, 200).Draw(t, "idle time")) * time.Second,
		GrowthLimit: rapid.IntRange(-1, 10).Draw(t, "growth limit"),
		MaxBuilds:   rapid.IntRange(-1, 4).Draw(t, "max builds"),
		NoGrowth:    rapid.IntRange(0, 9).Draw(t, "no growth") == 0,
	}
	for _, m := range f {
		if rapid.IntRange(0, 9).Draw(t, "named") == 0 {
			d.Remove = append(d.Remove, abi.Removal{Name: m.Name})
		}
	}
	return d
}

// live lets each machine take a random step of its life.
func live(t *rapid.T, clock time.Time, f fleet.Fleet) fleet.Fleet {
	var out fleet.Fleet
	for _, before := range f {
		copied := *before
		m := &copied
		dice := rapid.IntRange(0, 9).Draw(t, "fate")
		switch rapid.IntRange(0, 29).Draw(t, "operator") {
		case 0:
			m.Cordoned = !m.Cordoned
		case 1:
			m.Hold.Until = clock.Add(time.Hour)
		case 2:
			m.Hold = fleet.Hold{}
		}
		switch {
		case m.State == fleet.Creating && dice < 5:
			m.State, m.IdleSince = fleet.Idle, clock
		case m.State == fleet.Idle && dice < 3:
			m.State = fleet.Acquired
		case m.State == fleet.Acquired && dice < 3:
			m.State = fleet.Idle
		case m.State == fleet.Acquired && dice < 7:
			m.State, m.UsedCount = fleet.Used, m.UsedCount+1
		case m.State == fleet.Used && dice < 4:
			m.State, m.IdleSince = fleet.Idle, clock
		case m.State == fleet.Removing && dice < 4:
			continue
		case m.State == fleet.Removing:
			m.RemoveTries++
		}
		out = append(out, m)
	}
	return out
}

func check(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, clock time.Time, f fleet.Fleet, d fleet.Decision, l fleet.Limits, actions []fleet.Action) {
	before := f.Counts()
	creations := 0
	removed := map[string]string{}
	if l.Frozen && len(actions) > 0 {
		t.Fatalf("frozen, and does %v", actions)
	}
	for _, a := range actions {
		if a.Kind == fleet.Create {
			creations++
			continue
		}
		if _, twice := removed[a.Machine]; twice {
			t.Fatalf("%s is removed twice", a.Machine)
		}
		removed[a.Machine] = a.Reason
		i := slices.IndexFunc(f, func(m *fleet.Machine) bool { return m.Name == a.Machine })
		if i < 0 || f[i].State != fleet.Idle {
			t.Fatalf("removes %s, which is not an idle machine", a.Machine)
		}
		tooOld := plan.TooOld(clock, f[i], l)
		if f[i].Held() || f[i].Cordoned && !tooOld {
			t.Fatalf("removes %s for %s, which the operator keeps", a.Machine, a.Reason)
		}
		if a.Reason == plan.TooManyIdle && clock.Sub(f[i].IdleSince) <= d.IdleTime {
			t.Fatalf("removes %s, which is idle for %s only", a.Machine, clock.Sub(f[i].IdleSince))
		}
	}
	if creations > 0 {
		switch {
		case d.NoGrowth, l.Paused:
			t.Fatal("creates without growth")
		case l.Trial && before.Creating+creations > 1:
			t.Fatal("creates more than one at a time")
		case l.Own.MaxMachines > 0 && before.Total+creations > l.Own.MaxMachines,
			l.All.MaxMachines > 0 && before.Total+creations+l.Agent.Machines > l.All.MaxMachines:
			t.Fatalf("creates %d beside %d and %d of others, ceilings %+v", creations, before.Total, l.Agent.Machines, l)
		case l.Own.MaxCreatesPerHour > 0 && l.Agent.OwnCreates+creations > l.Own.MaxCreatesPerHour,
			l.All.MaxCreatesPerHour > 0 && l.Agent.Creates+creations > l.All.MaxCreatesPerHour:
			t.Fatalf("creates %d after %+v within the hour, ceilings %+v", creations, l.Agent, l)
		case l.Limit > 0 && before.Total+creations > l.Limit:
			t.Fatalf("creates %d beside %d, limit %d", creations, before.Total, l.Limit)
		case l.MaxGrowthRate > 0 && before.Creating+creations > l.MaxGrowthRate:
			t.Fatalf("creates %d beside %d, MaxGrowthRate %d", creations, before.Creating, l.MaxGrowthRate)
		case d.GrowthLimit > 0 && before.Creating+creations > d.GrowthLimit:
			t.Fatalf("creates %d beside %d, growth limit %d", creations, before.Creating, d.GrowthLimit)
		case before.Available-gone(f, removed)+creations > d.IdleTarget:
			t.Fatal("creates beyond the target")
		}
	}
	aged := 0
	for _, reason := range removed {
		if reason == plan.TooManyIdle {
			aged++
		}
	}
	if aged > 0 && before.Available-gone(f, removed) < d.IdleTarget {
		t.Fatalf("removes aged machines down to %d, target %d", before.Available-gone(f, removed), d.IdleTarget)
	}
	for _, m := range f {
		if _, gone := removed[m.Name]; m.State != fleet.Idle || gone || l.Frozen || m.Held() {
			continue
		}
		if plan.TooOld(clock, m, l) {
			t.Fatalf("keeps %s, which is too old", m.Name)
		}
		if m.Cordoned {
			continue
		}
		if limit := plan.MaxBuilds(d, l); limit > 0 && m.UsedCount >= limit {
			t.Fatalf("keeps %s after %d jobs of %d", m.Name, m.UsedCount, limit)
		}
	}
}

// gone counts the removed machines that were available.
func gone(f fleet.Fleet, removed map[string]string) int {
	n := 0
	for _, m := range f {
		if _, is := removed[m.Name]; is && !m.Kept() {
			n++
		}
	}
	return n
}

// TestOrderDoesNotMatter permutes a fleet: the plan is the same.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fleet.Fleet
		for i := range 12 {
			f = live(t, now, append(f, &fleet.Machine{Name: fmt.Sprintf("m%d", i), State: fleet.Creating, CreatedAt: now}))
		}
		d := anyDecision(t, f)
		l := fleet.Limits{Limit: rapid.IntRange(0, 12).Draw(t, "limit"), MaxBuilds: 1}
		want := plan.Plan(now.Add(time.Minute), f, d, l)
		got := plan.Plan(now.Add(time.Minute), rapid.Permutation(f).Draw(t, "order"), d, l)
		if !slices.Equal(want, got) {
			t.Fatalf("%v in one order, %v in another", want, got)
		}
	})
}
