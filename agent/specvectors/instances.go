package specvectors

import (
	"fmt"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Scaling is a runner with [runners.autoscaler] and what goes on there. Of throttles only Throttle counts.
type Scaling struct {
	Settings abi.InstanceSettings
	InUse    int    // slots with a job, on as few instances as hold them
	Removing int    // instances
	Waiting  int    // jobs, or reservations, that hold no slot yet
	Now      string // RFC 3339; "" is a Thursday at ten
	Throttle fleet.Throttle
}

// Fleet makes the instances that hold the slots in use, those that are being removed, and idle ones up to live, which have been idle for
// a week. They are named from the oldest to the newest.
func (s Scaling) Fleet(now time.Time, live int) fleet.Fleet {
	var f fleet.Fleet
	add := func(state fleet.State, jobs int) {
		m := &fleet.Machine{Name: machineName(len(f)), State: state, Slots: s.Settings.CapacityPerInstance, Taken: jobs, UsedCount: jobs,
			CreatedAt: now.Add(time.Duration(len(f))*time.Second - 8*24*time.Hour)}
		for id := range jobs {
			m.SetJobs(append(m.Jobs(), int64(id+1)))
		}
		if state == fleet.Idle {
			m.IdleSince = now.Add(-7 * 24 * time.Hour)
		}
		f = append(f, m)
	}
	for left := s.InUse; left > 0; left -= s.Settings.CapacityPerInstance {
		add(fleet.Used, min(left, s.Settings.CapacityPerInstance))
	}
	for len(f) < live {
		add(fleet.Idle, 0)
	}
	for range s.Removing {
		add(fleet.Removing, 0)
	}
	return f
}

// The documentation's examples: instances for one job each, for several, and the Mac example. Idle time is seconds.
var (
	oneJob   = group(1, 1, 10, section(5, 1200))
	fiveJobs = group(5, 0, 10, section(5, 1200))
	twoJobs  = group(2, 0, 4, section(2, 86400))
	onDemand = group(1, 1, 10, section(0, 1200))

	factored  = group(1, 0, 50, factor(section(2, 0), 0.5, 10))
	unlimited = group(1, 0, 50, factor(section(2, 0), 0.5, 0))
)

func group(capacity, uses, most int, sections ...abi.InstancePolicy) abi.InstanceSettings {
	return abi.InstanceSettings{CapacityPerInstance: capacity, MaxUseCount: uses, MaxInstances: most, Policy: sections}
}

// section is always active, and preemptive as it is by default.
func section(idle, idleTime int) abi.InstancePolicy {
	return abi.InstancePolicy{Periods: []string{"* * * * *"}, Timezone: "UTC", IdleCount: idle, IdleTimeS: int64(idleTime), PreemptiveMode: idle > 0}
}

func factor(s abi.InstancePolicy, f float64, limit int) abi.InstancePolicy {
	s.ScaleFactor, s.ScaleFactorLimit = f, limit
	return s
}

// scale is a vector of so many slots in use: the slots to hold free and the instances that it comes to.
func scale(id, what string, s abi.InstanceSettings, inUse, free, target int) Vector {
	return Vector{ID: id, Case: fmt.Sprintf("%d in use", inUse), What: what, Scaling: Scaling{Settings: s, InUse: inUse},
		Want: map[Tag]Want{Policy: {"free": free, "instances": target, "preemptive": free > 0}, Plan: {"instances": target}}}
}

// with changes what goes on.
func (v Vector) while(change func(*Scaling)) Vector {
	change(&v.Scaling)
	return v
}

// instances are the vectors of the scaling rule.
var instances = slices.Concat([]Vector{
	scale("A1", "nothing runs", oneJob, 0, 5, 5),
	scale("A2", "one job, whose instance goes with it", oneJob, 1, 5, 6),
	scale("A3", "five jobs", oneJob, 5, 5, 10),
	scale("A4", "max_instances binds: four free", oneJob, 6, 5, 10),
	scale("A5", "all are in use, and no more jobs are asked for", oneJob, 10, 5, 10),
	scale("A6", "instances that are being deleted count for max_instances", oneJob, 5, 5, 7).while(func(s *Scaling) { s.Removing = 3 }),
	scale("A7", "idle_count is slots, not instances", fiveJobs, 0, 5, 1),
	scale("A8", "six slots", fiveJobs, 1, 5, 2),
	scale("A9", "ten slots", fiveJobs, 5, 5, 2),
	scale("A10", "eleven slots", fiveJobs, 6, 5, 3),
	scale("A11", "fifty slots", fiveJobs, 45, 5, 10),
	scale("A12", "max_instances binds: four free", fiveJobs, 46, 5, 10),
	scale("A13", "two virtual machines on each host", twoJobs, 0, 2, 1),
	scale("A14", "three slots", twoJobs, 1, 2, 2),
	scale("A15", "eight slots", twoJobs, 6, 2, 4),
	scale("A16", "max_instances binds: one free", twoJobs, 7, 2, 4),
	scale("A16", "max_instances binds: none free", twoJobs, 8, 2, 4),
	scale("A17", "the job comes first", onDemand, 0, 0, 0),
	scale("A18", "one reservation", onDemand, 0, 0, 1).while(func(s *Scaling) { s.Waiting = 1 }),
	scale("A19", "idle_count binds", factored, 0, 2, 2),
	scale("A19", "the factor", factored, 10, 5, 15),
	scale("A19", "scale_factor_limit binds", factored, 30, 10, 40),
	scale("A20", "1.5 is rounded up", unlimited, 3, 2, 5),
	scale("A21", "2.5 is rounded up", unlimited, 5, 3, 8),
}, scheduled, preemptive)

// scheduled has one free slot in working hours and none otherwise: the last section that matches counts.
var scheduled = func() (all []Vector) {
	work := section(1, 600)
	work.Periods = []string{"* 8-15 * * mon-fri"}
	for _, c := range []struct {
		at   string
		idle int
	}{
		{"2026-08-19T07:59:59Z", 0}, {"2026-08-19T08:00:00Z", 1}, {"2026-08-19T15:59:59Z", 1}, {"2026-08-19T16:00:00Z", 0}, {"2026-08-22T12:00:00Z", 0},
	} {
		v := scale("A22", "a Wednesday's working hours, and a Saturday", group(1, 0, 10, section(0, 0), work), 0, c.idle, c.idle)
		v.Case, v.Scaling.Now = c.at, c.at
		all = append(all, v)
	}
	return all
}()

// preemptive are the sections that differ in it.
var preemptive = func() (all []Vector) {
	for _, c := range []struct {
		name string
		idle int
		mode bool
	}{{"as it is by default", 5, true}, {"switched off", 5, false}, {"switched on without idle slots", 0, true}} {
		s := section(c.idle, 0)
		s.PreemptiveMode = c.mode
		v := scale("A23", "preemptive_mode "+c.name, group(1, 0, 10, s), 0, c.idle, c.idle)
		v.Case = c.name
		v.Want[Policy]["preemptive"] = c.mode
		all = append(all, v)
	}
	return all
}()

// throttles are the vectors of scale_throttle.
var throttles = []Vector{
	{ID: "A24", What: "60 at once, then one a second, and 60 again after a minute's rest", Scaling: Scaling{Throttle: fleet.Throttle{PerSecond: 1, Burst: 60}},
		Want: map[Tag]Want{Plan: {"at once": 60, "a second later": 1, "in the next 39 s": 39, "after a minute's rest": 60}}},
}
