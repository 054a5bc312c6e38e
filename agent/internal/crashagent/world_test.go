package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// parts are what all tests share; they are made once.
type parts struct {
	once   sync.Once
	err    error
	dir    string // of all this, and of the built-in modules' dist
	binary string
	driver []byte // the cloud's, as Wasm
}

var kit parts

// world is a state directory, a configuration, a cloud and a coordinator. Agents come and go.
type world struct {
	t           *testing.T
	cloud       *fakecloud.Cloud
	coordinator *embedded.Server
	dir         string // of config.toml
	stateDir    string
	points      string // file
	cache       string
	grace       time.Duration // how long the agents leave orphans alone
	hour        int           // how far a day of trouble has come; see trouble
}

// make makes them, with a test that needs them.
func (p *parts) make(t *testing.T) {
	t.Helper()
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "crashagent"); p.err != nil {
			return
		}
		p.binary = filepath.Join(p.dir, "crashagent")
		if out, err := exec.Command(need.Command(t, "go"), "build", "-o", p.binary, ".").CombinedOutput(); err != nil {
			p.err = fmt.Errorf("%w: %s", err, out)
			return
		}
		if p.err = os.Mkdir(filepath.Join(p.dir, "dist"), 0o700); p.err != nil {
			return
		}
		for _, folder := range []string{"policies/periods", "policies/idlescale"} {
			path := filepath.Join(p.dir, "dist", filepath.Base(folder)+guests.Suffix)
			if p.err = os.WriteFile(path, guests.Packed(t, folder), 0o600); p.err != nil {
				return
			}
		}
		p.driver = guests.Wasm(t, "examples/drivers/fakecloud")
	})
	if p.err != nil || p.driver == nil {
		t.Fatalf("the agent of these tests can't be built: %v", p.err)
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	parallel := flag.Lookup("test.parallel")
	if n, err := strconv.Atoi(parallel.Value.String()); err == nil && n < 6 {
		_ = flag.Set("test.parallel", "6") // most of the time agents wait for clouds, and the other way round
	}
	code := m.Run()
	if kit.dir != "" {
		os.RemoveAll(kit.dir)
	}
	os.Exit(code)
}

// newWorld makes one with a runner that holds one idle machine and gives each machine two jobs.
func newWorld(t *testing.T) *world {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signal to end a process in an orderly way")
	}
	kit.make(t)
	dir, err := os.MkdirTemp("", "mw") // short, for the socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{t: t, dir: dir, stateDir: filepath.Join(dir, "state"), points: filepath.Join(dir, "points"), cache: guests.CompilationCache(t), grace: 30 * time.Minute}
	o := fakecloud.Options{Machines: true, Engine: nothing, Settings: fakecloud.Settings{BootMS: 60}}
	if w.cloud, err = fakecloud.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.cloud.Close() })
	if w.coordinator, err = embedded.New(embedded.Options{LongPoll: time.Second, CommitTimeout: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.coordinator.Close() })
	w.write("config.toml", w.config())
	w.write("millwright.toml", w.operator())
	for _, name := range []string{"policies.d", "drivers.d"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.write("drivers.d/fakecloud.wasm", string(kit.driver))
	return w
}

// nothing is an engine that has nothing and makes nothing.
func nothing(string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodDelete:
			rw.WriteHeader(http.StatusNotFound)
			io.WriteString(rw, `{"message":"there is no such thing"}`)
		case strings.HasSuffix(r.URL.Path, "/json"):
			io.WriteString(rw, `[]`)
		case strings.HasSuffix(r.URL.Path, "/prune"):
			io.WriteString(rw, `{}`)
		default:
			rw.WriteHeader(http.StatusNotImplemented)
			io.WriteString(rw, `{"message":"this engine runs no containers"}`)
		}
	})
}

func (w *world) config() string {
	return fmt.Sprintf(`concurrent = 1
check_interval = 1
shutdown_timeout = 300
log_level = "debug"
[machine.shutdown_drain]
  enabled = true
[[runners]]
  name = "build"
  url = %q
  token = %q
  executor = "docker+machine"
  limit = 3
  [runners.docker]
    image = "busybox"
  [runners.machine]
    IdleCount = 1
    IdleTime = 1
    MaxBuilds = 2
    MachineDriver = "fakecloud"
    MachineName = "m-%%s"
    MachineOptions = ["fakecloud-endpoint=%s"]
`, w.coordinator.URL(), string(w.coordinator.RunnerToken()), w.cloud.URL())
}

// operator is millwright.toml.
func (w *world) operator() string {
	return "[grants.fakecloud]\nhostnames = [\"" + w.cloud.URL() + "\"]\nprivate_addresses = [\"127.0.0.0/8\"]\n" +
		"[drivers.fakecloud]\ncalls_per_second = 1000\ncalls_burst = 1000\nremoves_per_second = 1000\nremoves_burst = 1000\n"
}

func (w *world) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// enqueue gives the runner a job. No container runs on the cloud's machines, so it fails there, after its machine was taken for it.
func (w *world) enqueue() {
	w.coordinator.Enqueue(coordinator.Job{
		Info:  coordinator.JobInfo{Name: "job", Stage: "test", ProjectID: 1},
		Image: &coordinator.Image{Name: "busybox"},
		Steps: []coordinator.Step{{Name: "script", Script: []string{"true"}}},
	})
}

// agent is one process of the agent.
type agent struct {
	w     *world
	cmd   *exec.Cmd
	log   *bytes.Buffer // to be read when it has ended
	ended chan struct{} // closed then
	err   error
}

