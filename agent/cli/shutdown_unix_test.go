//go:build unix

package cli

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/journal"
)

// cloudWorld is an agentWorld with a cloud, which is a process of its own and whose machines only pretend to run jobs.
type cloudWorld struct {
	*agentWorld
	cloud  fakecloud.Client
	helper string // folder of the helper image's archive
}

// newCloudWorld starts one. Its runner holds an idle machine; shutdown is the end of config.toml.
func newCloudWorld(t *testing.T, shutdown string) *cloudWorld {
	t.Helper()
	w := &cloudWorld{agentWorld: newAgentWorld(t), cloud: serveCloud(t), helper: t.TempDir()}
	image, err := fakecloud.HelperImage()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(w.config)
	for _, name := range []string{"policies.d", "drivers.d"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, data := range map[string][]byte{
		filepath.Join(w.helper, "helper-image-"+runtime.GOARCH+".tar"): image,
		filepath.Join(dir, "drivers.d", "fakecloud.wasm"):              guests.Wasm(t, "examples/drivers/fakecloud"),
		filepath.Join(dir, "millwright.toml"): fmt.Appendf(nil, "[grants.fakecloud]\nhostnames = [%q]\nprivate_addresses = [\"127.0.0.0/8\"]\n",
			w.cloud.URL),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := machineConfig(w.coordinator.URL(), w.coordinator.RunnerToken().Reveal(), 1, fmt.Sprintf("    MachineOptions = [\"fakecloud-endpoint=%s\"]", w.cloud.URL))
	w.write("shutdown_timeout = 60\n" + strings.Replace(config, `MachineDriver = "docker"`, `MachineDriver = "fakecloud"`, 1) + shutdown)
	return w
}

// serveCloud starts a cloud. It ends with the test, or with this process.
func serveCloud(t *testing.T) fakecloud.Client {
	t.Helper()
	binary := filepath.Join(scratch, "fakecloud")
	building.Lock()
	_, err := os.Stat(binary)
	if err != nil {
		var out []byte
		if out, err = exec.Command(need.Command(t, "go"), "build", "-o", binary, "../internal/fakecloud/serve").CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
	}
	building.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--machines", "--jobs", "--until-eof", "--settings", `{"boot_ms":60}`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the cloud does not say where it is: %v", err)
	}
	return fakecloud.Client{URL: strings.TrimSpace(line)}
}

// agent starts `millwright run`.
func (w *cloudWorld) agent() *process {
	w.t.Helper()
	return start(w.t, w.binary, []string{"MILLWRIGHT_HELPER_DIR=" + w.helper}, "run", "--config", w.config, "--state-dir", w.state)
}

// live are the cloud's machines.
func (w *cloudWorld) live() int {
	w.t.Helper()
	s, err := w.cloud.Summary(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return len(s.Live)
}

// until looks again and again.
func (w *cloudWorld) until(p *process, what string, ok func() bool) {
	w.t.Helper()
	for limit := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			w.t.Fatalf("%s: never\n%s", what, p.text())
		}
	}
}

// states are the journal's machines by state.
func (w *cloudWorld) states() map[fleet.State]int {
	w.t.Helper()
	machines, problems, err := journal.Read(w.state)
	if err != nil {
		w.t.Fatal(err)
	}
	states := map[fleet.State]int{}
	for _, problem := range problems {
		if !errors.Is(problem.Err, journal.ErrIncomplete) {
			w.t.Fatal(problem)
		}
		states["begun"]++ // a folder is there a moment before its record
	}
	for _, m := range machines {
		states[m.State]++
	}
	return states
}

// busy starts an agent and waits until a job runs on one machine and another one stands by.
func (w *cloudWorld) busy() (*process, int64) {
	w.t.Helper()
	p := w.agent()
	job := w.coordinator.Enqueue(coordinator.Job{
		Info:      coordinator.JobInfo{Name: "long", Stage: "test", ProjectID: 3},
		Runner:    coordinator.RunnerInfo{Timeout: 3600},
		Image:     &coordinator.Image{Name: "busybox:1.35"},
		Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none", Public: true}},
		Steps:     []coordinator.Step{{Name: "script", Script: []string{fakecloud.Script(3_600_000, 1000)}}},
	})
	w.until(p, "the script speaks", func() bool {
		trace, err := w.coordinator.Trace(job)
		return err == nil && strings.Contains(string(trace), "a line of a job's output")
	})
	w.until(p, "one machine is used and another one stands by", func() bool {
		states := w.states()
		return states[fleet.Used] == 1 && states[fleet.Idle]+states[fleet.Acquired] == 1
	})
	return p, job
}

const drains = "[machine.shutdown_drain]\n  enabled = true\n  max_retries = 1\n  retry_backoff = \"100ms\"\n"

