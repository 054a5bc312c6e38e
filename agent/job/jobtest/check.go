package jobtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// CheckTrace wants pieces in a job's trace, in this order, and others nowhere in it.
func CheckTrace(t *testing.T, e Ended, want, not []string) {
	t.Helper()
	rest, failed := e.Trace, false
	for _, w := range want {
		i := strings.Index(rest, w)
		if i < 0 {
			t.Errorf("the trace lacks %q after what came before it", w)
			failed = true
			continue
		}
		rest = rest[i+len(w)-1:] // a newline may end one piece and begin the next
	}
	for _, w := range slices.Concat(not, []string{"\x1e"}) { // a helper's last word is nobody's to read
		if strings.Contains(e.Trace, w) {
			t.Errorf("the trace holds %q", w)
			failed = true
		}
	}
	if failed {
		t.Logf("the trace:\n%s", e.Trace)
	}
}

// CheckEnd wants a reason and an exit code, of the job and at the coordinator.
func CheckEnd(t *testing.T, e Ended, reason coordinator.FailureReason, code int) {
	t.Helper()
	if e.Unsent != nil || e.Dropped || e.Broken {
		t.Errorf("unsent: %v, dropped: %v, broken: %v", e.Unsent, e.Dropped, e.Broken)
	}
	if e.Reason != reason || e.Code != code {
		t.Errorf("got %q with exit code %d (%v), want %q with %d\n%s", e.Reason, e.Code, e.Err, reason, code, e.Trace)
	}
	if e.Coordinator.ExitCode != code || (reason == "") != (e.Coordinator.State == "success") {
		t.Errorf("the coordinator has %s with exit code %d, want %d", e.Coordinator.State, e.Coordinator.ExitCode, code)
	}
}

// CheckUploads wants so many artifacts at the coordinator.
func CheckUploads(t *testing.T, e Ended, n int) {
	t.Helper()
	if got := len(e.Coordinator.Artifacts); got != n {
		t.Errorf("%d uploads, want %d:\n%s", got, n, e.Trace)
	}
}
