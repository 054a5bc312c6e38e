package faults

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// on runs a job on an engine of the test's own; its helper stages have nothing to do and run in the job's image.
func on(engine *dockertest.Own, image string) func(*job.Params, *config.Runner) {
	return func(_ *job.Params, r *config.Runner) {
		r.Docker.Host, r.Docker.HelperImage = engine.Host, image
	}
}

// script is a payload without sources.
func script(lines []string, after ...string) coordinator.Job {
	return jobtest.With(jobtest.Script(lines, after...), "GIT_STRATEGY", "none")
}

// busy is how many times longer all may take where the tests run beside each other.
const busy = 4

// soon fails when a job took much longer than a user would wait, which is limit on a machine that has nothing else to do.
func soon(t *testing.T, e jobtest.Ended, limit time.Duration) {
	t.Helper()
	if e.Duration > busy*limit {
		t.Errorf("it took %s, want %s at most where nothing else runs, and %s here", e.Duration.Round(time.Second), limit, busy*limit)
	}
}

// failed checks the reason that the job and the coordinator have.
func failed(t *testing.T, e jobtest.Ended, reason coordinator.FailureReason) {
	t.Helper()
	if e.Reason != reason || e.Coordinator.State != "failed" || e.Coordinator.FailureReason != reason || e.Unsent != nil {
		t.Errorf("got %q (%v), the coordinator %s %q (unsent: %v); want %q\n%s", e.Reason, e.Err, e.Coordinator.State, e.Coordinator.FailureReason, e.Unsent, reason, e.Trace)
	}
}
