package module_test

import (
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestChainDecidesSlots holds what becomes of targets in slots and in machines on a runner with [runners.autoscaler].
func TestChainDecidesSlots(t *testing.T) {
	m := theProbe(t)
	settings := abi.RunnerSettings{Name: "fleet", Instances: &abi.InstanceSettings{CapacityPerInstance: 5, MaxInstances: 10}}
	base := proposing(m, 20, `{"settings":{"idle_time_s":1200},"idle_target":2,"idle_slots":7,"preemptive":true,"reason":"seven"}`)
	for name, tc := range map[string]struct {
		links      []module.Link
		target     int
		idle       time.Duration
		preemptive bool
		reason     string
	}{
		"no policy":                             {nil, 0, 5 * time.Minute, false, "no policy proposed a target, so no slot is held free: instances are made when jobs come"},
		"slots":                                 {[]module.Link{base}, 7, 20 * time.Minute, true, "seven"},
		"machines alone count by their slots":   {[]module.Link{proposing(m, 1, `{"idle_target":2,"reason":"two"}`)}, 10, 5 * time.Minute, true, "two"},
		"a later target in machines":            {[]module.Link{base, proposing(m, 30, `{"idle_target":3,"reason":"three"}`)}, 15, 20 * time.Minute, true, "three"},
		"a later target that is the same":       {[]module.Link{base, proposing(m, 30, `{"idle_target":2,"reason":"as it was"}`)}, 7, 20 * time.Minute, true, "as it was"},
		"a later target in slots":               {[]module.Link{base, proposing(m, 30, `{"idle_slots":1,"reason":"one"}`)}, 1, 20 * time.Minute, true, "one"},
		"slots after machines after slots":      {[]module.Link{base, proposing(m, 30, `{"idle_target":3}`), proposing(m, 40, `{"idle_slots":7}`)}, 7, 20 * time.Minute, true, "seven"},
		"none in the end: jobs come before":     {[]module.Link{base, proposing(m, 30, `{"idle_target":0,"reason":"none"}`)}, 0, 20 * time.Minute, false, "none"},
		"none in the end, and jobs wait anyway": {[]module.Link{base, proposing(m, 30, `{"idle_slots":0,"preemptive":true,"reason":"none"}`)}, 0, 20 * time.Minute, true, "none"},
		"none from the first, and jobs wait":    {[]module.Link{proposing(m, 1, `{"idle_target":0,"idle_slots":0,"preemptive":true}`), proposing(m, 2, `{"idle_target":0,"reason":"none"}`)}, 0, 5 * time.Minute, true, "none"},
		"jobs need not wait":                    {[]module.Link{base, proposing(m, 30, `{"preemptive":false}`)}, 7, 20 * time.Minute, false, "seven"},
		"enormous numbers count as large ones":  {[]module.Link{proposing(m, 1, `{"idle_slots":9007199254740993,"reason":"all"}`)}, 1_000_000, 5 * time.Minute, true, "all"},
	} {
		t.Run(name, func(t *testing.T) {
			d := chain(t, tc.links...).Decide(t.Context(), abi.Snapshot{Runner: settings})
			if d.IdleTarget != tc.target || d.IdleTime != tc.idle || d.AsksAhead() != tc.preemptive || d.Reason != tc.reason {
				t.Errorf("got %d, %v, %v, %q; want %d, %v, %v, %q", d.IdleTarget, d.IdleTime, d.AsksAhead(), d.Reason, tc.target, tc.idle, tc.preemptive, tc.reason)
			}
		})
	}
}

// BenchmarkDecideInstances is one decision of a runner with [runners.autoscaler].
func BenchmarkDecideInstances(b *testing.B) {
	links, err := builtinHost(b).BuiltinLinks(b.Context(), module.PoliciesFor(true)...)
	if err != nil {
		b.Fatal(err)
	}
	s := liveSnapshot(b)
	s.Runner = abi.RunnerSettings{Name: "fleet", Concurrent: 100, Instances: &abi.InstanceSettings{CapacityPerInstance: 5, MaxInstances: 10, Policy: []abi.InstancePolicy{
		{Periods: []string{"* * * * *"}, Timezone: "UTC", IdleCount: 5, IdleTimeS: 1200, ScaleFactor: 0.5, PreemptiveMode: true},
		{Periods: []string{"* 8-15 * * mon-fri"}, Timezone: "Europe/Berlin", IdleCount: 20, IdleTimeS: 1200, PreemptiveMode: true},
	}}}
	s.Slots = &abi.Slots{Creating: 5, Free: 7, Used: 23}
	measureDecisions(b, chain(b, links...), s)
}
