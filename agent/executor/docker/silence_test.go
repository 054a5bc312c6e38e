package docker

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/client"
)

// TestProbeOfAnEngineThatIsHeard has an engine that nobody reaches: while output comes from it it counts as there, and soon afterwards no more.
func TestProbeOfAnEngineThatIsHeard(t *testing.T) {
	api, err := client.NewClientWithOpts(client.WithHost("tcp://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	e := &Executor{api: api}
	if err := e.Probe(t.Context()); err == nil {
		t.Error("nothing was ever heard of it, and it counts as there")
	}
	var at atomic.Int64
	if _, err := io.ReadAll(&heard{strings.NewReader("output"), &at}); err != nil {
		t.Fatal(err)
	}
	e.heard.Store(at.Load() + time.Minute.Milliseconds()) // the test may be slow
	if err := e.Probe(t.Context()); err != nil {
		t.Errorf("it was heard just now: %v", err)
	}
	e.heard.Store(at.Load() - fresh.Milliseconds())
	if err := e.Probe(t.Context()); err == nil {
		t.Error("it was heard long ago, and counts as there")
	}
}
