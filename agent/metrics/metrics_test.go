package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// nowhere are the labels of machines whose target is not known.
const nowhere = `target_machine_type="",target_project="",target_region="",target_zone=""`

var one = Runner{ShortToken: "abc", Name: "one", SystemID: "s_1"}

// page scrapes m.
func page(t *testing.T, m *Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(rec.Result().Body)
	if err != nil || rec.Code != 200 {
		t.Fatalf("%d %v\n%s", rec.Code, err, text)
	}
	return string(text)
}

func check(t *testing.T, m *Metrics, has []string, lacks ...string) {
	t.Helper()
	text := page(t, m)
	for _, want := range has {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, bad := range lacks {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// A fresh agent shows what dashboards ask for, zeros included.
func TestStart(t *testing.T) {
	m := New(Version{Name: "millwright", Version: "1.2.3", Revision: "abc"})
	m.Process("starting")
	m.Process("running")
	m.ConfigLoaded(7, nil)
	m.ConfigLoaded(0, errors.New("bad"))
	m.RunnerConfigured(one, 5)
	check(t, m, []string{
		`gitlab_runner_concurrent 7`,
		`gitlab_runner_limit{runner="abc",runner_name="one",system_id="s_1"} 5`,
		`gitlab_runner_jobs{executor_stage="idle",runner="abc",runner_name="one",stage="idle",state="idle",system_id="s_1"} 0`,
		`gitlab_runner_process_state_info{state="running"} 1`,
		`gitlab_runner_configuration_loaded_total 1`,
		`gitlab_runner_configuration_loading_error_total 1`,
		`gitlab_runner_errors_total{level="error"} 0`,
		`gitlab_runner_autoscaling_machine_states{executor="docker+machine",state="creating",` + nowhere + `} 0`,
		`gitlab_runner_autoscaling_machine_states{executor="docker+machine",state="stuck-on-removing",` + nowhere + `} 0`,
		`gitlab_runner_autoscaling_actions_total{action="creation-failed",executor="docker+machine",` + nowhere + `} 0`,
	}, `state="starting"`)
	m.RunnerGone(one)
	check(t, m, []string{`gitlab_runner_worker_feeds_total{runner="abc",runner_name="one",system_id="s_1"} 0`}, `gitlab_runner_limit{`, `gitlab_runner_jobs{`)
}

// A job is pending, then in its stages, then counted by its end.
func TestJobs(t *testing.T) {
	m := New(Version{})
	good := m.JobStarted(one, JobStart{Executor: "docker", Queued: 2 * time.Second, ProjectRunning: "3", QueueSize: 9, QueueDepth: 4})
	bad := m.JobStarted(one, JobStart{Executor: "docker", ProjectRunning: "+Inf"})
	bad.Stage("step_script")
	const labels = `runner="abc",runner_name="one"`
	check(t, m, []string{
		`gitlab_runner_jobs{executor_stage="",` + labels + `,stage="",state="pending",system_id="s_1"} 1`,
		`gitlab_runner_jobs{executor_stage="docker_run",` + labels + `,stage="step_script",state="running",system_id="s_1"} 1`,
		`gitlab_runner_jobs_total{` + labels + `,system_id="s_1"} 2`,
		`gitlab_runner_job_execution_mode_total{executor="docker",mode="traditional"} 2`,
		`gitlab_runner_job_queue_duration_seconds_bucket{project_jobs_running="3",` + labels + `,system_id="s_1",le="1"} 0`,
		`gitlab_runner_job_queue_duration_seconds_bucket{project_jobs_running="3",` + labels + `,system_id="s_1",le="3"} 1`,
	})
	good.End(40*time.Second, "")
	bad.End(time.Second, "script_failure")
	check(t, m, []string{
		`gitlab_runner_job_duration_seconds_bucket{mode="traditional",` + labels + `,system_id="s_1",le="30"} 1`,
		`gitlab_runner_job_duration_seconds_count{mode="traditional",` + labels + `,system_id="s_1"} 2`,
		`gitlab_runner_failed_jobs_total{failure_reason="script_failure",mode="traditional",` + labels + `} 1`,
	}, `state="running"`)
}

// What pools report is counted once each, creations that fail among it.
func TestEvents(t *testing.T) {
	m := New(Version{})
	for _, e := range []fleet.MachineEvent{
		{Name: "a", State: fleet.Creating},
		{Name: "a", From: fleet.Creating, State: fleet.Creating, Phase: "insert"},
		{Name: "a", From: fleet.Creating, State: fleet.Idle, Duration: 40 * time.Second, Phases: []fleet.PhaseTime{{Phase: "boot", Duration: 3 * time.Second}}},
		{Name: "a", From: fleet.Idle, State: fleet.Acquired},
		{Name: "a", From: fleet.Acquired, State: fleet.Used, JobID: 1},
		{Name: "a", From: fleet.Used, State: fleet.Idle},
		{Name: "b", State: fleet.Creating},
		{Name: "b", From: fleet.Creating, State: fleet.Creating, Phase: "ssh", Err: "refused", Duration: 4 * time.Second},
		{Name: "b", From: fleet.Creating, State: fleet.Removing, Duration: 4 * time.Second},
		{Name: "b", From: fleet.Removing, State: fleet.Removing, Err: "the engine does not answer"},
		{Name: "b", From: fleet.Removing, State: fleet.Removing, Gone: true, Duration: 2 * time.Second},
	} {
		m.Event(fleet.Event{Runner: "one", Machine: &e})
	}
	m.Event(fleet.Event{Runner: "one", Decision: &fleet.Decision{IdleTarget: 3}})
	const executor = `executor="docker+machine"`
	check(t, m, []string{
		`gitlab_runner_autoscaling_actions_total{action="created",` + executor + `,` + nowhere + `} 1`,
		`gitlab_runner_autoscaling_actions_total{action="creation-failed",` + executor + `,` + nowhere + `} 1`,
		`gitlab_runner_autoscaling_actions_total{action="used",` + executor + `,` + nowhere + `} 1`,
		`gitlab_runner_autoscaling_actions_total{action="removed",` + executor + `,` + nowhere + `} 1`,
		`gitlab_runner_autoscaling_machine_creation_duration_seconds_sum{` + executor + `} 40`,
		`gitlab_runner_autoscaling_machine_failed_creation_duration_seconds_sum{` + executor + `} 4`,
		`gitlab_runner_autoscaling_machine_removal_duration_seconds_sum{` + executor + `} 2`,
		`millwright_machine_creation_phase_duration_seconds_sum{phase="boot"} 3`,
	})
}

// States are summed for GitLab's dashboards and told apart for ours; runners of one name are taken together.
func TestFleets(t *testing.T) {
	m := New(Version{})
	m.Fleets([]Fleet{
		{Runner: "one", Counts: abi.Counts{Creating: 1, Idle: 2}, IdleTarget: 2},
		{Runner: "one", Counts: abi.Counts{Idle: 1}, IdleTarget: 1},
		{Runner: "two", Counts: abi.Counts{Used: 4, Stuck: 1}},
	})
	check(t, m, []string{
		`gitlab_runner_autoscaling_machine_states{executor="docker+machine",state="idle",` + nowhere + `} 3`,
		`gitlab_runner_autoscaling_machine_states{executor="docker+machine",state="used",` + nowhere + `} 4`,
		`millwright_machines{runner_name="one",state="idle"} 3`,
		`millwright_machines{runner_name="two",state="stuck-on-removing"} 1`,
		`millwright_idle_target{runner_name="one"} 3`,
	})
	m.Fleets([]Fleet{{Runner: "two"}})
	check(t, m, []string{`gitlab_runner_autoscaling_machine_states{executor="docker+machine",state="idle",` + nowhere + `} 0`}, `runner_name="one"`)
}

func TestAPI(t *testing.T) {
	m := New(Version{})
	call := APICall{Endpoint: "request_job", Method: "post", Path: "jobs/request", Status: 204, Attempts: 1, Duration: 300 * time.Millisecond}
	m.APICall(one, call)
	call.Status, call.Attempts = 403, 3
	m.APICall(one, call)
	call.Status, call.Attempts = 0, 1
	m.APICall(one, call)
	m.Requested(one, "unhealthy")
	check(t, m, []string{
		`gitlab_runner_api_request_statuses_total{endpoint="request_job",method="post",runner="abc",status="204",system_id="s_1"} 1`,
		`gitlab_runner_api_request_duration_seconds_count{endpoint="request_job",method="post",runner="abc",status_class="4xx",system_id="s_1"} 1`,
		`gitlab_runner_api_request_retries_total{method="post",path="jobs/request"} 5`,
		`millwright_api_request_unreached_total{endpoint="request_job",runner="abc",system_id="s_1"} 1`,
		`gitlab_runner_worker_health_check_failures_total{runner="abc",runner_name="one",system_id="s_1"} 1`,
	})
}

// Warnings and errors are counted whether or not the log's level lets them through, and passed on as they are.
func TestCountErrors(t *testing.T) {
	m := New(Version{})
	var text strings.Builder
	log := slog.New(m.CountErrors(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelError}))).With("a", 1).WithGroup("g")
	log.Info("quiet")
	log.Warn("counted and not shown")
	log.Error("shown", "b", 2)
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "msg=shown a=1 g.b=2") {
		t.Error(got)
	}
	if log.Enabled(context.Background(), slog.LevelInfo) {
		t.Error("info is enabled")
	}
	check(t, m, []string{`gitlab_runner_errors_total{level="warning"} 1`, `gitlab_runner_errors_total{level="error"} 1`})
}

// TestHammer scrapes while everything moves.
func TestHammer(t *testing.T) {
	m := New(Version{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				j := m.JobStarted(one, JobStart{})
				j.Stage("step_script")
				m.RunnerConfigured(one, 1)
				m.Fleets([]Fleet{{Runner: "one", Counts: abi.Counts{Idle: 1}}})
				m.RunnerGone(one)
				j.End(time.Second, "")
			}
		})
		group.Go(func() {
			for range 50 {
				page(t, m)
			}
		})
	}
	group.Wait()
	check(t, m, []string{`gitlab_runner_jobs_total{runner="abc",runner_name="one",system_id="s_1"} 800`}, `state="running"`)
}
