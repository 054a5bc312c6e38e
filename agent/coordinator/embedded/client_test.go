package embedded

import (
	"fmt"
	"hash/crc32"
	"net/http"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// TestRealClient lets the agent's own client play a job: nothing that it does may break a rule.
func TestRealClient(t *testing.T) {
	s, _ := start(t, Options{})
	c, err := coordinator.New(coordinator.Options{
		URL: s.URL(), Token: s.RunnerToken(), SystemID: "s_0123456789ab", Info: coordinator.Info{Executor: "docker+machine"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	if _, err := c.Verify(ctx); err != nil {
		t.Fatal(err)
	}
	if j, err := c.RequestJob(ctx); j != nil || err != nil {
		t.Fatalf("got %v, %v; want no job", j, err)
	}
	id := s.Enqueue(simple("a"))
	j, err := c.RequestJob(ctx)
	if err != nil || j == nil || j.ID != id || j.Token == "" {
		t.Fatalf("got %+v, %v", j, err)
	}
	update := func(u coordinator.Update, want coordinator.ReplyState) {
		t.Helper()
		if r, err := c.UpdateJob(ctx, j, u); err != nil || r.State != want {
			t.Errorf("%s: got %v, %v; want %v", u.State, r.State, err, want)
		}
	}
	text := []byte("hello\n")
	sum := fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(text))
	update(coordinator.Update{State: coordinator.JobPending}, coordinator.ReplyOK)
	update(coordinator.Update{State: coordinator.JobRunning}, coordinator.ReplyOK)
	if r, err := c.PatchTrace(ctx, j, text, 0, false); err != nil || r.SentTo != 6 {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := c.PatchTrace(ctx, j, text, 0, false); err != nil || r.State != coordinator.ReplyRangeMismatch || r.SentTo != 6 {
		t.Errorf("got %+v, %v", r, err)
	}
	s.Fail(EndpointFinal, http.StatusPreconditionFailed, 1)
	final := coordinator.Update{State: coordinator.JobSuccess, Checksum: sum, ByteSize: 6}
	update(final, coordinator.ReplyTraceInvalid)
	update(final, coordinator.ReplyAccepted)
	if _, err := c.PatchTrace(ctx, j, text, 0, false); err != nil {
		t.Error(err)
	}
	update(final, coordinator.ReplyOK)
	for _, v := range s.Violations() {
		t.Error(v)
	}
	if got, _ := s.Job(id); got.State != Success {
		t.Errorf("got %+v", got)
	}
}
