package supervisor

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/journal"
)

func TestListenAddress(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{":9252", ":9252"},
		{"localhost", "localhost:9252"},
		{"localhost:", "localhost:9252"},
		{"10.1.2.3", "10.1.2.3:9252"},
		{"[::1]:0", "[::1]:0"},
		{"[::1]", "[::1]:9252"},
		{"::1", "[::1]:9252"},
		{"host:metrics", "host:metrics"},
		{"a:b:c", ""},
		{"http://localhost:9252", ""},
	} {
		got, err := ListenAddress(tt.in)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("ListenAddress(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestListenErrors(t *testing.T) {
	t.Run("malformed", func(t *testing.T) {
		w := newWorld(t)
		w.config.ListenAddress = "a:b:c"
		w.start() // jobs run all the same
		if said := w.log.wait("No metrics are served")["error"]; !strings.Contains(said, `"a:b:c" is no address`) {
			t.Error(said)
		}
	})
	t.Run("taken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		w := newWorld(t)
		w.config.ListenAddress = l.Addr().String()
		s, err := New(w.options())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "listen_address: listen tcp "+l.Addr().String()) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(SocketPath(w.stateDir)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("agent.sock is left: %v", err)
		}
	})
}

func TestOneAgentPerStateDirectory(t *testing.T) {
	w := newWorld(t)
	w.start()
	_, err := New(w.options())
	if !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process id %d", os.Getpid())) ||
		!strings.Contains(err.Error(), w.stateDir) {
		t.Errorf("the second agent: %v", err)
	}
	if _, err := OpenOffline(w.stateDir); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("offline: %v", err)
	}
	w.stop(errors.New("enough"))
	if err := w.finish(); err != nil {
		t.Error(err)
	}
	offline, err := OpenOffline(w.stateDir)
	if err != nil {
		t.Fatal("the lock is not given back:", err)
	}
	if offline.Owner() != w.s.Owner() {
		t.Error("the owner changed")
	}
	if err := offline.Close(); err != nil {
		t.Error(err)
	}
}

// A configuration that cannot be read at the start ends the start, and nothing is left.
func TestBadStart(t *testing.T) {
	w := newWorld(t)
	w.spoil(errors.New("config.toml: line 3: nonsense"))
	if _, err := New(w.options()); err == nil || err.Error() != "config.toml: line 3: nonsense" {
		t.Errorf("got %v", err)
	}
	w.change(func(c *config.Config) {
		r := w.runner("a")
		r.URL = "ftp://nowhere"
		c.Runners = []config.Runner{r}
	})
	s, err := New(w.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "runner a: ") {
		t.Errorf("got %v", err)
	}
	w.change(func(c *config.Config) { c.Runners = nil })
	w.start()
}

func TestSocket(t *testing.T) {
	w := newWorld(t)
	if err := os.WriteFile(SocketPath(w.stateDir), nil, 0o644); err != nil { // as a dead agent may leave it
		t.Fatal(err)
	}
	w.start()
	info, err := os.Stat(SocketPath(w.stateDir))
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("agent.sock: %v, %v", info.Mode(), err)
	}
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{http.MethodGet, "/v1/machines", 200, "[]\n"},
		{http.MethodDelete, "/v1/machines/nosuch", 404, "machine nosuch: no such machine; `millwright machine ls` lists them\n"},
		{http.MethodPost, "/v1/reload", 200, "{}\n"},
		{http.MethodGet, "/v1/nosuch", 404, "404 page not found\n"},
		{http.MethodPost, "/v1/machines", 405, "Method Not Allowed\n"},
	} {
		if status, body := w.agent(tt.method, tt.path); status != tt.status || body != tt.body {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, status, body, tt.status, tt.body)
		}
	}
	w.spoil(errors.New("line 7: no"))
	if status, body := w.agent(http.MethodPost, "/v1/reload"); status != 422 || body != "line 7: no\n" {
		t.Errorf("reload of a bad file: %d %q", status, body)
	}
	w.stop(nil)
	if err := w.finish(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(SocketPath(w.stateDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("agent.sock is left: %v", err)
	}
}

func TestSocketPathTooLong(t *testing.T) {
	w := newWorld(t)
	w.stateDir = filepath.Join(w.stateDir, strings.Repeat("long/", 30))
	s, err := New(w.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "a shorter state directory helps") {
		t.Errorf("got %v", err)
	}
}

// The agent asks for jobs, reports their end and counts them.
func TestJob(t *testing.T) {
	w := newWorld(t)
	w.config.Runners = []config.Runner{w.runner("one")}
	w.config.ListenAddress = "127.0.0.1:0"
	w.start()
	if body := w.page("/health/ready"); body != "ok\n" {
		t.Errorf("health: %q", body)
	}
	w.until("it runs", func() bool { return w.page("/debug/process/state") == "running\n" })
	r := w.await(w.coordinator.Enqueue(hopeless()))
	if r.FailureReason != "runner_system_failure" || !strings.Contains(w.trace(r.ID), "unsupported executor_opts") {
		t.Errorf("%s %s\n%s", r.State, r.FailureReason, w.trace(r.ID))
	}
	w.s.Drain()
	if err := w.finish(); err != nil {
		t.Error(err)
	}
}

// A drain without jobs ends at once, and is not held up by an open request for a job.
func TestDrainIdle(t *testing.T) {
	w := newWorld(t)
	w.config.Runners = []config.Runner{w.runner("one")}
	w.start()
	began := time.Now()
	w.s.Drain()
	w.s.Drain() // twice is once
	if err := w.finish(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := w.s.Reload(); !errors.Is(err, errEnding) {
		t.Errorf("a reload after the end: %v", err)
	}
}
