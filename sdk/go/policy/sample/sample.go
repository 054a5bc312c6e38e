// Package sample holds snapshots to try a policy on: what the harness of Go authors, `millwright policy test` and the agent's own trial of a new
// module use.
package sample

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
)

// Sample is a snapshot to try a policy on.
type Sample struct {
	Name     string
	Snapshot abi.Snapshot
	Odd      bool // no host sends it; a policy may refuse it, and must not break
}

// All returns snapshots of ordinary days, the first of them the most ordinary, and then odd ones. Machines and history are in them as far
// as the description asks for them. They are always the same.
func All(d abi.Describe) []Sample {
	ordinary := []Sample{
		{Name: "a working day", Snapshot: day()},
		{Name: "the first call", Snapshot: change(day(), func(s *abi.Snapshot) {
			s.Fleet, s.Demand, s.Failures = abi.Counts{}, abi.Demand{}, nil
		})},
		{Name: "jobs wait", Snapshot: change(day(), func(s *abi.Snapshot) { s.Demand.Waiting = 40 })},
		{Name: "the provider has no machines", Snapshot: change(day(), func(s *abi.Snapshot) {
			s.Fleet, s.Demand.Running = abi.Counts{}, 0
			s.Failures = []abi.Failure{{Kind: abi.Capacity, Count: 12, AgeS: 3}, {Kind: abi.Quota, Count: 1, AgeS: 3599}}
		})},
		{Name: "machines can't be removed", Snapshot: change(day(), func(s *abi.Snapshot) {
			s.Fleet = abi.Counts{Used: 4, Removing: 2, Stuck: 3, Total: 9}
		})},
		{Name: "on demand", Snapshot: change(day(), func(s *abi.Snapshot) {
			s.Runner.IdleCount, s.Runner.IdleScaleFactor, s.Runner.Limit = 0, 0, 0
		})},
		{Name: "a policy before proposed", Snapshot: change(day(), func(s *abi.Snapshot) {
			target, count, factor, reason := 12, 50, 0.5, "12, as they say"
			s.Proposal = abi.Proposal{Settings: &abi.Settings{IdleCount: &count, IdleScaleFactor: &factor}, IdleTarget: &target, Reason: reason}
		})},
		{Name: "a thousand machines", Snapshot: change(day(), func(s *abi.Snapshot) {
			s.Fleet = abi.Counts{Idle: 300, Used: 700, Available: 300, Total: 1000}
			s.Demand.Running, s.Runner.Limit, s.Runner.IdleCount = 700, 2000, 1500
		})},
	}
	odd := []Sample{
		{Name: "an empty snapshot", Snapshot: abi.Snapshot{}},
		{Name: "a state that is not the policy's", Snapshot: change(day(), func(s *abi.Snapshot) { s.State = "\x00{]é" })},
		{Name: "negative numbers", Snapshot: change(day(), func(s *abi.Snapshot) {
			s.NowUnixMS = -1
			s.Runner = abi.RunnerSettings{Limit: -1, IdleCount: -1, IdleCountMin: -1, IdleScaleFactor: -1, IdleTimeS: -1, MaxGrowthRate: -1, MaxBuilds: -1}
			s.Fleet = abi.Counts{Creating: -1, Idle: -1, Acquired: -1, Used: -1, Removing: -1, Stuck: -1, Available: -1, Total: -1}
			s.Demand = abi.Demand{Running: -1, Waiting: -1, Windows: []abi.Window{{Seconds: -1, Arrivals: -1, Finished: -1, MeanDuration: -1}}}
		})},
		{Name: "enormous numbers", Snapshot: change(day(), func(s *abi.Snapshot) {
			const most = math.MaxInt32
			s.NowUnixMS = 1<<53 - 1
			s.Runner = abi.RunnerSettings{Limit: most, IdleCount: most, IdleCountMin: most, IdleScaleFactor: math.MaxFloat64, IdleTimeS: 1<<53 - 1}
			s.Fleet = abi.Counts{Idle: most, Used: most, Available: most, Total: most}
			s.Demand = abi.Demand{Running: most, Waiting: most, Windows: []abi.Window{{Seconds: most, Arrivals: most, MeanDuration: math.MaxFloat64}}}
		})},
	}
	for i := range odd {
		odd[i].Odd = true
	}
	all := slices.Concat(ordinary, odd)
	for i := range all {
		wished(&all[i].Snapshot, d)
	}
	return all
}

// Day is a snapshot of a runner with something to do, with as much in it as the description asks for. It is always the same.
func Day(d abi.Describe) abi.Snapshot {
	s := day()
	wished(&s, d)
	return s
}

func change(s abi.Snapshot, how func(*abi.Snapshot)) abi.Snapshot {
	how(&s)
	return s
}

