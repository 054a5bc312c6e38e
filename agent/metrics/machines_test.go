package metrics

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Idle time is counted as it grows, whatever pools come and go.
func TestIdleTimeGrows(t *testing.T) {
	m := New(Version{})
	value := func() float64 { return testutil.ToFloat64(m.machines.idle.WithLabelValues("r")) }
	for _, tt := range []struct {
		fleets []Fleet
		want   float64
	}{
		{[]Fleet{{Runner: "r", Pool: 1, IdleFor: 10 * time.Second}}, 10},
		{[]Fleet{{Runner: "r", Pool: 1, IdleFor: 12 * time.Second}, {Runner: "r", Pool: 2, IdleFor: time.Second}}, 13},
		{[]Fleet{{Runner: "r", Pool: 2, IdleFor: 4 * time.Second}}, 16},
		{[]Fleet{{Runner: "r", Pool: 1, IdleFor: 2 * time.Second}}, 18}, // another pool at the same place
	} {
		m.Fleets(tt.fleets)
		if got := value(); got != tt.want {
			t.Errorf("%v: %v seconds, want %v", tt.fleets, got, tt.want)
		}
	}
}

// An orphan that two pools see is one orphan.
func TestOrphansCountOnce(t *testing.T) {
	m := New(Version{})
	m.Fleets([]Fleet{
		{Runner: "a", Pool: 1, Orphans: []Orphan{{"docker", "x", false}, {"docker", "../y", true}}, Ledger: 2},
		{Runner: "b", Pool: 2, Orphans: []Orphan{{"docker", "x", false}, {"other", "x", false}}, Blind: 1},
	})
	for _, tt := range []struct {
		what prometheus.Collector
		want float64
	}{
		{m.machines.orphans.WithLabelValues("docker", "false"), 1},
		{m.machines.orphans.WithLabelValues("docker", "true"), 1},
		{m.machines.orphans.WithLabelValues("other", "false"), 1},
		{m.machines.ledger.WithLabelValues("a"), 2},
		{m.machines.blind.WithLabelValues("b"), 1},
	} {
		if got := testutil.ToFloat64(tt.what); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.what, got, tt.want)
		}
	}
	m.Fleets(nil)
	if n := testutil.CollectAndCount(m.machines.orphans); n != 0 {
		t.Errorf("%d series of orphans are left", n)
	}
}

// What is told of machines besides their states is no creation that failed.
func TestMachineEvents(t *testing.T) {
	m := New(Version{})
	for _, e := range []fleet.MachineEvent{
		{State: fleet.Creating, Overdue: "creating", Err: "late"},
		{State: fleet.Creating, Op: fleet.OpCreate, Kind: abi.Quota, Err: "none left"},
		{State: fleet.Used, Interrupted: true, Err: "soon"},
		{State: fleet.Removing, Gone: true, Cause: fleet.CauseInterrupted},
	} {
		m.Event(fleet.Event{Runner: "r", Machine: &e})
	}
	for name, tt := range map[string]struct{ got, want float64 }{
		"failed creations": {testutil.ToFloat64(m.machines.failures.WithLabelValues("r", "create", "quota")), 1},
		"overdue":          {testutil.ToFloat64(m.machines.overdue.WithLabelValues("r", "creating")), 1},
		"interruptions":    {testutil.ToFloat64(m.machines.interrupted.WithLabelValues("r")), 1},
		"removals":         {testutil.ToFloat64(m.machines.removals.WithLabelValues("r", "interrupted")), 1},
		"GitLab's figure":  {testutil.ToFloat64(m.actions.WithLabelValues(executorName, "creation-failed", "", "", "", "")), 1},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", name, tt.got, tt.want)
		}
	}
}