// start starts an agent that dies at the point ("" is none). It is killed with the test at the latest.
func (w *world) start(dies string) *agent {
	w.t.Helper()
	a := &agent{w: w, log: &bytes.Buffer{}, ended: make(chan struct{})}
	if err := os.Remove(w.points); err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	a.cmd = exec.Command(kit.binary, w.args(dies, "run")...)
	a.cmd.Stdout, a.cmd.Stderr = a.log, a.log
	if err := a.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		a.err = a.cmd.Wait()
		close(a.ended)
	}()
	w.t.Cleanup(func() {
		a.kill()
		if w.t.Failed() {
			w.t.Logf("agent that dies at %q:\n%s", dies, a.log)
		}
	})
	return a
}

// args is the command line of a command of the agent's that dies at a point.
func (w *world) args(dies string, command ...string) []string {
	own := []string{"-points", w.points, "-die", dies, "-cache", w.cache, "-guests", kit.dir, "-grace", w.grace.String(), "--"}
	return slices.Concat(own, command, []string{"--config", filepath.Join(w.dir, "config.toml"), "--state-dir", w.stateDir})
}

// command runs another command of the agent's binary on the state directory.
func (w *world) command(args ...string) (string, error) {
	w.t.Helper()
	out, err := exec.CommandContext(w.t.Context(), kit.binary, w.args("", args...)...).CombinedOutput()
	return string(out), err
}

// kill ends the agent by SIGKILL, unless it has ended.
func (a *agent) kill() {
	_ = a.cmd.Process.Kill() // one that has ended can't be
	<-a.ended
}

// stop ends the agent in an orderly way; it removes its machines.
func (a *agent) stop() {
	a.w.t.Helper()
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		a.w.t.Error(err)
	}
	select {
	case <-a.ended:
		if a.err != nil {
			a.w.t.Errorf("the agent ends with %v", a.err)
		}
	case <-time.After(patience):
		a.w.t.Error("the agent does not end")
		a.kill()
	}
}

// dead tells whether the agent has ended.
func (a *agent) dead() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// reached are the points of the last agent, in order.
func (w *world) reached() []string {
	w.t.Helper()
	data, err := os.ReadFile(w.points)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // none yet
		w.t.Fatal(err)
	}
	var points []string
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		points = append(points, lines.Text())
	}
	return points
}

// until looks again and again, and is false when the agent ends first.
func (a *agent) until(what string, ok func() bool) bool {
	a.w.t.Helper()
	ctx, cancel := context.WithTimeout(a.w.t.Context(), patience)
	defer cancel()
	for !ok() {
		select {
		case <-a.ended:
			return false
		case <-ctx.Done():
			all, states := a.w.journalled()
			a.w.t.Fatalf("%s: never; the cloud has %v, the journal %v %v", what, a.w.live(), all, states)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}

// live are the machines of the cloud, by name, with their ids.
func (w *world) live() []string {
	all := []string{}
	for _, i := range w.cloud.Summary().Live {
		all = append(all, i.Name+" "+i.ID)
	}
	return all
}

// journalled are the machines of the journal in the same form, and their states. What can't be read is among them in words.
func (w *world) journalled() (all []string, states map[fleet.State]int) {
	w.t.Helper()
	machines, problems, err := journal.Read(w.stateDir)
	if err != nil {
		w.t.Fatal(err)
	}
	all, states = []string{}, map[fleet.State]int{}
	for _, p := range problems {
		all = append(all, p.String())
	}
	for _, m := range machines {
		all = append(all, m.Name+" "+m.Instance.ID)
		states[m.State]++
	}
	slices.Sort(all)
	return all, states
}

// settled waits until cloud and journal hold the same idle machine and nothing else, and have done so for some lists.
func (a *agent) settled() bool {
	a.w.t.Helper()
	const lists = 3
	since := 0 // lists when it began to be so
	return a.until("cloud and journal agree on one idle machine", func() bool {
		s := a.w.cloud.Summary()
		all, states := a.w.journalled()
		// Whoever asks for a job holds an idle machine meanwhile.
		if !slices.Equal(all, a.w.live()) || len(all) != 1 || states[fleet.Idle]+states[fleet.Acquired] != 1 {
			since = 0
			return false
		}
		if since == 0 {
			since = s.Calls[fakecloud.OpList]
		}
		return s.Calls[fakecloud.OpList] >= since+lists
	})
}

// empty checks, after an orderly end, that cloud and journal hold nothing, that each machine that ever was is gone and that none was made
// twice. At most so many were ever made.
func (w *world) empty(most int) {
	w.t.Helper()
	all, _ := w.journalled()
	s := w.cloud.Summary()
	if len(all) > 0 || len(s.Live) > 0 {
		w.t.Errorf("left in the journal: %v; in the cloud: %v", all, s.Live)
	}
	if len(s.Twice) > 0 {
		w.t.Errorf("made twice: %v", s.Twice)
	}
	if s.Made > most {
		w.t.Errorf("%d machines were made; %d are enough", s.Made, most)
	}
	if entries, err := os.ReadDir(filepath.Join(w.stateDir, "store", "machines")); err != nil || len(entries) > 0 {
		w.t.Errorf("left in the store: %v, %v", entries, err)
	}
	w.calm()
}

// calm checks that the cloud was never asked to remove what it does not have, nor to make what there was.
func (w *world) calm() {
	w.t.Helper()
	for _, e := range w.cloud.Ledger(0, fakecloud.OpCreate) {
		if e.Status == 409 {
			w.t.Errorf("the machine %s was asked for again", e.Name)
		}
	}
}