// start is ten o'clock in the morning of a Thursday, in UTC.
var start = time.Date(2026, time.August, 20, 10, 0, 0, 0, time.UTC)

// day is a runner with something to do.
func day() abi.Snapshot {
	s := abi.Snapshot{
		ABI: abi.Version,
		Runner: abi.RunnerSettings{
			Name: "linux", ShortToken: "abcdefgh", Limit: 50, Concurrent: 100, IdleCount: 10, IdleCountMin: 2, IdleScaleFactor: 1.5, IdleTimeS: 1800,
			MaxGrowthRate: 5, MaxBuilds: 100,
			Autoscaling: []abi.PeriodsSettings{{Periods: []string{"* * 9-17 * * mon-fri *"}, Timezone: "Europe/Berlin", IdleCount: 20, IdleTimeS: 3600}},
		},
		Fleet: abi.Counts{Creating: 1, Idle: 3, Acquired: 1, Used: 4, Available: 5, Total: 9},
		Demand: abi.Demand{Running: 4, Waiting: 1, Windows: []abi.Window{
			{Seconds: 60, Arrivals: 2, Finished: 1, MeanDuration: 64}, {Seconds: 300, Arrivals: 8, Finished: 7, MeanDuration: 170.5},
			{Seconds: 900, Arrivals: 23, Finished: 21, MeanDuration: 175}, {Seconds: 3600, Arrivals: 90, Finished: 85, MeanDuration: 181.5},
		}},
		Failures: []abi.Failure{{Kind: abi.Transient, Count: 1, AgeS: 1800}},
	}
	at(&s, start)
	return s
}

// Later moves a snapshot on by a minute.
func Later(s *abi.Snapshot) { at(s, time.UnixMilli(s.NowUnixMS).UTC().Add(time.Minute)) }

// at sets the clock of a snapshot, in the summer of 2026.
func at(s *abi.Snapshot, now time.Time) {
	berlin := time.FixedZone("", 2*3600)
	s.Now, s.NowUnixMS = now.Format(time.RFC3339Nano), now.UnixMilli()
	s.Zones = []abi.Zone{
		{Name: "Local", Local: now.Format(time.RFC3339Nano)},
		{Name: "Europe/Berlin", Local: now.In(berlin).Format(time.RFC3339Nano), OffsetS: 7200, NextChange: "2026-10-25T01:00:00Z", NextOffsetS: 3600},
		{Name: "UTC", Local: now.Format(time.RFC3339Nano)},
	}
}

// wished adds machines and history, when the description asks for them.
func wished(s *abi.Snapshot, d abi.Describe) {
	if d.WantMachines {
		s.Machines = machines(s.Fleet)
	}
	if w := d.WantHistory; w != nil && rules.Wish(*w) == nil {
		s.History = history(*w)
	}
}

// machines lists as many machines as the counts say, a thousand at most.
func machines(c abi.Counts) []abi.MachineView {
	var list []abi.MachineView
	for _, state := range []struct {
		name string
		n    int
	}{{"creating", c.Creating}, {"idle", c.Idle}, {"acquired", c.Acquired}, {"used", c.Used}, {"removing", c.Removing}, {"stuck-on-removing", c.Stuck}} {
		for i := range max(min(state.n, 1000-len(list)), 0) {
			m := abi.MachineView{Name: "runner-abcdefgh-auto-" + strconv.Itoa(len(list)+1), State: state.name, AgeS: 60 * float64(i+1)}
			if state.name == "idle" {
				m.IdleS = 30 * float64(i)
			}
			if state.name != "creating" {
				m.UsedCount = i
			}
			list = append(list, m)
		}
	}
	return list
}

// history is a past of busy working hours and quiet nights and weekends.
func history(wish abi.HistoryWish) *abi.History {
	step := time.Duration(wish.StepS) * time.Second
	from := start.Truncate(step).Add(-time.Duration(wish.Points) * step)
	h := &abi.History{FromUnixMS: from.UnixMilli(), StepS: wish.StepS}
	for i := range wish.Points {
		now := from.Add(time.Duration(i) * step)
		jobs := 1
		if now.Hour() >= 8 && now.Hour() < 18 && now.Weekday() != time.Saturday && now.Weekday() != time.Sunday {
			jobs = 8
		}
		h.Minutes = append(h.Minutes, wish.StepS/60)
		h.Arrivals = append(h.Arrivals, jobs*wish.StepS/120)
		h.Finished = append(h.Finished, jobs*wish.StepS/120)
		h.Running = append(h.Running, float64(jobs))
		h.RunningMax = append(h.RunningMax, jobs+1)
		h.WaitingMax = append(h.WaitingMax, 1)
		h.Available = append(h.Available, 2)
		h.Total = append(h.Total, float64(jobs+2))
	}
	return h
}
