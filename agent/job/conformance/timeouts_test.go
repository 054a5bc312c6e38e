package conformance

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// timeoutRows are about jobs that are ended before their script is: by the clock, and by their user.
func timeoutRows() []row {
	timeout := script([]string{"sleep 60"}, "echo after")
	timeout.Runner.Timeout = 5
	return []row{
		{n: 31, name: "job timeout", payload: timeout, want: []string{"ERROR: Job failed: execution took longer than 5s"}, not: []string{"after\n"}, reason: timedOut},
		{n: 32, name: "script timeout", payload: archived(with(script([]string{"echo x >f; sleep 60"}, "echo $CI_JOB_STATUS"), "RUNNER_SCRIPT_TIMEOUT", "2s"), coordinator.Artifact{Paths: []string{"f"}, When: "on_failure"}),
			want: []string{"step_script could not run to completion because the timeout was exceeded", "\ntimedout\n", "Uploading artifacts for failed job", "ERROR: Job failed: script timeout"}, reason: timedOut, check: uploads(1)},
		{n: 33, name: "bad timeout", payload: with(script([]string{"true"}), "RUNNER_SCRIPT_TIMEOUT", "abc"), want: []string{"WARNING: Ignoring RUNNER_SCRIPT_TIMEOUT", "Job succeeded"}},
		{n: 34, name: "after_script timeout", payload: with(script([]string{"true"}, "sleep 60"), "RUNNER_AFTER_SCRIPT_TIMEOUT", "1s"), want: []string{"after_script could not run to completion", "Job succeeded"}},
		{n: 35, name: "canceling during the script", run: canceling},
		{n: 37, name: "canceled during the script", run: canceled},
	}
}

// canceling is a user's cancel, which lets after_script run.
func canceling(t *testing.T, b *jobtest.Bench) {
	url := b.Signal(t, func() {
		if err := b.Server.Cancel(b.Last()); err != nil {
			t.Error(err)
		}
	})
	e := b.Run(t, t.Context(), script([]string{jobtest.Ticking(url)}, "echo status=$CI_JOB_STATUS"), nil)
	jobtest.CheckTrace(t, e, []string{"tick", "script canceled externally (UI, API)", "\nstatus=canceled\n", "ERROR: Job failed: canceled"}, nil)
	if e.State != coordinator.JobFailed || e.Reason != coordinator.JobCanceled || e.Coordinator.State != "canceled" {
		t.Errorf("got %s %s, the coordinator %s", e.State, e.Reason, e.Coordinator.State)
	}
}

// canceled is a job that is over for the coordinator.
func canceled(t *testing.T, b *jobtest.Bench) {
	url := b.Signal(t, func() {
		if err := b.Server.ForceCancel(b.Last()); err != nil {
			t.Error(err)
		}
	})
	e := b.Run(t, t.Context(), script([]string{jobtest.Ticking(url)}, "echo after ran"), nil)
	jobtest.CheckTrace(t, e, []string{"Getting source"}, []string{"after ran"})
	if !e.Dropped || e.Coordinator.State != "canceled" {
		t.Errorf("dropped: %v, the coordinator has %s", e.Dropped, e.Coordinator.State)
	}
}
