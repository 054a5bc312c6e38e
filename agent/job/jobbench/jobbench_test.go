package jobbench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// patience is how long one job may take on a machine that is busy.
const patience = 5 * time.Minute

// interval is at which the coordinator of the bench wants to hear of a job, which is what GitLab tells by default.
const interval = 3 * time.Second

// TestBench measures. MILLWRIGHT_BENCH_JOB=full, which `task bench:job` sets, makes it take as many jobs as figures need; without, it takes a few.
// MILLWRIGHT_BENCH_RUNNER is the path of a gitlab-runner to measure beside us, MILLWRIGHT_BENCH_RUNNER_HELPER an image with its helper that lies
// on the engine.
func TestBench(t *testing.T) {
	one, rounds, many, megabytes, flows := 2, 1, 4, 2, 1
	if os.Getenv("MILLWRIGHT_BENCH_JOB") == "full" {
		one, rounds, many, megabytes, flows = 15, 5, 40, 50, 7
	}
	site := jobtest.NewSite(t)
	ours := newWorld(t, site, millwright)
	worlds := []*world{ours}
	if path := os.Getenv("MILLWRIGHT_BENCH_RUNNER"); path != "" {
		worlds = append(worlds, newWorld(t, site, gitlabRunner(path)))
	}
	r := report{concurrent: 10, interval: interval, flowBytes: megabytes << 20}
	for _, w := range worlds {
		w.run(t, jobtest.Script([]string{"true"})) // brings the helper image and the first volumes
	}
	// All is measured in turn, so that what else the machine does is shared.
	for range one {
		r.bare.add(ours.bare(t))
		for _, w := range worlds {
			w.trivial(t)
		}
	}
	for range rounds {
		for _, w := range worlds {
			w.throughput(t, many)
		}
	}
	for range flows {
		for _, w := range worlds {
			w.stream(t, r.flowBytes)
		}
	}
	for _, w := range worlds {
		w.engine = w.counts(t)
		w.cancelled = w.cancel(t)
	}
	r.ours = ours.figures
	if len(worlds) > 1 {
		r.theirs, r.version = &worlds[1].figures, worlds[1].version
	}
	t.Logf("\n%s", r.table())
	f := r.ours
	for what, ok := range map[string]bool{
		"times":  min(r.bare.middle(), f.trivial.middle(), f.firstByte.middle(), f.cancelled) > 0,
		"rates":  median(f.perMinute) > 0 && median(f.flow) > 0,
		"counts": f.engine.containers == 2 && f.engine.starts == 2,
	} {
		if !ok {
			t.Errorf("the %s are not right", what)
		}
	}
}

// world is a coordinator and an agent that asks it for jobs.
type world struct {
	*jobtest.Bench
	figures
	version string
}

// agent is a program that runs jobs.
type agent struct {
	command func(t *testing.T, dir, config string) *exec.Cmd
	helper  string // helper_image; "" is its own
	version string
}

// newWorld starts an agent on a coordinator of its own.
func newWorld(t *testing.T, site *jobtest.Site, a agent) *world {
	b := site.Bench(t, func(o *embedded.Options) { o.TraceInterval = interval })
	b.Foreign = a.version != ""
	dir := t.TempDir()
	file := fmt.Sprintf("concurrent = 10\ncheck_interval = 1\n[[runners]]\nname = \"bench\"\nurl = %q\ntoken = %q\nexecutor = \"docker\"\nrequest_concurrency = 10\n"+
		"output_limit = 200000\n[runners.docker]\nimage = %q\npull_policy = [\"never\"]\nhelper_image = %q\n", b.Runner.URL, b.Runner.Token.Reveal(), b.Image, a.helper)
	path := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := a.command(t, dir, path)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil && a.version == "" {
			t.Errorf("the agent: %v\n%s", err, said.String())
		}
	})
	return &world{Bench: b, version: a.version}
}

