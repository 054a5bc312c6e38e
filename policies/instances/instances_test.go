package main

import (
	"math"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestFreeTarget holds what the vectors (vectors_test.go) leave out: numbers at and beyond the edges.
func TestFreeTarget(t *testing.T) {
	for _, v := range []struct {
		name        string
		used, count int
		factor      float64
		limit       int
		want        int
	}{
		{"100 × 0.29 is 29, whatever binary fractions make of it", 100, 0, 0.29, 0, 29},
		{"3 × 1.1 is 3.3", 3, 0, 1.1, 0, 4},
		{"10 × 1.1 is 11, not a bit more", 10, 0, 1.1, 0, 11},
		{"nothing in use", 0, 2, 3, 0, 2},
		{"idle_count is no cap", 10, 2, 1, 0, 10},
		{"the limit does not bound idle_count", 10, 20, 1, 5, 20},
		{"a negative limit is none", 10, 0, 1, -5, 10},
		{"a negative factor is off", 3, 7, -0.5, 0, 7},
		{"an infinite factor is off", 3, 7, math.Inf(1), 0, 7},
		{"a factor that is no number is off", 3, 7, math.NaN(), 0, 7},
		{"a huge factor", 3, 7, math.MaxFloat64, 0, 1_000_000},
		{"a tiny factor is the noise itself", 3, 0, math.SmallestNonzeroFloat64, 0, 0},
		{"a negative idle_count", 3, -7, 0, 0, 0},
		{"a negative number in use", -3, 1, 2, 0, 1},
		{"the largest numbers", math.MaxInt, math.MaxInt, math.MaxFloat64, math.MaxInt, 1_000_000},
	} {
		t.Run(v.name, func(t *testing.T) {
			p := abi.InstancePolicy{IdleCount: v.count, ScaleFactor: v.factor, ScaleFactorLimit: v.limit}
			if got := FreeTarget(v.used, p); got != v.want {
				t.Errorf("got %d, want %d", got, v.want)
			}
		})
	}
}

// TestInstancesOf holds how slots make instances: what is missing is rounded up, what is spare down.
func TestInstancesOf(t *testing.T) {
	for _, v := range []struct {
		name     string
		free     int
		settings abi.InstanceSettings
		fleet    abi.Counts
		slots    *abi.Slots
		waiting  int
		want     int
	}{
		{name: "reservations sit on slots that count as free", free: 5, settings: abi.InstanceSettings{CapacityPerInstance: 5},
			fleet: abi.Counts{Acquired: 1, Total: 1}, slots: &abi.Slots{Free: 2, Reserved: 3}, want: 1},
		{name: "more reservations than the target keep their instances", free: 0, settings: abi.InstanceSettings{CapacityPerInstance: 1},
			fleet: abi.Counts{Acquired: 3, Total: 3}, slots: &abi.Slots{Reserved: 3}, want: 3},
		{name: "instances in the making count", free: 10, settings: abi.InstanceSettings{CapacityPerInstance: 5},
			fleet: abi.Counts{Creating: 2, Total: 2}, slots: &abi.Slots{Creating: 10}, want: 2},
		{name: "slots that no job gets any more don't", free: 5, settings: abi.InstanceSettings{CapacityPerInstance: 5, MaxUseCount: 6},
			fleet: abi.Counts{Used: 1, Total: 1}, slots: &abi.Slots{Used: 2, Unavailable: 3}, want: 2},
		{name: "max_use_count below the capacity", free: 5, settings: abi.InstanceSettings{CapacityPerInstance: 5, MaxUseCount: 2}, want: 3},
		{name: "one slot spare of five keeps the instance", free: 4, settings: abi.InstanceSettings{CapacityPerInstance: 5},
			fleet: abi.Counts{Idle: 1, Total: 1}, slots: &abi.Slots{Free: 5}, want: 1},
		{name: "a whole instance spare", free: 4, settings: abi.InstanceSettings{CapacityPerInstance: 5},
			fleet: abi.Counts{Idle: 2, Total: 2}, slots: &abi.Slots{Free: 10}, want: 1},
		{name: "jobs that wait come on top", free: 2, settings: abi.InstanceSettings{CapacityPerInstance: 1}, waiting: 3, want: 5},
		{name: "those that can't be removed count for max_instances", free: 9, settings: abi.InstanceSettings{CapacityPerInstance: 1, MaxInstances: 5},
			fleet: abi.Counts{Removing: 1, Stuck: 2, Total: 3}, want: 2},
		{name: "no capacity counts as 1", free: 2, want: 2},
	} {
		t.Run(v.name, func(t *testing.T) {
			s := abi.Snapshot{Runner: abi.RunnerSettings{Instances: &v.settings}, Fleet: v.fleet, Slots: v.slots, Demand: abi.Demand{Waiting: v.waiting}}
			if got := Instances(v.free, s); got != v.want {
				t.Errorf("got %d, want %d", got, v.want)
			}
		})
	}
}

// TestReasons has what people see, and what becomes of strange input; natively and as Wasm.
func TestReasons(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/instances")
	section := abi.InstancePolicy{Periods: []string{"* * * * *"}, Timezone: "UTC", IdleCount: 5, IdleTimeS: 1200, PreemptiveMode: true}
	at := func(change func(*abi.Snapshot, *abi.InstanceSettings)) abi.Snapshot {
		s := snapshot(t, specvectors.Scaling{InUse: 6, Settings: abi.InstanceSettings{CapacityPerInstance: 5, MaxInstances: 10, Policy: []abi.InstancePolicy{section}}})
		change(&s, s.Runner.Instances)
		return s
	}
	zero, half, rest := 0, 0.5, int64(60)
	for _, c := range []struct {
		name       string
		snapshot   abi.Snapshot
		free       int
		idleTimeS  int64
		preemptive bool
		reason     string
	}{
		{"slots", at(func(*abi.Snapshot, *abi.InstanceSettings) {}), 5, 1200, true,
			"policy[0] `* * * * *` (UTC) is active: 5 slots free beside 6 in use, 3 instances"},
		{"a factor", at(func(_ *abi.Snapshot, i *abi.InstanceSettings) { i.Policy[0].ScaleFactor = 1.2 }), 8, 1200, true,
			"6 in use × 1.2 = 7.2, rounded up, 8 slots free beside 6 in use, 3 instances"},
		{"a factor below idle_count", at(func(_ *abi.Snapshot, i *abi.InstanceSettings) { i.Policy[0].ScaleFactor = 0.1 }), 5, 1200, true,
			"6 in use × 0.1 = 0.6, raised to idle_count 5"},
		{"a factor beyond its limit", at(func(_ *abi.Snapshot, i *abi.InstanceSettings) {
			i.Policy[0].ScaleFactor, i.Policy[0].ScaleFactorLimit = 10, 20
		}), 20, 1200, true, "6 in use × 10 = 60, capped by scale_factor_limit 20, 20 slots free"},
		{"an even product", at(func(_ *abi.Snapshot, i *abi.InstanceSettings) { i.Policy[0].ScaleFactor = 1.5 }), 9, 1200, true,
			"6 in use × 1.5 = 9, 9 slots free"},
		{"on demand", at(func(_ *abi.Snapshot, i *abi.InstanceSettings) {
			i.Policy[0].IdleCount, i.Policy[0].PreemptiveMode = 0, false
		}), 0, 1200, false, "no slot is held free and instances are made when jobs come, 2 instances"},
		{"no section", at(func(_ *abi.Snapshot, i *abi.InstanceSettings) { i.Policy = nil }), 0, 300, false, "no policy section is active: no slot"},
		{"bad parts are skipped by name", at(func(_ *abi.Snapshot, i *abi.InstanceSettings) {
			bad, elsewhere := section, section
			bad.Periods, bad.IdleCount = []string{"* * 9-17 * * mon-fri *"}, 9
			elsewhere.Timezone, elsewhere.IdleCount = "Mars/Olympus", 9
			i.Policy = append(i.Policy, bad, elsewhere)
		}), 5, 1200, true, "policy[1]: period `* * 9-17 * * mon-fri *`: 7 fields, as in [[runners.machine.autoscaling]]; here it is unix cron's 5 fields: " +
			"`minute hour day-of-month month day-of-week`, so it is skipped; policy[2]: its time zone `Mars/Olympus` is unknown, so it is skipped"},
		{"settings of a module before win", at(func(s *abi.Snapshot, _ *abi.InstanceSettings) {
			s.Proposal.Settings = &abi.Settings{IdleScaleFactor: &half, IdleTimeS: &rest}
		}), 5, 60, true, "6 in use × 0.5 = 3, raised to idle_count 5"},
		{"none wanted by a module before: jobs need not wait for a free slot", at(func(s *abi.Snapshot, _ *abi.InstanceSettings) {
			s.Proposal.Settings = &abi.Settings{IdleCount: &zero}
		}), 0, 1200, false, "no slot is held free"},
		{"settings that make no sense", at(func(_ *abi.Snapshot, i *abi.InstanceSettings) {
			i.CapacityPerInstance, i.MaxUseCount, i.MaxInstances = -1, -1, -1
			i.Policy[0].IdleCount, i.Policy[0].IdleTimeS, i.Policy[0].ScaleFactor, i.Policy[0].ScaleFactorLimit = -1, -1, -1, -1
		}), 0, 0, true, "0 slots free"},
		{"no slots counted", at(func(s *abi.Snapshot, _ *abi.InstanceSettings) { s.Slots = nil }), 5, 1200, true, "5 slots free beside 0 in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := both(t, m, c.snapshot)
			if *p.IdleSlots != c.free || *p.Settings.IdleTimeS != c.idleTimeS || *p.Preemptive != c.preemptive {
				t.Errorf("%d free, idle time %d s, preemptive %v; want %d, %d, %v", *p.IdleSlots, *p.Settings.IdleTimeS, *p.Preemptive, c.free, c.idleTimeS, c.preemptive)
			}
			if !strings.Contains(p.Reason, c.reason) {
				t.Errorf("reason %q\nwant   %q", p.Reason, c.reason)
			}
		})
	}
}

