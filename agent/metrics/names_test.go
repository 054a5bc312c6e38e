package metrics

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	r3   = "runner runner_name system_id"
	tgts = " target_machine_type target_project target_region target_zone"
)

// gitlabs are GitLab Runner's metrics of docker+machine and of the agent, with type and labels. Source: GitLab Runner 19.4.
var gitlabs = map[string]string{
	"gitlab_runner_autoscaling_machine_states":                           "gauge executor state" + tgts,
	"gitlab_runner_autoscaling_actions_total":                            "counter action executor" + tgts,
	"gitlab_runner_autoscaling_machine_creation_duration_seconds":        "histogram executor",
	"gitlab_runner_autoscaling_machine_failed_creation_duration_seconds": "histogram executor",
	"gitlab_runner_autoscaling_machine_stopping_duration_seconds":        "histogram executor",
	"gitlab_runner_autoscaling_machine_removal_duration_seconds":         "histogram executor",

	"gitlab_runner_concurrent":                                     "gauge",
	"gitlab_runner_limit":                                          "gauge " + r3,
	"gitlab_runner_jobs":                                           "gauge executor_stage runner runner_name stage state system_id",
	"gitlab_runner_jobs_total":                                     "counter " + r3,
	"gitlab_runner_failed_jobs_total":                              "counter failure_reason mode runner runner_name",
	"gitlab_runner_job_duration_seconds":                           "histogram mode " + r3,
	"gitlab_runner_job_queue_duration_seconds":                     "histogram project_jobs_running " + r3,
	"gitlab_runner_job_queue_size":                                 "gauge " + r3,
	"gitlab_runner_job_queue_depth":                                "gauge " + r3,
	"gitlab_runner_job_stage_duration_seconds":                     "histogram runner runner_name stage system_id",
	"gitlab_runner_job_execution_mode_total":                       "counter executor mode",
	"gitlab_runner_acceptable_job_queuing_duration_exceeded_total": "counter " + r3,
	"gitlab_runner_request_concurrency":                            "gauge runner system_id",
	"gitlab_runner_request_concurrency_exceeded_total":             "counter runner system_id",
	"gitlab_runner_request_concurrency_hard_limit":                 "gauge runner system_id",
	"gitlab_runner_request_concurrency_adaptive_limit":             "gauge runner system_id",
	"gitlab_runner_request_concurrency_used_limit":                 "gauge runner system_id",
	"gitlab_runner_worker_slots_number":                            "gauge",
	"gitlab_runner_worker_slot_operations_total":                   "counter operation",
	"gitlab_runner_worker_feeds_total":                             "counter " + r3,
	"gitlab_runner_worker_feed_failures_total":                     "counter " + r3,
	"gitlab_runner_worker_processing_failures_total":               "counter failure_type " + r3,
	"gitlab_runner_worker_health_check_failures_total":             "counter " + r3,
	"gitlab_runner_api_request_statuses_total":                     "counter endpoint method runner status system_id",
	"gitlab_runner_api_request_duration_seconds":                   "histogram endpoint method runner status_class system_id",
	"gitlab_runner_api_request_retries_total":                      "counter method path",
	"gitlab_runner_errors_total":                                   "counter level",
	"gitlab_runner_configuration_loaded_total":                     "counter",
	"gitlab_runner_configuration_loading_error_total":              "counter",
	"gitlab_runner_configuration_saved_total":                      "counter",
	"gitlab_runner_configuration_saving_error_total":               "counter",
	"gitlab_runner_process_state_info":                             "gauge state",
	"gitlab_runner_version_info":                                   "gauge architecture branch built_at go_version name os revision version",
	"gitlab_runner_job_inputs_interpolations_total":                "counter",
	"gitlab_runner_job_inputs_interpolation_failures_total":        "counter error_type",
	"gitlab_runner_job_router_circuit_breaker_state":               "gauge",
	"gitlab_runner_job_router_circuit_breaker_trips_total":         "counter",
	"gitlab_runner_job_router_discovery_cache_events_total":        "counter result",
	"gitlab_runner_job_router_fallbacks_total":                     "counter reason",
	"gitlab_runner_job_router_get_job_duration_seconds":            "histogram",
	"gitlab_runner_cache_s3_assume_role_requests_in_flight":        "gauge",
	"gitlab_runner_cache_s3_assume_role_wait_seconds":              "histogram",
	"gitlab_runner_cache_s3_assume_role_duration_seconds":          "histogram",
	"gitlab_runner_cache_s3_assume_role_cache_hits_total":          "counter",
	"gitlab_runner_cache_s3_assume_role_cache_misses_total":        "counter",
	"gitlab_runner_cache_s3_assume_role_cached_credentials":        "gauge",
	"gitlab_runner_cache_s3_assume_role_failures_total":            "counter",
	"go_goroutines": "gauge",
}

