package cli

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
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
)

// resumeWorld is an agent whose jobs outlive it, with a coordinator that its containers reach.
type resumeWorld struct {
	*agentWorld
	runtime string // its runtime directory
	image   string
	reaches string // a line of shell that fails unless the service db can be reached
	label   string // of all that its runner makes on the engine
	agent   *process
	kills   int
}

func newResumeWorld(t *testing.T) *resumeWorld {
	t.Helper()
	w := newLastingWorld(t, "bridge")
	w.image, w.reaches = dockertest.Busybox(t), "ping -c1 -W5 db >/dev/null"
	t.Cleanup(func() {
		w.checkEngine()
		dockertest.RemoveVolumes(t, w.label)
	})
	w.write("concurrent = 1\ncheck_interval = 1\n" + strings.ReplaceAll(entry("resume", w.coordinator.URL(), w.coordinator.RunnerToken(), w.image),
		"wait_for_services_timeout = -1", `wait_for_services_timeout = -1
    volumes = ["/cache"]`))
	return w
}

// newLastingWorld is a resumeWorld without a runner, whose coordinator answers at this host's address on a network of the engine.
func newLastingWorld(t *testing.T, lan string) *resumeWorld {
	t.Helper()
	need.Command(t, "git")
	need.File(t, filepath.Join(repository, "bin", "helper-image-"+runtime.GOARCH+".tar"), "`go tool task helper-image` builds it")
	found, err := dockertest.Engine(t).NetworkInspect(t.Context(), lan, network.InspectOptions{})
	if err != nil || len(found.IPAM.Config) == 0 {
		t.Fatalf("the engine's network %s: %v", lan, err)
	}
	gateway := found.IPAM.Config[0].Gateway
	if gateway == "" {
		gateway = netip.MustParsePrefix(found.IPAM.Config[0].Subnet).Masked().Addr().Next().String()
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "README.md"), []byte("a project\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := embedded.New(embedded.Options{
		Dir: t.TempDir(), Addr: net.JoinHostPort(gateway, "0"), Root: root, Project: "group/project", Branch: "main",
		TraceInterval: 200 * time.Millisecond, LongPoll: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &resumeWorld{
		agentWorld: &agentWorld{t: t, binary: millwright(t), coordinator: server, config: filepath.Join(t.TempDir(), "config.toml"), state: stateDir(t)},
		runtime:    t.TempDir(), label: "com.gitlab.gitlab-runner.runner.id=" + config.ShortToken(server.RunnerToken()),
	}
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

// checkEngine fails when more than caches is left on the engine.
func (w *resumeWorld) checkEngine() {
	for _, left := range dockertest.Left(w.t, w.label) {
		if !strings.HasPrefix(left, "volume runner-") || !strings.Contains(left, "-cache-") {
			w.t.Errorf("left on the engine: %s", left)
		}
	}
}

// begin starts the agent.
func (w *resumeWorld) begin() {
	w.t.Helper()
	w.agent = start(w.t, w.binary, []string{"RUNTIME_DIRECTORY=" + w.runtime}, "run", "--config", w.config, "--state-dir", w.state)
}

// kill ends the agent as a crash does, and starts the next one.
func (w *resumeWorld) kill() {
	w.t.Helper()
	w.kills++
	w.agent.signal(syscall.SIGKILL)
	w.agent.wait()
	w.begin()
}

// job has services, caches, artifacts, an after_script, and a script of so many numbered lines, pause seconds apart.
func (w *resumeWorld) job(lines int, pause string) coordinator.Job {
	return coordinator.Job{
		Info:  coordinator.JobInfo{Name: "numbers", Stage: "test", ProjectID: 3, PipelineID: 5},
		Image: &coordinator.Image{Name: w.image},
		Variables: coordinator.Variables{
			{Key: "GIT_STRATEGY", Value: "clone", Public: true}, {Key: "FF_NETWORK_PER_BUILD", Value: "true", Public: true},
			{Key: "HIDDEN", Value: "hidden-value", Masked: true},
		},
		Services: []coordinator.Image{{Name: w.image, Alias: "db", Command: []string{"sleep", "1000"}}},
		Steps: []coordinator.Step{
			{Name: "script", Script: []string{
				fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo out $i $HIDDEN; echo err $i >&2; sleep %s; done", lines, pause),
				w.reaches, "mkdir -p deps; cp README.md deps/f",
			}},
			{Name: "after_script", Script: []string{"echo after $CI_JOB_STATUS"}},
		},
		Cache:     []coordinator.Cache{{Key: "k", Paths: []string{"deps"}}},
		Artifacts: []coordinator.Artifact{{Paths: []string{"deps"}, Type: "archive", Format: "zip"}},
	}
}

var numbered = regexp.MustCompile(`(?m)^(out|err) (\d+)( \[MASKED\])?$`)

// check fails unless the job has succeeded and each of its lines is in the trace once.
func (w *resumeWorld) check(r embedded.JobResult, lines int) {
	w.t.Helper()
	raw, err := w.coordinator.Trace(r.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	trace := regexp.MustCompile("\x1b\\[[0-9;]*[mK]|\r").ReplaceAllString(byStream(string(raw)), "")
	if r.State != "success" || len(r.Artifacts) != 1 {
		w.t.Errorf("the job: %s %s, %d artifacts, after %d kills\n%s\n%s", r.State, r.FailureReason, len(r.Artifacts), w.kills, trace, w.agent.text())
	}
	for _, stream := range []string{"out", "err"} {
		var got []string
		for _, m := range numbered.FindAllStringSubmatch(trace, -1) {
			if m[1] == stream {
				got = append(got, m[2])
			}
		}
		want := make([]string, lines)
		for i := range want {
			want[i] = strconv.Itoa(i + 1)
		}
		if !slices.Equal(got, want) {
			w.t.Errorf("%s after %d kills: %v, want 1 to %d", stream, w.kills, got, lines)
		}
	}
	for _, once := range []string{"Running with millwright", "Getting source from Git repository", "Executing \"step_script\"", "after success\n",
		"Saving cache for successful job", "Created cache", "Uploading artifacts for successful job", "Job succeeded"} {
		if n := strings.Count(trace, once); n != 1 {
			w.t.Errorf("%q is in the trace %d times after %d kills\n%s", once, n, w.kills, trace)
		}
	}
	if strings.Contains(trace, "hidden-value") {
		w.t.Error("a masked value shows")
	}
	w.t.Cleanup(func() { // the folder goes when the end has been reported, which the coordinator knows first
		if left, _ := filepath.Glob(filepath.Join(w.runtime, "jobs-*", "*")); len(left) > 0 {
			w.t.Errorf("left in the runtime directory: %v", left)
		}
	})
}

var stamped = regexp.MustCompile(`^\S+Z ([0-9a-f]{2}[OE])([ +])`)

// byStream takes the time stamps off a trace, and puts the lines of each stream together: in the engine's log the two streams of a stage
// may follow each other otherwise than they came.
func byStream(raw string) string {
	streams := map[string]*strings.Builder{}
	for line := range strings.Lines(raw) {
		tag := ""
		m := stamped.FindStringSubmatch(line)
		if m != nil {
			tag = m[1]
		}
		b := streams[tag]
		if b == nil {
			b = &strings.Builder{}
			streams[tag] = b
		}
		if m != nil && m[2] == "+" {
			before := strings.TrimSuffix(b.String(), "\n")
			b.Reset()
			b.WriteString(before)
		}
		if m != nil {
			line = line[len(m[0]):]
		}
		b.WriteString(line)
	}
	var out strings.Builder
	for _, b := range streams {
		out.WriteString(b.String())
	}
	return out.String()
}

// stop drains the agent, which ends once the job is cleared away.
func (w *resumeWorld) stop() {
	w.t.Helper()
	w.agent.until(`msg="Configuration loaded"`)
	w.agent.signal(syscall.SIGQUIT)
	if code := w.agent.wait(); code != 0 {
		w.t.Errorf("exit code %d\n%s", code, w.agent.text())
	}
}

// over tells whether the coordinator knows the job's end.
func (w *resumeWorld) over(id int64) bool {
	r, ok := w.coordinator.Job(id)
	return ok && r.State.Final()
}

// at reads where the job is: "step_script begun", "step_script about to start", "step_script runs", "after step_script". "" when
// nothing is known.
func (w *resumeWorld) at() string {
	found, _ := filepath.Glob(filepath.Join(w.runtime, "jobs-*", "*", "checkpoint"))
	if len(found) == 0 {
		return ""
	}
	data, err := os.ReadFile(found[0])
	var c struct {
		State struct {
			Done []struct{ Name string }
			Now  *struct {
				Name string
				From struct{ Container string }
				At   struct{ Container string }
			}
		}
	}
	if err != nil || json.Unmarshal(data, &c) != nil {
		return ""
	}
	switch now := c.State.Now; {
	case now == nil && len(c.State.Done) == 0:
		return "accepted"
	case now == nil:
		return "after " + c.State.Done[len(c.State.Done)-1].Name
	case now.At.Container != "":
		return now.Name + " runs"
	case now.From.Container != "":
		return now.Name + " about to start"
	default:
		return now.Name + " begun"
	}
}

// TestKillAtEachStage kills the agent wherever it finds the job for the first time: at each stage's beginning, in its middle, and after
// it. What passes too quickly to be met gets its turn with another job.
func TestKillAtEachStage(t *testing.T) {
	w := newResumeWorld(t)
	stages := []string{"get_sources", "restore_cache", "step_script", "after_script", "archive_cache", "upload_artifacts_on_success"}
	missing := func(met map[string]bool) (names []string) {
		if after := "after prepare_script"; !met[after] { // which runs nothing
			names = append(names, after)
		}
		for _, s := range stages {
			for _, at := range []string{s + " runs", "after " + s} {
				if !met[at] {
					names = append(names, at)
				}
			}
		}
		return names
	}
	met := map[string]bool{"": true}
	w.begin()
	for round := 1; round <= 25 && len(missing(met)) > 0; round++ {
		id := w.coordinator.Enqueue(w.job(20, "0.02"))
		for deadline := time.Now().Add(2 * patience); !w.over(id); {
			if at := w.at(); !met[at] {
				met[at] = true
				w.kill()
			}
			if time.Now().After(deadline) {
				t.Fatalf("job %d does not end; it is %s\n%s", id, w.at(), w.agent.text())
			}
			time.Sleep(time.Millisecond) // the next look at the file
		}
		w.check(w.ended(w.agent, id), 20)
	}
	w.stop()
	t.Logf("%d kills: %v", w.kills, met)
	if names := missing(met); len(names) > 0 {
		t.Errorf("never met: %v", names)
	}
}

// TestKillAtRandom kills the agent again and again while one job runs. MILLWRIGHT_RESUME is for how long the job's script runs and how
// often the agent is killed, as 60s,20; `go tool task e2e:resume` sets it.
func TestKillAtRandom(t *testing.T) {
	length, kills := 15*time.Second, 5
	if given := os.Getenv("MILLWRIGHT_RESUME"); given != "" {
		d, n, _ := strings.Cut(given, ",")
		var err error
		if length, err = time.ParseDuration(d); err == nil {
			kills, err = strconv.Atoi(n)
		}
		if err != nil {
			t.Fatalf("MILLWRIGHT_RESUME=%q: %v; write it as 60s,20", given, err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d kills in %s", seed, kills, length)
	r := rand.New(rand.NewPCG(seed, 0))
	w := newResumeWorld(t)
	lines := int(length / (50 * time.Millisecond))
	w.begin()
	id := w.coordinator.Enqueue(w.job(lines, "0.05"))
	for range kills {
		time.Sleep(time.Duration(r.Int64N(int64(2 * length / time.Duration(kills))))) // it is the point of the test that this is any time
		if !w.over(id) {
			w.kill()
		}
	}
	result := w.ended(w.agent, id)
	w.check(result, lines)
	w.stop()
	t.Logf("%d kills", w.kills)
}

// TestHandOver hands a job over to the next agent again and again, as an upgrade does.
func TestHandOver(t *testing.T) {
	w := newResumeWorld(t)
	w.begin()
	const lines = 150
	id := w.coordinator.Enqueue(w.job(lines, "0.05"))
	for range 3 {
		w.agent.until(`msg="Configuration loaded"`)
		for deadline := time.Now().Add(patience); w.at() != "step_script runs" && !w.over(id); {
			if time.Now().After(deadline) {
				t.Fatalf("the job is %q\n%s", w.at(), w.agent.text())
			}
			time.Sleep(time.Millisecond) // the next look at the file
		}
		if code, text := run(t, w.binary, "restart", "--hand-over-only", "--state-dir", w.state); code != 0 {
			t.Fatalf("exit code %d: %s", code, text)
		}
		if code := w.agent.wait(); code != 0 {
			t.Errorf("the agent: exit code %d\n%s", code, w.agent.text())
		}
		w.begin()
	}
	w.check(w.ended(w.agent, id), lines)
	w.stop()
}
