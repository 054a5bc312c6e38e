package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// agentWorld is a coordinator, a config.toml and a state directory for `run`.
type agentWorld struct {
	t           *testing.T
	binary      string
	coordinator *embedded.Server
	config      string
	state       string
}

func newAgentWorld(t *testing.T) *agentWorld {
	t.Helper()
	server, err := embedded.New(embedded.Options{Dir: t.TempDir(), TraceInterval: 200 * time.Millisecond, LongPoll: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w := &agentWorld{t: t, binary: millwright(t), coordinator: server, config: filepath.Join(t.TempDir(), "config.toml"), state: stateDir(t)}
	t.Cleanup(func() {
		for _, v := range server.Violations() {
			t.Errorf("the coordinator complains: %s", v)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *agentWorld) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// run starts the agent and waits until it has loaded the configuration.
func (w *agentWorld) run(args ...string) *process {
	w.t.Helper()
	p := start(w.t, w.binary, nil, append([]string{"run", "--config", w.config, "--state-dir", w.state}, args...)...)
	p.until(`msg="Configuration loaded"`)
	return p
}

func (w *agentWorld) machine(args ...string) (code int, text string) {
	w.t.Helper()
	return run(w.t, w.binary, append(append([]string{"machine"}, args...), "--state-dir", w.state)...)
}

// ended waits for a job's end.
func (w *agentWorld) ended(p *process, id int64) embedded.JobResult {
	w.t.Helper()
	r, err := w.coordinator.WaitJob(w.t.Context(), id)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, p.text())
	}
	return r
}

// entry is a runner with jobs on the local engine.
func entry(name, url string, token config.Secret, image string) string {
	return fmt.Sprintf(`
[[runners]]
  name = %q
  url = %q
  token = %q
  executor = "docker"
  [runners.docker]
    image = %q
    pull_policy = "never"
    wait_for_services_timeout = -1
`, name, url, token.Reveal(), image)
}

// hold is a job that calls url, when it runs, and waits for the answer.
func hold(name, image, url string) coordinator.Job {
	return coordinator.Job{
		Info:      coordinator.JobInfo{Name: name, Stage: "test", ProjectID: 3, PipelineID: 5},
		Image:     &coordinator.Image{Name: image},
		Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none", Public: true}},
		Steps:     []coordinator.Step{{Name: "script", Script: []string{"wget -q -O /dev/null " + url}}},
	}
}

// gate listens where containers of the local engine reach it: arrived is told of each call, which gets its answer when open is closed.
func gate(t *testing.T) (url string, arrived <-chan struct{}, open chan struct{}) {
	t.Helper()
	bridge, err := dockertest.Engine(t).NetworkInspect(t.Context(), "bridge", network.InspectOptions{})
	if err != nil || len(bridge.IPAM.Config) == 0 {
		t.Fatalf("the engine's bridge: %v", err)
	}
	address := bridge.IPAM.Config[0].Gateway
	if address == "" {
		address = netip.MustParsePrefix(bridge.IPAM.Config[0].Subnet).Masked().Addr().Next().String()
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	calls := make(chan struct{}, 8)
	open = make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		calls <- struct{}{}
		select {
		case <-open:
		case <-r.Context().Done():
		}
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL, calls, open
}

func arrives(t *testing.T, p *process, arrived <-chan struct{}) {
	t.Helper()
	select {
	case <-arrived:
	case <-time.After(patience):
		t.Fatalf("the job does not run:\n%s", p.text())
	}
}

// SIGHUP reloads, SIGQUIT drains, SIGTERM stops; a second agent is refused meanwhile.
func TestRunSignals(t *testing.T) {
	t.Parallel()
	image := dockertest.Busybox(t)
	need.File(t, filepath.Join(repository, "bin", "helper-image-"+runtime.GOARCH+".tar"), "`go tool task helper-image` builds it")
	w := newAgentWorld(t)
	token := w.coordinator.RunnerToken()
	label := "com.gitlab.gitlab-runner.runner.id=" + config.ShortToken(token)
	dockertest.ForgetImage(t, "millwright/helper:"+runtime.GOARCH)
	dockertest.RemoveVolumes(t, label)
	one := entry("one", w.coordinator.URL(), token, image)
	w.write("concurrent = 2\n" + one)

	t.Run("SIGQUIT", func(t *testing.T) {
		p := w.run("--listen-address", "127.0.0.1:0")
		url, arrived, open := gate(t)
		id := w.coordinator.Enqueue(hold("held", image, url))
		arrives(t, p, arrived)
		p.signal(syscall.SIGQUIT)
		p.until("Draining: running jobs go on, no new ones are taken")
		later := w.coordinator.Enqueue(hold("later", image, url))
		close(open)
		if code := p.wait(); code != 0 {
			t.Errorf("exit code %d\n%s", code, p.text())
		}
		if r := w.ended(p, id); r.State != embedded.Success {
			t.Errorf("the running job: %s %s\n%s", r.State, r.FailureReason, p.text())
		}
		if r, _ := w.coordinator.Job(later); r.State != embedded.Queued {
			t.Errorf("the other job: %s", r.State)
		}
		if err := w.coordinator.ForceCancel(later); err != nil {
			t.Error(err)
		}
		if strings.Contains(p.text(), token.Reveal()) {
			t.Error("the log has the token")
		}
	})
	t.Run("SIGHUP and SIGTERM", func(t *testing.T) {
		p := w.run()
		w.write("concurrent = \"many\"\n" + one)
		p.signal(syscall.SIGHUP)
		p.until("Failed to load config; the configuration before stays in force")
		p.until(`config.toml:1: concurrent: `)
		w.write("concurrent = 2\n" + one + entry("two", w.coordinator.URL(), w.coordinator.AddRunner("two"), image))
		p.signal(syscall.SIGHUP)
		p.until("msg=\"Configuration loaded\" runners=2")
		refused(t, w, p)
		url, arrived, _ := gate(t)
		id := w.coordinator.Enqueue(hold("held", image, url))
		arrives(t, p, arrived)
		p.signal(syscall.SIGTERM)
		if code := p.wait(); code != 0 {
			t.Errorf("exit code %d\n%s", code, p.text())
		}
		if r := w.ended(p, id); r.FailureReason != coordinator.RunnerInterrupted {
			t.Errorf("the running job: %s %s", r.State, r.FailureReason)
		}
	})
	for _, left := range dockertest.Left(t, label) {
		if !strings.Contains(left, "-cache-") {
			t.Errorf("left on the engine: %s", left)
		}
	}
}

// refused starts another agent and an exec on the same state directory.
func refused(t *testing.T, w *agentWorld, p *process) {
	t.Helper()
	code, text := run(t, w.binary, "run", "--config", w.config, "--state-dir", w.state)
	want := fmt.Sprintf("millwright: state directory %s: in use by another process (process id %d); stop it first, or give this one a state directory of its own\n",
		w.state, p.cmd.Process.Pid)
	if code != 1 || text != want {
		t.Errorf("a second agent: %d\n%swant\n%s", code, text, want)
	}
	if code, text := w.machine("ls"); code != 0 || text != "no machines\n" {
		t.Errorf("machine ls: %d %s", code, text)
	}
	if code, text := w.machine("rm", "nosuch"); code != 1 || text != "millwright: machine nosuch: no such machine; `millwright machine ls` lists them\n" {
		t.Errorf("machine rm: %d %s", code, text)
	}
}

// Machines are listed and removed through the running agent, outlive it, and are removed without it.
func TestRunMachines(t *testing.T) {
	t.Parallel()
	need.Image(t, defaultMachineImage, "`go tool task machine-image` builds it")
	w := newAgentWorld(t)
	lan := "millwright-test-" + dockertest.Random()
	w.write("listen_address = \"127.0.0.1:0\"\n" + machineConfig(w.coordinator.URL(), w.coordinator.RunnerToken().Reveal(), 1,
		fmt.Sprintf(`    MachineOptions = ["docker-network=%s"]`, lan)))
	t.Cleanup(func() {
		checkNothingLeft(t, w.state)
		w.machine("rm", "--all")
	})
	p := w.run()
	p.until(`msg="Machine created"`)
	first := w.list()
	if len(first) != 1 || first[0].State != "idle" && first[0].State != "acquired" { // the feed may hold it while it asks for a job
		t.Fatalf("machines: %+v\n%s", first, p.text())
	}
	address := regexp.MustCompile(`msg="Metrics server listening" address=(\S+)`).FindStringSubmatch(p.text())
	ready := regexp.MustCompile(`gitlab_runner_autoscaling_machine_states\{executor="docker\+machine",state="(idle|acquired)",target_machine_type="",target_project="",target_region="",target_zone=""\} 1`)
	if address == nil || !ready.MatchString(get(t, "http://"+address[1]+"/metrics")) {
		t.Errorf("metrics at %v", address)
	}
	if code, text := w.machine("rm", first[0].Name); code != 0 || text != "removed "+first[0].Name+"\n" {
		t.Errorf("machine rm: %d %s", code, text)
	}
	p.until(`reason="asked for by the operator"`)
	for _, m := range w.list() {
		if m.Name == first[0].Name {
			t.Error("the machine is still there")
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.text())
	}
	if after := w.list(); len(after) != 1 || after[0].Name == first[0].Name {
		t.Errorf("after the end: %+v", after)
	}
	if code, text := w.machine("rm", "--all"); code != 0 || strings.Count(text, "removed runner-") != 1 {
		t.Errorf("machine rm --all: %d %s", code, text)
	}
}

func (w *agentWorld) list() []supervisor.Machine {
	w.t.Helper()
	code, text := w.machine("ls", "--json")
	var machines []supervisor.Machine
	if err := json.Unmarshal([]byte(text), &machines); err != nil || code != 0 {
		w.t.Fatalf("machine ls: %d, %v\n%s", code, err, text)
	}
	return machines
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
