package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/soak"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestGuardRailsForLong is TestGuardRails with one world that lives for 10,000 ticks: fleet, clock, decisions and limits are random. No
// step may break a guard rail or touch a machine that is not idle.
func TestGuardRailsForLong(t *testing.T) {
	soak.Run(t, func(t *testing.T, r *rand.Rand) {
		clock, limits := now, randomLimits(r)
		var f fleet.Fleet
		made := 0
		for range soak.Ticks {
			clock = clock.Add(time.Duration(r.IntN(90)) * time.Second)
			if r.IntN(500) == 0 {
				clock = clock.Add(-time.Duration(r.IntN(7200)) * time.Second) // the host's clock was put back
			}
			if r.IntN(20) == 0 {
				limits = randomLimits(r)
			}
			f = randomLife(r, clock, f)
			d := randomDecision(r, f)
			actions := plan.Plan(clock, f, d, limits)
			check(t, clock, f, d, limits, actions)
			f = apply(f, actions)
			for i := range f {
				if f[i].StateSince.IsZero() { // apply made it
					made++
					f[i].Name, f[i].CreatedAt, f[i].StateSince = fmt.Sprintf("x%d", made), clock, clock
				}
			}
			r.Shuffle(len(f), func(i, j int) { f[i], f[j] = f[j], f[i] })
		}
		if made < soak.Ticks/100 {
			t.Errorf("%d machines were made only: the world is dead", made)
		}
	})
}

func randomLimits(r *rand.Rand) fleet.Limits {
	ceilings := func() fleet.Ceilings {
		if r.IntN(2) == 0 {
			return fleet.Ceilings{}
		}
		return fleet.Ceilings{
			MaxMachines: r.IntN(30) - 1, MaxCreatesPerHour: r.IntN(30) - 1, MaxMachineAge: time.Duration(r.IntN(3600)-1) * time.Second,
		}
	}
	l := fleet.Limits{
		Limit: r.IntN(40) - 1, MaxGrowthRate: r.IntN(10) - 1, MaxBuilds: r.IntN(5) - 1, Own: ceilings(), All: ceilings(),
		Frozen: r.IntN(20) == 0, Paused: r.IntN(20) == 0, Trial: r.IntN(10) == 0,
	}
	l.Agent = fleet.Agent{Machines: r.IntN(10), OwnCreates: r.IntN(20)}
	l.Agent.Live, l.Agent.Creates = r.IntN(l.Agent.Machines+1), l.Agent.OwnCreates+r.IntN(10)
	return l
}

func randomDecision(r *rand.Rand, f fleet.Fleet) fleet.Decision {
	d := fleet.Decision{
		IdleTarget: r.IntN(24) - 3, IdleTime: time.Duration(r.IntN(210)-10) * time.Second,
		GrowthLimit: r.IntN(12) - 1, MaxBuilds: r.IntN(6) - 1, NoGrowth: r.IntN(10) == 0,
	}
	if r.IntN(50) == 0 && len(f) < 100 {
		d.IdleTarget = 1 << 40
	}
	for _, m := range f {
		if r.IntN(10) == 0 {
			d.Remove = append(d.Remove, abi.Removal{Name: m.Name})
		}
	}
	return d
}

// randomLife lets each machine take a step of its life, or vanish.
func randomLife(r *rand.Rand, clock time.Time, f fleet.Fleet) fleet.Fleet {
	var out fleet.Fleet
	for _, m := range f {
		switch r.IntN(60) {
		case 0:
			m.Cordoned = !m.Cordoned
		case 1:
			m.Hold.Until = clock.Add(time.Hour)
		case 2:
			m.Hold = fleet.Hold{}
		}
		dice := r.IntN(100)
		switch {
		case dice == 99, m.State == fleet.Removing && dice < 40:
			continue
		case m.State == fleet.Removing:
			m.RemoveTries++
		case m.State == fleet.Creating && dice < 50:
			m.State, m.IdleSince = fleet.Idle, clock
		case m.State == fleet.Idle && dice < 30:
			m.State = fleet.Acquired
		case m.State == fleet.Acquired && dice < 30:
			m.State = fleet.Idle
		case m.State == fleet.Acquired && dice < 70:
			m.State, m.UsedCount = fleet.Used, m.UsedCount+1
		case m.State == fleet.Used && dice < 40:
			m.State, m.IdleSince = fleet.Idle, clock
		}
		out = append(out, m)
	}
	return out
}
