package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestRunObserve watches what a gitlab-runner leaves of itself: its configuration, docker-machine's store, and its metrics. The driver is
// one that this agent need not have.
func TestRunObserve(t *testing.T) {
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `gitlab_runner_jobs{executor_stage="docker_run",runner="incumbent",stage="step_script",state="running"} 1`)
	}))
	defer metrics.Close()
	var asked atomic.Int64
	gitlab := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer gitlab.Close()
	store := t.TempDir()
	for _, name := range []string{"runner-incumbent-ci-1795277750-00000001", "runner-incumbent-ci-1795277751-00000002"} {
		folder := filepath.Join(store, "machines", name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(`{"DriverName":"google","Driver":{"IPAddress":"10.0.0.1"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	config := filepath.Join(folder, "config.toml")
	text := fmt.Sprintf(`concurrent = 20
check_interval = 1
listen_address = %q
[[runners]]
  name = "build"
  url = %q
  token = "glrt-incumbent00000000"
  executor = "docker+machine"
  [runners.docker]
    image = "busybox"
  [runners.machine]
    IdleCount = 3
    IdleTime = 600
    MachineDriver = "google"
    MachineName = "ci-%%s"
    MachineOptions = ["google-project=x"]
`, strings.TrimPrefix(metrics.URL, "http://"), gitlab.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	state, binary := stateDir(t), millwright(t)
	p := start(t, binary, nil, "run", "--config", config, "--state-dir", state, "--observe", "--observe-store", store)
	p.until("Would create machines")
	p.until("number=2")
	p.until("IdleCount 3")
	if _, text := run(t, binary, "policy", "explain", "--state-dir", state); !strings.Contains(text, "2 machines: 0 creating, 1 idle, 0 acquired, 1 used") {
		t.Errorf("policy explain says\n%s", text)
	}
	if code, text := run(t, binary, "machine", "rm", "runner-incumbent-ci-1795277750-00000001", "--state-dir", state); code == 0 || !strings.Contains(text, "another program's") {
		t.Errorf("machine rm ends with %d:\n%s", code, text)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(text, "IdleCount = 3", "IdleCount = 7", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.until("IdleCount 7") // the file is watched too
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("it ended with %d:\n%s", code, p.text())
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("it asked GitLab %d times", n)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 {
		t.Errorf("beside the incumbent's file there is now %v, %v", left, err)
	}
}