// TestShutdown ends agents that have a running job and an idle machine, by both signals, with and without [machine.shutdown_drain].
func TestShutdown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		shutdown string
		signal   syscall.Signal
		left     int // machines
		state    embedded.State
		reason   coordinator.FailureReason
	}{
		"SIGQUIT":             {"", syscall.SIGQUIT, 2, embedded.Canceled, ""},
		"SIGQUIT and a drain": {drains, syscall.SIGQUIT, 0, embedded.Canceled, ""},
		"SIGTERM":             {"", syscall.SIGTERM, 2, embedded.Failed, coordinator.RunnerInterrupted},
		"SIGTERM and a drain": {drains, syscall.SIGTERM, 0, embedded.Failed, coordinator.RunnerInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCloudWorld(t, tt.shutdown)
			p, job := w.busy()
			p.signal(tt.signal)
			if tt.signal == syscall.SIGQUIT {
				p.until("Draining: running jobs go on, no new ones are taken")
				w.until(p, "the idle machine's lot", func() bool { return w.live() == 1+tt.left/2 })
				if r, _ := w.coordinator.Job(job); r.State != embedded.Running || w.states()[fleet.Used] != 1 {
					t.Errorf("the job is %s, the machines %v", r.State, w.states())
				}
				if err := w.coordinator.Cancel(job); err != nil { // it would run for an hour
					t.Fatal(err)
				}
			}
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d\n%s", code, p.text())
			}
			if r := w.ended(p, job); r.State != tt.state || r.FailureReason != tt.reason {
				t.Errorf("the job: %s %s\n%s", r.State, r.FailureReason, p.text())
			}
			if live, states := w.live(), w.states(); live != tt.left || states[fleet.Idle] != tt.left || len(states) > 1 {
				t.Errorf("%d machines in the cloud, in the journal %v; want %d\n%s", live, states, tt.left, p.text())
			}
			if done := strings.Contains(p.text(), "Machine pool drain completed"); done != (tt.shutdown != "") {
				t.Errorf("a drain: %v\n%s", done, p.text())
			}
		})
	}
}

// TestShutdownFails has a cloud that removes nothing: the agent ends with 1 and says what is left, and the next one goes on with it.
func TestShutdownFails(t *testing.T) {
	t.Parallel()
	w := newCloudWorld(t, drains)
	p := w.agent()
	w.until(p, "there is a machine", func() bool { s := w.states(); return s[fleet.Idle]+s[fleet.Acquired] == 1 })
	if err := w.cloud.Inject(t.Context(), fakecloud.Fault{Op: fakecloud.OpRemove, Status: http.StatusInternalServerError, Times: -1}); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
	for _, want := range []string{"Failed to drain machine after all retries", "the next start goes on", `msg="Machine pool drain completed" runner=machines success=0 failed=1 total=1`} {
		if !strings.Contains(p.text(), want) {
			t.Errorf("the log lacks %q:\n%s", want, p.text())
		}
	}
	if states := w.states(); states[fleet.Removing] != 1 || len(states) != 1 || w.live() != 1 {
		t.Errorf("%d machines in the cloud, in the journal %v", w.live(), states)
	}
	if err := w.cloud.Heal(t.Context()); err != nil {
		t.Fatal(err)
	}
	p = w.agent()
	p.until(`msg="Machine removed"`)
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 || w.live() != 0 || len(w.states()) != 0 {
		t.Errorf("exit code %d, %d machines in the cloud, in the journal %v\n%s", code, w.live(), w.states(), p.text())
	}
}

// TestShutdownTimeout has a coordinator that never answers what it is told of a job: the agent waits for shutdown_timeout, and says so by its exit code.
func TestShutdownTimeout(t *testing.T) {
	t.Parallel()
	told, over := make(chan struct{}, 64), make(chan struct{})
	var given atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && given.CompareAndSwap(false, true):
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusCreated)
			_, _ = rw.Write([]byte(`{"id": 7, "token": "job-7", "steps": [{"name": "script", "script": ["true"]}]}`))
		case r.Method == http.MethodPost:
			rw.WriteHeader(http.StatusNoContent)
		default:
			select {
			case told <- struct{}{}:
			default:
			}
			<-over
		}
	}))
	defer server.Close()
	defer close(over)
	config := filepath.Join(t.TempDir(), "config.toml")
	text := fmt.Sprintf("concurrent = 1\nshutdown_timeout = 2\n[[runners]]\n  name = \"silent\"\n  url = %q\n  token = \"glrt-none\"\n  executor = \"shell\"\n", server.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, millwright(t), nil, "run", "--config", config, "--state-dir", stateDir(t))
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatalf("the job is never told of:\n%s", p.text())
	}
	began := time.Now()
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 1 || !strings.Contains(p.text(), "jobs did not stop within shutdown_timeout (2s)") {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("it ended after %s", took)
	}
}