// millwright is our own agent.
var millwright = agent{command: func(t *testing.T, dir, config string) *exec.Cmd {
	binary := filepath.Join(dir, "millwright")
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command(need.Command(t, "go"), "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./agent/cmd/millwright")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "run", "--config", config, "--state-dir", filepath.Join(dir, "state"))
	cmd.Env = append(os.Environ(), "MILLWRIGHT_HELPER_DIR="+filepath.Join(root, "bin"), "RUNTIME_DIRECTORY="+memory(t), "LOG_FORMAT=text")
	return cmd
}}

// memory is a folder on a tmpfs where this system has one, as a service's runtime directory is.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "millwright-bench-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// gitlabRunner is GitLab's agent.
func gitlabRunner(path string) agent {
	version := "gitlab-runner"
	if out, err := exec.Command(path, "--version").Output(); err == nil {
		if words := strings.Fields(string(out)); len(words) > 1 {
			version += " " + words[1]
		}
	}
	return agent{version: version, helper: os.Getenv("MILLWRIGHT_BENCH_RUNNER_HELPER"), command: func(_ *testing.T, dir, config string) *exec.Cmd {
		cmd := exec.Command(path, "run", "--config", config, "--working-directory", dir)
		cmd.Env = append(os.Environ(), "HOME="+dir)
		return cmd
	}}
}

// run runs a job and returns it when it has succeeded.
func (w *world) run(t *testing.T, payload coordinator.Job) embedded.JobResult {
	t.Helper()
	return w.wait(t, w.Server.Enqueue(payload))
}

func (w *world) wait(t *testing.T, id int64) embedded.JobResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	j, err := w.Server.WaitJob(ctx, id)
	if err != nil || j.State != embedded.Success {
		trace, _ := w.Server.Trace(id)
		t.Fatalf("job %d is %s, %v:\n%s", id, j.State, err, trace[max(0, len(trace)-4000):])
	}
	return j
}

// bare measures a container with nothing around it.
func (w *world) bare(t *testing.T) (took, processor time.Duration) {
	t.Helper()
	before, start := busy(t), time.Now()
	if out, err := exec.Command(need.Command(t, "docker"), "run", "--rm", w.Image, "true").CombinedOutput(); err != nil {
		t.Fatalf("docker run: %v\n%s", err, out)
	}
	return time.Since(start), busy(t) - before
}

// trivial measures one job by itself.
func (w *world) trivial(t *testing.T) {
	t.Helper()
	before := busy(t)
	id := w.Server.Enqueue(jobtest.Script([]string{"true"}))
	said := w.firstByteOf(t, id)
	j := w.wait(t, id)
	w.cleared(t)
	w.figures.trivial.add(j.Finished.Sub(j.Pending), busy(t)-before)
	w.firstByte.add(said.Sub(j.Pending), 0)
}

// firstByteOf waits until the log of a job has begun.
func (w *world) firstByteOf(t *testing.T, id int64) time.Time {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if trace, err := w.Server.Trace(id); err == nil && len(trace) > 0 {
			return time.Now()
		}
	}
	t.Fatalf("job %d says nothing", id)
	return time.Time{}
}

