package conformance

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// answerRows are about a coordinator's answers to the trace and to the job's state.
func answerRows() []row {
	return []row{
		{n: 39, name: "416 to the trace", run: rangeMismatch},
		{n: 40, name: "202 to the final state", run: acceptedTwice},
		{n: 41, name: "412 to the final state", run: traceInvalid},
		{n: 42, name: "404 to the final state", run: gone},
		{n: 43, name: "500 to the first state", run: startFails},
	}
}

// rangeMismatch has the coordinator say in the middle of a job that it holds 100 bytes.
func rangeMismatch(t *testing.T, b *jobtest.Bench) {
	url := b.Signal(t, func() {
		b.Server.AddFault(embedded.Fault{Endpoint: embedded.EndpointTrace, Status: 416, Header: http.Header{"Range": {"0-100"}}})
	})
	e := b.Run(t, t.Context(), script([]string{"echo hi", "wget -q -O /dev/null " + url, "for i in 1 2 3 4 5; do echo tick $i; sleep 1; done"}), nil)
	jobtest.CheckTrace(t, e, []string{"\nhi\n", "tick 1\ntick 2\ntick 3\ntick 4\ntick 5\n", "Job succeeded"}, nil)
	jobtest.CheckEnd(t, e, "", 0)
	sealed(t, b, e)
	pieces := b.Calls(http.MethodPatch, "/trace")
	i := slices.IndexFunc(pieces, func(c jobtest.Call) bool { return c.Status == 416 })
	if i < 0 || i+1 == len(pieces) || !strings.HasPrefix(pieces[i+1].Range, "100-") {
		t.Errorf("the pieces of trace: %+v", pieces)
	}
}

// finals are the updates with a final state, and all pieces of trace since the first of them.
func finals(b *jobtest.Bench) (updates, pieces []jobtest.Call) {
	for _, c := range b.Calls("", "") {
		switch {
		case c.State == "success" || c.State == "failed":
			updates = append(updates, c)
		case c.Method == http.MethodPatch && len(updates) > 0:
			pieces = append(pieces, c)
		}
	}
	return updates, pieces
}

func statuses(calls []jobtest.Call) []int {
	var out []int
	for _, c := range calls {
		out = append(out, c.Status)
	}
	return out
}

// acceptedTwice has the coordinator put the end off two times, for two seconds each.
func acceptedTwice(t *testing.T, b *jobtest.Bench) {
	b.Server.AddFault(embedded.Fault{Endpoint: embedded.EndpointFinal, Status: 202, Times: 2, Header: http.Header{"X-Gitlab-Trace-Update-Interval": {"2"}}})
	e := b.Run(t, t.Context(), script([]string{"echo hi"}), nil)
	jobtest.CheckEnd(t, e, "", 0)
	updates, _ := finals(b)
	if got := statuses(updates); !slices.Equal(got, []int{202, 202, 200}) {
		t.Fatalf("the final state was answered with %v", got)
	}
	for i := range 2 {
		if pause := updates[i+1].Time.Sub(updates[i].Time); pause < 1900*time.Millisecond {
			t.Errorf("told again after %s, want 2 s", pause)
		}
	}
}

// traceInvalid has the coordinator lose the trace.
func traceInvalid(t *testing.T, b *jobtest.Bench) {
	b.Server.Fail(embedded.EndpointFinal, http.StatusPreconditionFailed, 1)
	e := b.Run(t, t.Context(), script([]string{"echo hi"}), nil)
	jobtest.CheckEnd(t, e, "", 0)
	jobtest.CheckTrace(t, e, []string{"Running with", "\nhi\n", "Job succeeded"}, nil)
	sealed(t, b, e)
	updates, pieces := finals(b)
	if got := statuses(updates); !slices.Equal(got, []int{412, 200}) {
		t.Errorf("the final state was answered with %v", got)
	}
	if len(pieces) == 0 || !strings.HasPrefix(pieces[0].Range, "0-") {
		t.Errorf("the trace was sent again as %+v", pieces)
	}
}

// gone has the coordinator forget the job.
func gone(t *testing.T, b *jobtest.Bench) {
	b.Server.Fail(embedded.EndpointFinal, http.StatusNotFound, 1)
	e := b.Run(t, t.Context(), script([]string{"echo hi"}), nil)
	if e.State != coordinator.JobSuccess || e.Unsent != nil {
		t.Errorf("got %s, unsent: %v", e.State, e.Unsent)
	}
	updates, pieces := finals(b)
	if got := statuses(updates); !slices.Equal(got, []int{404}) || len(pieces) > 0 {
		t.Errorf("the final state was answered with %v, and %d pieces of trace came after", got, len(pieces))
	}
}

// startFails has the coordinator fail when it is told that the job runs.
func startFails(t *testing.T, b *jobtest.Bench) {
	b.Server.Fail(embedded.EndpointUpdate, http.StatusInternalServerError, 1)
	e := b.Run(t, t.Context(), script([]string{"echo hi"}), nil)
	jobtest.CheckTrace(t, e, []string{"\nhi\n", "Job succeeded"}, nil)
	jobtest.CheckEnd(t, e, "", 0)
	if got := statuses(b.Calls(http.MethodPut, "")); len(got) < 3 || got[0] != 500 || got[1] != 200 {
		t.Errorf("the states were answered with %v", got)
	}
}
