package conformance

import (
	"net/http"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// timeoutRows are about jobs that are ended before their script is: by the clock, and by their user.
func timeoutRows() []row {
	left := coordinator.Artifact{Paths: []string{"f"}, When: "always"}
	timeout := archived(script([]string{"echo x >f; sleep 60"}, "echo after"), left)
	timeout.Runner.Timeout = 5
	// The script's timeout leaves time enough to write the files on a machine with much to do.
	return []row{
		{n: 31, name: "job timeout", payload: timeout, want: []string{"ERROR: Job failed: execution took longer than 5s"}, not: []string{"after\n", "seconds"}, reason: timedOut, check: uploads(0)},
		{n: 32, name: "script timeout", payload: archived(with(script([]string{"echo x >f; echo y >/tmp/g; sleep 60"}, "cat f /tmp/g; echo $CI_JOB_STATUS"), "RUNNER_SCRIPT_TIMEOUT", "15s"), coordinator.Artifact{Paths: []string{"f"}, When: "on_failure"}),
			want: []string{"step_script could not run to completion because the timeout was exceeded", "\nx\ny\ntimedout\n", "Uploading artifacts for failed job", "ERROR: Job failed: script timeout"}, reason: timedOut, check: uploads(1)},
		{n: 33, name: "bad timeout", payload: with(script([]string{"true"}), "RUNNER_SCRIPT_TIMEOUT", "abc"), want: []string{"WARNING: Ignoring RUNNER_SCRIPT_TIMEOUT", "Job succeeded"}},
		{n: 34, name: "after_script timeout", payload: with(script([]string{"true"}, "sleep 60"), "RUNNER_AFTER_SCRIPT_TIMEOUT", "1s"), want: []string{"after_script could not run to completion", "Job succeeded"}},
		{n: 35, name: "canceling during the script", run: canceling},
		{n: 36, name: "canceling before it", run: cancelingEarly},
		{n: 37, name: "canceled during the script", run: canceled},
		{n: 38, name: "the trace is refused", run: refused},
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
	checkCanceled(t, e)
	if last := e.Coordinator.Updates[len(e.Coordinator.Updates)-1]; last.State != coordinator.JobFailed {
		t.Errorf("the last state reported is %s", last.State)
	}
}

func checkCanceled(t *testing.T, e jobtest.Ended) {
	t.Helper()
	if e.State != coordinator.JobFailed || e.Reason != coordinator.JobCanceled || e.Coordinator.State != "canceled" {
		t.Errorf("got %s %s, the coordinator %s", e.State, e.Reason, e.Coordinator.State)
	}
}

// cancelingEarly is a user's cancel while the sources are fetched.
func cancelingEarly(t *testing.T, b *jobtest.Bench) {
	payload := script([]string{"echo the script"}, "echo after ran")
	payload.Hooks = []coordinator.Hook{{Name: "pre_get_sources_script", Script: []string{"while :; do echo tick; sleep 0.2; done"}}}
	e := b.Run(t, t.Context(), payload, func(p *job.Params, _ *config.Runner) {
		p.OnState = func(s job.State) {
			if s.Stage != "get_sources" || s.Container == "" {
				return
			}
			if err := b.Server.Cancel(s.JobID); err != nil {
				t.Error(err)
			}
		}
	})
	jobtest.CheckTrace(t, e, []string{"Getting source", "ERROR: Job failed: canceled"}, []string{"the script", "after ran", "Checking out"})
	checkCanceled(t, e)
}

// canceled is a job that is over for the coordinator.
func canceled(t *testing.T, b *jobtest.Bench) {
	url := b.Signal(t, func() {
		awaitTrace(b, "Getting source")
		if err := b.Server.ForceCancel(b.Last()); err != nil {
			t.Error(err)
		}
	})
	e := b.Run(t, t.Context(), script([]string{jobtest.Ticking(url)}, "echo after ran"), nil)
	jobtest.CheckTrace(t, e, []string{"Getting source"}, []string{"after ran"})
	if !e.Dropped || e.Coordinator.State != "canceled" {
		t.Errorf("dropped: %v, the coordinator has %s", e.Dropped, e.Coordinator.State)
	}
	quiet(t, b, func(c jobtest.Call) bool { return c.Job == "canceled" })
}

// refused is 403 to a piece of trace: the job is over too.
func refused(t *testing.T, b *jobtest.Bench) {
	url := b.Signal(t, func() {
		awaitTrace(b, "Getting source")
		b.Server.Fail(embedded.EndpointTrace, http.StatusForbidden, 1)
	})
	e := b.Run(t, t.Context(), script([]string{jobtest.Ticking(url)}, "echo after ran"), nil)
	jobtest.CheckTrace(t, e, []string{"Getting source"}, []string{"after ran"})
	if !e.Dropped {
		t.Errorf("dropped: %v", e.Dropped)
	}
	quiet(t, b, func(c jobtest.Call) bool { return c.Status == http.StatusForbidden })
}

// quiet wants at most one piece of trace and one update after the answer that ends a job.
func quiet(t *testing.T, b *jobtest.Bench, ends func(jobtest.Call) bool) {
	t.Helper()
	over := false
	patches, puts := 0, 0
	for _, c := range b.Calls("", "") {
		switch {
		case !over:
			over = ends(c)
		case c.Method == "PATCH":
			patches++
		case c.Method == "PUT":
			puts++
		}
	}
	if !over || patches > 1 || puts > 1 {
		t.Errorf("told the end: %t; %d pieces of trace and %d updates after it", over, patches, puts)
	}
}