// TestMachineRunner asks for a runner of docker+machine: nothing is proposed.
func TestMachineRunner(t *testing.T) {
	p, err := instances{}.Decide(abi.Snapshot{Runner: abi.RunnerSettings{IdleCount: 5}})
	if err != nil || p.IdleTarget != nil || p.IdleSlots != nil || p.Preemptive != nil || p.Settings != nil {
		t.Errorf("got %+v, %v", p, err)
	}
}

// FuzzFreeTarget looks for a result outside of its range, or one that falls when more slots are in use.
func FuzzFreeTarget(f *testing.F) {
	f.Add(100, 10, 0.29, 100, 5, 10)
	f.Add(3, 0, 1.5, 0, 1, 0)
	f.Fuzz(func(t *testing.T, used, count int, factor float64, limit, capacity, maximum int) {
		p := abi.InstancePolicy{IdleCount: count, ScaleFactor: factor, ScaleFactorLimit: limit}
		got := FreeTarget(used, p)
		if got < 0 || got > most {
			t.Fatalf("FreeTarget(%d, %+v) = %d", used, p, got)
		}
		if used < math.MaxInt && FreeTarget(used+1, p) < got {
			t.Fatalf("FreeTarget(%d, %+v) = %d, and less with one more in use", used, p, got)
		}
		s := abi.Snapshot{Runner: abi.RunnerSettings{Instances: &abi.InstanceSettings{CapacityPerInstance: capacity, MaxInstances: maximum}},
			Fleet: abi.Counts{Total: used}, Slots: &abi.Slots{Used: used, Free: count}, Demand: abi.Demand{Waiting: limit}}
		if n := Instances(got, s); n < 0 || maximum > 0 && n > maximum {
			t.Fatalf("%d instances of %d at most", n, maximum)
		}
	})
}
