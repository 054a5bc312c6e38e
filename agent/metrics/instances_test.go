package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// fleetings are GitLab Runner's metrics of the newer autoscaler, with type and labels beside those of all. Source: GitLab Runner 19.4.
var fleetings = map[string]string{
	"fleeting_provisioner_max_instances":                       "gauge " + r3,
	"fleeting_provisioner_instances":                           "gauge runner runner_name state system_id",
	"fleeting_provisioner_instance_operations_total":           "counter operation " + r3,
	"fleeting_provisioner_internal_operations_total":           "counter operation " + r3,
	"fleeting_provisioner_missed_updates_total":                "counter " + r3,
	"fleeting_provisioner_instance_creation_time_seconds":      "histogram " + r3,
	"fleeting_provisioner_instance_is_running_time_seconds":    "histogram " + r3,
	"fleeting_provisioner_instance_deletion_time_seconds":      "histogram " + r3,
	"fleeting_provisioner_instance_life_duration_seconds":      "histogram " + r3,
	"fleeting_taskscaler_max_tasks_per_instance":               "gauge " + r3,
	"fleeting_taskscaler_max_use_count_per_instance":           "gauge " + r3,
	"fleeting_taskscaler_desired_instances":                    "gauge " + r3,
	"fleeting_taskscaler_tasks":                                "gauge runner runner_name state system_id",
	"fleeting_taskscaler_scale_operations_total":               "counter operation " + r3,
	"fleeting_taskscaler_task_operations_total":                "counter operation " + r3,
	"fleeting_taskscaler_task_instance_readiness_time_seconds": "histogram " + r3,
}

// TestInstanceMetrics: names, types and labels are GitLab Runner's, for runners with [runners.autoscaler] alone.
func TestInstanceMetrics(t *testing.T) {
	m := New(Version{})
	r := Runner{ShortToken: "abc", Name: "scaled", SystemID: "s"}
	found := func() map[string]string {
		t.Helper()
		families, err := m.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "fleeting_") {
				continue
			}
			var labels []string
			for _, l := range f.Metric[0].Label {
				labels = append(labels, l.GetName())
			}
			out[f.GetName()] = strings.ToLower(f.GetType().String()) + " " + strings.Join(labels, " ")
		}
		return out
	}
	if got := found(); len(got) > 0 {
		t.Errorf("without such a runner: %v", got)
	}
	m.InstancesConfigured(r, BucketsOf([]float64{2, 1, 2}, nil, nil, []float64{7}, nil, nil))
	got := found()
	for name, want := range fleetings {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if len(got) != len(fleetings) {
		t.Errorf("%d metrics, want %d", len(got), len(fleetings))
	}
	m.RunnerGone(r)
	if got := found(); len(got) > 0 {
		t.Errorf("after the runner has gone: %v", got)
	}
}

// TestInstanceFigures: what pools tell and hold shows, in the buckets of the configuration.
func TestInstanceFigures(t *testing.T) {
	m := New(Version{})
	scaled, buckets := Runner{ShortToken: "abc", Name: "scaled", SystemID: "s"}, BucketsOf([]float64{2, 20}, nil, nil, []float64{7}, nil, []float64{100})
	m.InstancesConfigured(scaled, Buckets{})
	m.InstancesConfigured(scaled, buckets) // a reload has changed them
	event := func(e fleet.MachineEvent) { m.Event(fleet.Event{Runner: "scaled", Machine: &e}) }
	event(fleet.MachineEvent{State: fleet.Creating})
	event(fleet.MachineEvent{From: fleet.Creating, State: fleet.Creating, Phase: "insert"})
	event(fleet.MachineEvent{From: fleet.Creating, State: fleet.Creating, Phase: "boot"})
	event(fleet.MachineEvent{From: fleet.Creating, State: fleet.Idle, Duration: 30 * time.Second, Phases: []fleet.PhaseTime{{Phase: "insert", Duration: time.Second}, {Phase: "boot", Duration: 10 * time.Second}}})
	event(fleet.MachineEvent{From: fleet.Idle, State: fleet.Removing})
	event(fleet.MachineEvent{From: fleet.Removing, State: fleet.Removing, Gone: true, Duration: 5 * time.Second, Age: time.Hour})
	m.Event(fleet.Event{Runner: "another", Machine: &fleet.MachineEvent{State: fleet.Creating}})
	m.InstancesConfigured(scaled, buckets) // a reload that changes nothing keeps what was counted
	m.Fleets([]Fleet{{Runner: "scaled", Instances: &Instances{Max: 10, Capacity: 5, MaxUse: 7, Desired: 3, Missed: 2,
		States: map[string]int{"running": 2}, Tasks: map[string]int{"idle": 4}, Operations: map[string]int{"acquire": 9}}}})
	const r = `runner="abc",runner_name="scaled",system_id="s"`
	for name, want := range map[string]string{
		"fleeting_provisioner_max_instances":                       `{` + r + `} 10`,
		"fleeting_provisioner_instances":                           `{runner="abc",runner_name="scaled",state="running",system_id="s"} 2`,
		"fleeting_provisioner_instance_operations_total":           `{operation="create",` + r + `} 1`,
		"fleeting_provisioner_internal_operations_total":           `{operation="provision",` + r + `} 1`,
		"fleeting_provisioner_missed_updates_total":                `{` + r + `} 2`,
		"fleeting_provisioner_instance_creation_time_seconds":      `_bucket{` + r + `,le="2"} 1`,
		"fleeting_provisioner_instance_is_running_time_seconds":    `_bucket{` + r + `,le="20"} 1`,
		"fleeting_provisioner_instance_deletion_time_seconds":      `_bucket{` + r + `,le="7"} 1`,
		"fleeting_provisioner_instance_life_duration_seconds":      `_bucket{` + r + `,le="100"} 0`,
		"fleeting_taskscaler_task_instance_readiness_time_seconds": `_sum{` + r + `} 19`,
		"fleeting_taskscaler_max_tasks_per_instance":               `{` + r + `} 5`,
		"fleeting_taskscaler_max_use_count_per_instance":           `{` + r + `} 7`,
		"fleeting_taskscaler_desired_instances":                    `{` + r + `} 3`,
		"fleeting_taskscaler_tasks":                                `{runner="abc",runner_name="scaled",state="idle",system_id="s"} 4`,
		"fleeting_taskscaler_scale_operations_total":               `{operation="down",` + r + `} 1`,
		"fleeting_taskscaler_task_operations_total":                `{operation="acquire",` + r + `} 9`,
	} {
		page, err := testutil.CollectAndFormat(m.instances, expfmt.TypeTextPlain, name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), name+want+"\n") {
			t.Errorf("%s%s is not in\n%s", name, want, page)
		}
	}
}
