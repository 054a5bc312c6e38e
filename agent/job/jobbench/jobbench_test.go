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
func TestBench(t *testing.T) {
	one, many, megabytes := 2, 4, 2
	if os.Getenv("MILLWRIGHT_BENCH_JOB") == "full" {
		one, many, megabytes = 15, 120, 50
	}
	w := newWorld(t)
	f := figures{concurrent: 10, interval: interval, flowBytes: megabytes << 20}
	w.run(t, jobtest.Script([]string{"true"})) // brings the helper image and the first volumes
	f.bare, f.bareProcessor = w.bare(t, one)
	f.trivial, f.processor, f.firstByte = w.trivial(t, one)
	f.engine = w.counts(t)
	f.perMinute = w.throughput(t, many)
	f.flow = w.flow(t, f.flowBytes)
	f.cancelled = w.cancel(t)
	t.Logf("\n%s", f.table())
	for what, ok := range map[string]bool{
		"times":  min(f.bare, f.trivial, f.processor, f.bareProcessor, f.firstByte, f.cancelled) > 0,
		"rates":  f.perMinute > 0 && f.flow > 0,
		"counts": f.engine.containers == 2 && f.engine.starts >= 2,
	} {
		if !ok {
			t.Errorf("the %s are not right", what)
		}
	}
}

// world is a coordinator and an agent that asks it for jobs.
type world struct{ *jobtest.Bench }

func newWorld(t *testing.T) *world {
	b := jobtest.NewSite(t).Bench(t, func(o *embedded.Options) { o.TraceInterval = interval })
	dir := t.TempDir()
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
	file := fmt.Sprintf("concurrent = 10\n[[runners]]\nname = \"bench\"\nurl = %q\ntoken = %q\nexecutor = \"docker\"\nrequest_concurrency = 10\noutput_limit = 200000\n"+
		"[runners.docker]\nimage = %q\npull_policy = [\"never\"]\n", b.Runner.URL, b.Runner.Token.Reveal(), b.Image)
	path := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(binary, "run", "--config", path, "--state-dir", filepath.Join(dir, "state"))
	agent.Env = append(os.Environ(), "MILLWRIGHT_HELPER_DIR="+filepath.Join(root, "bin"), "RUNTIME_DIRECTORY="+filepath.Join(dir, "run"), "LOG_FORMAT=text")
	var said strings.Builder
	agent.Stdout, agent.Stderr = &said, &said
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Signal(syscall.SIGTERM)
		if err := agent.Wait(); err != nil {
			t.Errorf("the agent: %v\n%s", err, said.String())
		}
	})
	return &world{Bench: b}
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
func (w *world) bare(t *testing.T, n int) (middle, processor time.Duration) {
	t.Helper()
	cli := need.Command(t, "docker")
	var times []time.Duration
	before := busy(t)
	for range n {
		start := time.Now()
		if out, err := exec.Command(cli, "run", "--rm", w.Image, "true").CombinedOutput(); err != nil {
			t.Fatalf("docker run: %v\n%s", err, out)
		}
		times = append(times, time.Since(start))
	}
	return median(times), (busy(t) - before) / time.Duration(n)
}

// trivial measures jobs one after the other.
func (w *world) trivial(t *testing.T, n int) (middle, processor, firstByte time.Duration) {
	t.Helper()
	var times, first []time.Duration
	before := busy(t)
	for range n {
		id := w.Server.Enqueue(jobtest.Script([]string{"true"}))
		said := w.firstByte(t, id)
		j := w.wait(t, id)
		times = append(times, j.Finished.Sub(j.Queued))
		first = append(first, said.Sub(j.Pending))
	}
	return median(times), (busy(t) - before) / time.Duration(n), median(first)
}

// firstByte waits until the log of a job has begun.
func (w *world) firstByte(t *testing.T, id int64) time.Time {
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

// throughput is how many jobs end in a minute when there are always some that wait.
func (w *world) throughput(t *testing.T, n int) float64 {
	t.Helper()
	start := time.Now()
	var ids []int64
	for range n {
		ids = append(ids, w.Server.Enqueue(jobtest.Script([]string{"true"})))
	}
	for _, id := range ids {
		w.wait(t, id)
	}
	return float64(n) / time.Since(start).Minutes()
}

// flow is how many megabytes of a job's log reach the coordinator in a second.
func (w *world) flow(t *testing.T, size int) float64 {
	t.Helper()
	const line = "go: downloading github.com/some/module v1.2.3 [done] (took 12ms) ?x=1 and so on until it is 100 long"
	payload := jobtest.Script([]string{fmt.Sprintf("yes '%s' | head -c %d || true", line, size)})
	payload.Variables = append(payload.Variables, coordinator.Variable{Key: "SECRET", Value: "hunter2hunter2", Masked: true})
	id := w.Server.Enqueue(payload)
	start := w.firstByte(t, id)
	j := w.wait(t, id)
	trace, err := w.Server.Trace(id)
	if err != nil || len(trace) < size {
		t.Fatalf("the log has %d bytes, %v; want %d", len(trace), err, size)
	}
	return float64(size) / 1e6 / j.Finished.Sub(start).Seconds()
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

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
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