// lacking are those of them that the agent does not have, by a prefix, and why.
var lacking = map[string]string{
	"gitlab_runner_job_router_": "jobs are not asked for through the job router",
}

// everything is a page on which each metric has been used once.
func everything() *Metrics {
	m := New(Version{})
	m.Process("running")
	m.ConfigLoaded(2, nil)
	m.ConfigLoaded(1, nil)
	m.ConfigLoaded(0, errors.New("bad"))
	m.ConfigSaved(nil)
	m.ConfigSaved(errors.New("full"))
	m.RunnerConfigured(one, 5)
	j := m.JobStarted(one, JobStart{Executor: "docker+machine", TooLong: true, StageTimes: true})
	j.ExecutorStage(StageUseMachine)
	j.Placed("auto-1", "i-1", time.Second)
	j.Stage("get_sources")
	j.End(time.Second, "script_failure")
	m.JobStarted(one, JobStart{Executor: "docker+machine"}).Stage("step_script")
	m.Interpolated("unknown")
	m.APICall(one, APICall{Endpoint: "request_job", Method: "post", Path: "jobs/request", Status: 204, Attempts: 1})
	m.APICall(one, APICall{Endpoint: "request_job", Method: "post", Path: "jobs/request", Attempts: 1})
	m.Turn(one)
	m.Skipped(one, "no_slot", false)
	m.Requested(one, "unhealthy")
	m.Feed(Feed{Slots: 1, Runners: []FeedRunner{{Runner: one}}})
	d := fleet.Decision{IdleTarget: 1, Steps: []fleet.Step{{Module: "x", Err: "trap"}}}
	m.Event(fleet.Event{Runner: "one", Decision: &d, Rails: []fleet.Rail{{Name: "create"}}})
	m.Event(fleet.Event{Runner: "one", Machine: &fleet.MachineEvent{From: fleet.Creating, State: fleet.Idle, Phases: []fleet.PhaseTime{{Phase: "boot"}}}})
	for _, e := range []fleet.MachineEvent{
		{Gone: true, Cause: fleet.CauseIdle}, {Op: fleet.OpProbe, Kind: abi.Transient, Err: "x"}, {Overdue: "removing", Err: "x"}, {Interrupted: true, Err: "x"},
	} {
		m.Event(fleet.Event{Runner: "one", Machine: &e})
	}
	m.Fleets([]Fleet{{Runner: "one", Orphans: []Orphan{{Driver: "docker", Name: "a"}}, Counts: abi.Counts{Idle: 1}, Code: CodeSteady, Sections: []string{"none"}, Section: "none"}})
	m.Scaling(Scaling{
		Ceilings: fleet.Ceilings{MaxMachines: 1}, Accounts: []Account{{Name: "docker", Calls: map[string]int{"list": 1}}},
		Runners: []RunnerScaling{{Runner: "one", Breaker: "open", Failures: map[string]int{"quota": 1}, Rails: []fleet.Rail{{Name: "create", Cause: "limit"}}}},
	})
	m.Modules([]Module{{Kind: "policy", Name: "x", Loaded: true}}, []ModuleCalls{{Module: "x", Kind: "policy", Export: "decide"}})
	return m
}

