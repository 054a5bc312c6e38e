package metrics

import (
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// What the feed tells is counted under GitLab's names and, with its reason, under ours.
func TestFeed(t *testing.T) {
	m := New(Version{})
	m.RunnerConfigured(one, 0)
	m.ConfigLoaded(10, nil)
	m.ConfigLoaded(4, nil)
	m.ConfigLoaded(5, nil)
	m.Turn(one)
	m.Turn(one)
	for _, skip := range []struct {
		reason string
		failed bool
	}{{"no_slot", false}, {"limit", false}, {"request_limit", false}, {"no_machine", false}, {"no_machine", true}, {"unhealthy", false}} {
		m.Skipped(one, skip.reason, skip.failed)
	}
	for _, outcome := range outcomes {
		m.Requested(one, outcome)
	}
	twin := one
	twin.Name = "twin" // of the same token
	m.Feed(Feed{Slots: 5, Runners: []FeedRunner{
		{Runner: one, Requests: 2, HardLimit: 4, AdaptiveLimit: 1.5, UsedLimit: 2, Disabled: true}, {Runner: twin, Requests: 1, HardLimit: 1, AdaptiveLimit: 1, UsedLimit: 1},
	}})
	const labels = `runner="abc",runner_name="one",system_id="s_1"`
	check(t, m, []string{
		`gitlab_runner_worker_slots_number 5`,
		`gitlab_runner_worker_slot_operations_total{operation="started"} 11`,
		`gitlab_runner_worker_slot_operations_total{operation="stopped"} 6`,
		`gitlab_runner_worker_feeds_total{` + labels + `} 2`,
		`gitlab_runner_worker_feed_failures_total{` + labels + `} 1`,
		`gitlab_runner_worker_processing_failures_total{failure_type="no_free_executor",` + labels + `} 1`,
		`gitlab_runner_worker_processing_failures_total{failure_type="other",` + labels + `} 3`,
		`gitlab_runner_worker_processing_failures_total{failure_type="job_failure",` + labels + `} 0`,
		`gitlab_runner_worker_health_check_failures_total{` + labels + `} 1`,
		`gitlab_runner_request_concurrency{runner="abc",system_id="s_1"} 3`,
		`gitlab_runner_request_concurrency_hard_limit{runner="abc",system_id="s_1"} 5`,
		`gitlab_runner_request_concurrency_adaptive_limit{runner="abc",system_id="s_1"} 2.5`,
		`gitlab_runner_request_concurrency_used_limit{runner="abc",system_id="s_1"} 3`,
		`gitlab_runner_request_concurrency_exceeded_total{runner="abc",system_id="s_1"} 1`,
		`millwright_runner_disabled{` + labels + `} 1`,
		`millwright_runner_disabled{runner="abc",runner_name="twin",system_id="s_1"} 0`,
		`millwright_job_requests_total{outcome="job",` + labels + `} 1`,
		`millwright_job_requests_skipped_total{reason="no_machine",` + labels + `} 2`,
	})
}

// Decisions are counted by what they change; how the fleet stands to the one in force is one of a few codes.
func TestScaling(t *testing.T) {
	m := New(Version{})
	for _, target := range []int{3, 3, 1} {
		d := fleet.Decision{IdleTarget: target, Steps: []fleet.Step{{Module: "good"}, {Module: "bad", Err: "trap"}}}
		m.Event(fleet.Event{Runner: "one", Decision: &d, Rails: []fleet.Rail{{Name: "create"}}})
	}
	zone := fleet.Target{Zone: "z-1", Region: "z", Project: "p", MachineType: "small"}
	m.Fleets([]Fleet{
		{Runner: "one", Counts: abi.Counts{Idle: 2, Used: 1}, Targets: map[fleet.Target]abi.Counts{{}: {Used: 1}, zone: {Idle: 2}},
			IdleTime: 20 * time.Minute, Waiting: 2, Code: CodeGrowing, Sections: []string{"none", "0"}, Section: "0"},
		{Runner: "one", Waiting: 1, Code: CodeSteady},
	})
	check(t, m, []string{
		`millwright_decisions_total{change="raised",runner_name="one"} 1`,
		`millwright_decisions_total{change="reason",runner_name="one"} 1`,
		`millwright_decisions_total{change="lowered",runner_name="one"} 1`,
		`millwright_policy_failures_total{policy="bad",runner_name="one"} 3`,
		`millwright_guard_rails_total{rail="create",runner_name="one"} 3`,
		`millwright_idle_time_seconds{runner_name="one"} 1200`,
		`millwright_jobs_waiting{runner_name="one"} 3`,
		`millwright_decision_code{code="growing",runner_name="one"} 1`,
		`millwright_decision_code{code="steady",runner_name="one"} 0`,
		`millwright_active_period{runner_name="one",section="0"} 1`,
		`millwright_active_period{runner_name="one",section="none"} 0`,
		`gitlab_runner_autoscaling_machine_states{executor="docker+machine",state="idle",target_machine_type="small",target_project="p",target_region="z",target_zone="z-1"} 2`,
		`gitlab_runner_autoscaling_machine_states{executor="docker+machine",state="used",` + nowhere + `} 1`,
	}, `policy="good"`)
}
