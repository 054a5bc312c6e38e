package coordinator

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var aJob = &Job{ID: 7, Token: "job-token", Features: Features{FailureReasons: []string{"runner_interrupted", "runner_configuration_error"}}}

func TestPatchTrace(t *testing.T) {
	for _, tc := range []struct {
		name string
		code int
		head []string
		want PatchResult
		fail bool
	}{
		{"stored", 202, []string{"Range: 0-2600", "X-GitLab-Trace-Update-Interval: 60"},
			PatchResult{State: ReplyOK, SentTo: 2600, Interval: time.Minute}, false},
		{"stored in part", 202, []string{"Range: 0-2100"}, PatchResult{State: ReplyOK, SentTo: 2100}, false},
		{"claims less than before", 202, []string{"Range: 0-100"}, PatchResult{State: ReplyOK, SentTo: 2600}, false},
		{"claims more than it was sent", 202, []string{"Range: 0-9999"}, PatchResult{State: ReplyOK, SentTo: 2600}, false},
		{"canceling", 202, []string{"Job-Status: canceling"}, PatchResult{State: ReplyCancel, SentTo: 2600, Canceling: true}, false},
		{"running", 202, []string{"Job-Status: running"}, PatchResult{State: ReplyOK, SentTo: 2600}, false},
		{"canceled", 202, []string{"Job-Status: canceled"}, PatchResult{State: ReplyAbort, SentTo: 2048}, false},
		{"failed", 202, []string{"Job-Status: failed"}, PatchResult{State: ReplyAbort, SentTo: 2048}, false},
		{"forbidden", 403, nil, PatchResult{State: ReplyAbort, SentTo: 2048}, false},
		{"gone", 404, nil, PatchResult{State: ReplyNotFound, SentTo: 2048}, false},
		{"wrong offset", 416, []string{"Range: 0-100"}, PatchResult{State: ReplyRangeMismatch, SentTo: 100}, false},
		{"wrong offset, canceling", 416, []string{"Range: 0-100", "Job-Status: canceling"},
			PatchResult{State: ReplyRangeMismatch, SentTo: 100, Canceling: true}, false},
		{"wrong offset, no range", 416, nil, PatchResult{State: ReplyRangeMismatch}, false},
		{"wrong offset, nonsense", 416, []string{"Range: bytes"}, PatchResult{State: ReplyRangeMismatch}, false},
		{"malformed", 400, nil, PatchResult{State: ReplyFailed, SentTo: 2048}, true},
		{"an interval beyond reason", 202, []string{"X-GitLab-Trace-Update-Interval: 999999999999"},
			PatchResult{State: ReplyOK, SentTo: 2600, Interval: maxUpdateInterval}, false},
		{"a negative one", 202, []string{"X-GitLab-Trace-Update-Interval: -1"}, PatchResult{State: ReplyOK, SentTo: 2600}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, rec := dial(t, status(tc.code, tc.head...))
			got, err := c.PatchTrace(t.Context(), aJob, make([]byte, 552), 2048, true)
			if (err != nil) != tc.fail {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			r := rec.all()[0]
			checkHeaders(t, r, "JOB-TOKEN", "job-token")
			if r.Method != "PATCH" || r.Path != "/api/v4/jobs/7/trace" || r.Query != "debug_trace=true" ||
				r.Header.Get("Content-Range") != "2048-2599" || r.Header.Get("Content-Type") != "text/plain" || len(r.Body) != 552 {
				t.Errorf("request %s %s?%s %v", r.Method, r.Path, r.Query, r.Header)
			}
		})
	}
}

func TestUpdateJob(t *testing.T) {
	final := Update{State: JobFailed, FailureReason: ImagePullFailure, ExitCode: 3, Checksum: "crc32:0a1b2c3d", ByteSize: 5120}
	for _, tc := range []struct {
		name   string
		update Update
		code   int
		head   []string
		want   UpdateResult
		is     error
	}{
		{"done", final, 200, []string{"Job-Status: failed-ish"}, UpdateResult{State: ReplyOK}, nil},
		{"accepted", final, 202, []string{"X-GitLab-Trace-Update-Interval: 1"}, UpdateResult{State: ReplyAccepted, Interval: time.Second}, nil},
		{"accepted while canceling", final, 202, []string{"Job-Status: canceling"}, UpdateResult{State: ReplyAccepted, Canceling: true}, nil},
		{"done while canceling", final, 200, []string{"Job-Status: canceling"}, UpdateResult{State: ReplyOK, Canceling: true}, nil},
		{"running while canceling", Update{State: JobRunning}, 200, []string{"Job-Status: canceling"},
			UpdateResult{State: ReplyCancel, Canceling: true}, nil},
		{"canceled", Update{State: JobRunning}, 200, []string{"Job-Status: canceled"}, UpdateResult{State: ReplyAbort}, nil},
		{"forbidden", final, 403, nil, UpdateResult{State: ReplyAbort}, nil},
		{"gone", final, 404, nil, UpdateResult{State: ReplyAbort}, nil},
		{"wrong checksum", final, 412, nil, UpdateResult{State: ReplyTraceInvalid}, nil},
		{"somebody else's job", Update{State: JobRunning}, 409, nil, UpdateResult{State: ReplyFailed}, ErrConflict},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, rec := dial(t, status(tc.code, tc.head...))
			got, err := c.UpdateJob(t.Context(), aJob, tc.update)
			if !errors.Is(err, tc.is) || (got.State == ReplyFailed) != (err != nil) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			r := rec.all()[0]
			checkHeaders(t, r, "JOB-TOKEN", "job-token")
			var body map[string]any
			if err := json.Unmarshal(r.Body, &body); err != nil {
				t.Fatal(err)
			}
			checkInfo(t, body["info"])
			delete(body, "info")
			want := map[string]any{"token": "job-token", "state": "running", "output": map[string]any{}}
			if tc.update.State == JobFailed {
				want = map[string]any{"token": "job-token", "state": "failed", "failure_reason": "runner_system_failure", "exit_code": 3.0,
					"checksum": "crc32:0a1b2c3d", "output": map[string]any{"checksum": "crc32:0a1b2c3d", "bytesize": 5120.0}}
			}
			if diff := cmp.Diff(want, body); diff != "" || r.Method != http.MethodPut || r.Path != "/api/v4/jobs/7" {
				t.Errorf("%s %s body (-want +got):\n%s", r.Method, r.Path, diff)
			}
		})
	}
}

func TestFailureReasons(t *testing.T) {
	for _, tc := range []struct{ reason, want FailureReason }{
		{"", ScriptFailure},
		{ScriptFailure, ScriptFailure},
		{JobExecutionTimeout, JobExecutionTimeout},
		{RunnerInterrupted, RunnerInterrupted},
		{ConfigurationError, ConfigurationError},
		{ImagePullFailure, RunnerSystemFailure},
		{ExternalDependencyFailure, RunnerSystemFailure},
		{JobCanceled, "unknown_failure"},
	} {
		if got := aJob.Features.Accepted(tc.reason); got != tc.want {
			t.Errorf("%q goes out as %q, want %q", tc.reason, got, tc.want)
		}
	}
	if got := (Features{}).Accepted(ConfigurationError); got != ScriptFailure {
		t.Errorf("a coordinator without a list gets %q", got)
	}
}