// shapes are the metrics with type and labels.
func shapes(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range families {
		words := []string{strings.ToLower(f.GetType().String())}
		for _, l := range f.GetMetric()[0].GetLabel() {
			words = append(words, l.GetName())
		}
		out[f.GetName()] = strings.Join(words, " ")
	}
	return out
}

// Every metric of GitLab Runner is there with its type and labels, or it is known why not; what is missing is no more than the table says.
func TestGitLabsNames(t *testing.T) {
	have := shapes(t, everything())
	why := func(name string) string {
		for prefix, reason := range lacking {
			if strings.HasPrefix(name, prefix) {
				return reason
			}
		}
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(gitlabs)) {
		switch shape, there := have[name]; {
		case there && why(name) != "":
			t.Errorf("%s is there; take it out of the table of those that lack (%s)", name, why(name))
		case !there && why(name) == "":
			t.Errorf("%s is lacking", name)
		case there && shape != gitlabs[name]:
			t.Errorf("%s: %s\nwant %s", name, shape, gitlabs[name])
		}
	}
	for name := range have {
		if strings.HasPrefix(name, "gitlab_runner_") && gitlabs[name] == "" {
			t.Errorf("%s is no metric of GitLab Runner; ours begin with millwright_", name)
		}
	}
}

// No label names what has no bound: a job, a machine, a project.
func TestLabelsAreBounded(t *testing.T) {
	for name, shape := range shapes(t, everything()) {
		for _, label := range strings.Fields(shape)[1:] {
			switch label {
			case "job", "job_id", "machine", "instance", "instance_id", "project", "pipeline", "id", "error", "url":
				t.Errorf("%s has the label %s", name, label)
			}
		}
	}
}

// GitLab's buckets are the same, so that recorded quantiles can be compared.
func TestBuckets(t *testing.T) {
	families, err := everything().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		byName[f.GetName()] = f
	}
	for name, want := range map[string][]float64{
		"gitlab_runner_job_duration_seconds":                         {30, 60, 300, 600, 1800, 3600, 7200, 10800, 18000, 36000},
		"gitlab_runner_job_queue_duration_seconds":                   {1, 3, 10, 30, 60, 120, 300, 900, 1800, 3600},
		"gitlab_runner_api_request_duration_seconds":                 {0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
		"gitlab_runner_autoscaling_machine_removal_duration_seconds": {1, 3, 5, 10, 30, 50, 60, 80, 90, 120},
		"gitlab_runner_cache_s3_assume_role_wait_seconds":            {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		"gitlab_runner_cache_s3_assume_role_duration_seconds":        {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		"millwright_machine_creation_phase_duration_seconds":         {1, 2, 4, 8, 16, 32, 64, 128, 256},
	} {
		var got []float64
		for _, b := range byName[name].GetMetric()[0].GetHistogram().GetBucket() {
			got = append(got, b.GetUpperBound())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The machine of a job is named by an exemplar, shortened where a provider's ids are long.
func TestExemplars(t *testing.T) {
	m := New(Version{})
	j := m.JobStarted(one, JobStart{})
	long := "/subscriptions/" + strings.Repeat("x", 200) + "/virtualMachines/auto-1"
	j.Placed("auto-1", long, 3*time.Second)
	j.End(40*time.Second, "")
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			for _, b := range metric.GetHistogram().GetBucket() {
				if e := b.GetExemplar(); e != nil {
					found++
					got := map[string]string{}
					for _, l := range e.GetLabel() {
						got[l.GetName()] = l.GetValue()
					}
					if got["machine"] != "auto-1" || !strings.HasSuffix(got["instance_id"], "/virtualMachines/auto-1") || len(got["instance_id"]) > maxExemplar {
						t.Errorf("%s: %v", f.GetName(), got)
					}
				}
			}
		}
	}
	if found != 2 {
		t.Errorf("%d exemplars, want those of the wait and of the duration", found)
	}
}