// counts is what the engine is asked for by one job.
func (w *world) counts(t *testing.T) (c counts) {
	t.Helper()
	api := dockertest.Engine(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.cleared(t) // a job's end is told before its last container has gone
	since := time.Now()
	w.run(t, jobtest.Script([]string{"true"}))
	w.cleared(t)
	until := time.Now()
	stream, failed := api.Events(ctx, events.ListOptions{
		Since: stamp(since), Until: stamp(until),
		Filters: filters.NewArgs(filters.Arg("type", "container"), filters.Arg("type", "volume"), filters.Arg("type", "network")),
	})
	short := config.ShortToken(w.Runner.Token)
	ours := map[string]bool{}
	for {
		select {
		case e := <-stream:
			mine := e.Actor.Attributes["com.gitlab.gitlab-runner.runner.id"] == short
			switch {
			case e.Type == events.ContainerEventType && e.Action == events.ActionCreate && mine:
				c.containers++
				ours[e.Actor.ID] = true
			case e.Type == events.ContainerEventType && e.Action == events.ActionStart && mine:
				c.starts++
			case e.Type == events.VolumeEventType && e.Action == events.ActionCreate && strings.Contains(e.Actor.ID, short):
				c.volumes++
			case e.Type == events.NetworkEventType && e.Action == events.ActionConnect && ours[e.Actor.Attributes["container"]]:
				c.connects++
			}
		case <-failed: // the end of what there is
			return c
		}
	}
}

func stamp(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + "." + fmt.Sprintf("%09d", t.Nanosecond())
}

// throughput measures how many jobs end in a minute when there are always some that wait, and the processor time of one.
func (w *world) throughput(t *testing.T, n int) {
	t.Helper()
	start, before := time.Now(), busy(t)
	var ids []int64
	for range n {
		ids = append(ids, w.Server.Enqueue(jobtest.Script([]string{"true"})))
	}
	for _, id := range ids {
		w.wait(t, id)
	}
	w.perMinute = append(w.perMinute, float64(n)/time.Since(start).Minutes())
	w.cleared(t) // what one agent leaves for later is not to slow down the other
	w.each = append(w.each, (busy(t)-before)/time.Duration(n))
}

// stream measures how many megabytes of a job's log reach the coordinator in a second: what a job that prints a file takes from there to its
// end, beyond one that prints nothing. Making the file is the job's own matter, and not counted.
func (w *world) stream(t *testing.T, size int) {
	t.Helper()
	const line = "go: downloading github.com/some/module v1.2.3 [done] (took 12ms) ?x=1 and so on until it is 100 long"
	printed := func(last string) (embedded.JobResult, time.Duration) {
		began := make(chan time.Time, 1)
		url := w.Signal(t, func() { began <- time.Now() })
		payload := jobtest.Script([]string{fmt.Sprintf("yes '%s' | head -c %d >/tmp/log || true", line, size), "wget -q -O /dev/null " + url, last})
		payload.Variables = append(payload.Variables, coordinator.Variable{Key: "SECRET", Value: "hunter2hunter2", Masked: true})
		result := w.run(t, payload)
		return result, result.Finished.Sub(<-began)
	}
	_, quiet := printed("true")
	result, loud := printed("cat /tmp/log")
	if trace, err := w.Server.Trace(result.ID); err != nil || len(trace) < size {
		t.Fatalf("the log has %d bytes, %v; want %d", len(trace), err, size)
	}
	w.flow = append(w.flow, float64(size)/1e6/max((loud-quiet).Seconds(), 1e-3))
	w.cleared(t)
}

// cancel is how long a job goes on that says nothing and is cancelled.
func (w *world) cancel(t *testing.T) time.Duration {
	t.Helper()
	id := w.Server.Enqueue(jobtest.Script([]string{"echo quiet; sleep 600"}))
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if trace, _ := w.Server.Trace(id); strings.Contains(string(trace), "quiet\n") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the job does not begin")
		}
	}
	time.Sleep(interval) // it has fallen silent
	start := time.Now()
	if err := w.Server.ForceCancel(id); err != nil {
		t.Fatal(err)
	}
	w.cleared(t)
	return time.Since(start)
}

// cleared waits until the engine has no container of a job.
func (w *world) cleared(t *testing.T) {
	t.Helper()
	label := "com.gitlab.gitlab-runner.runner.id=" + config.ShortToken(w.Runner.Token)
	isContainer := func(left string) bool { return strings.HasPrefix(left, "container ") }
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if !slices.ContainsFunc(dockertest.Left(t, label), isContainer) {
			return
		}
	}
	t.Fatal("a job goes on")
}

// busy is the processor time that the whole machine has spent, since an engine works in processes of its own.
func busy(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Skip("this system doesn't tell how busy it is")
	}
	var user, nice, system, idle, wait, irq, softirq int64
	if _, err := fmt.Sscanf(string(stat), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq); err != nil {
		t.Fatal(err)
	}
	const tick = 10 * time.Millisecond // USER_HZ, which is 100 on every Linux that Go runs on
	return time.Duration(user+nice+system+irq+softirq) * tick
}
