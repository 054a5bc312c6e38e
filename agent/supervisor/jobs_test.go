package supervisor

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
)

// gate holds jobs of a world up: their script calls it and waits for the answer.
type gate struct {
	w       *world
	url     string
	arrived chan string
	open    map[string]chan struct{}
}

// newGate listens at address, where jobs reach it. Only jobs of these names may come.
func newGate(w *world, address string, names ...string) *gate {
	t := w.t
	t.Helper()
	g := &gate{w: w, arrived: make(chan string, len(names)), open: map[string]chan struct{}{}}
	for _, name := range names {
		g.open[name] = make(chan struct{})
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		g.arrived <- name
		select {
		case <-g.open[name]:
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
	g.url = server.URL
	return g
}

// job is one that waits at the gate.
func (g *gate) job(name, image string) coordinator.Job {
	return coordinator.Job{
		Info:      coordinator.JobInfo{Name: name, Stage: "test", ProjectID: 3, PipelineID: 5},
		Image:     &coordinator.Image{Name: image},
		Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none", Public: true}},
		Steps:     []coordinator.Step{{Name: "script", Script: []string{"wget -q -O /dev/null " + g.url + "/" + name, "echo " + name + " has passed the gate"}}},
	}
}

// wait waits until that many jobs are at the gate and returns their names, sorted.
func (g *gate) wait(n int) string {
	g.w.t.Helper()
	var names []string
	for range n {
		select {
		case name := <-g.arrived:
			names = append(names, name)
		case <-time.After(patience):
			for _, j := range g.w.coordinator.Jobs() {
				g.w.t.Logf("%s is %s\n%s", j.Name, j.State, g.w.trace(j.ID))
			}
			g.w.t.Fatalf("%d of %d jobs came to the gate: %v", len(names), n, names)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// local is a runner with jobs on the local engine.
func (w *world) local(name, image string) config.Runner {
	w.t.Helper()
	helper(w.t)
	r := w.runner(name)
	r.Docker = config.Docker{Image: image, PullPolicy: []string{"never"}, WaitForServicesTimeout: -1}
	label := "com.gitlab.gitlab-runner.runner.id=" + config.ShortToken(r.Token)
	dockertest.ForgetImage(w.t, "millwright/helper:"+runtime.GOARCH)
	dockertest.RemoveVolumes(w.t, label)
	w.t.Cleanup(func() {
		for _, left := range dockertest.Left(w.t, label) {
			if !strings.Contains(left, "-cache-") {
				w.t.Errorf("left on the engine: %s", left)
			}
		}
	})
	return r
}

// A drain lets the running job end and takes no other.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := dockertest.Busybox(t)
	w.config.Runners = []config.Runner{w.local("drains", image)}
	g := newGate(w, dockertest.Gateway(t, "bridge"), "first", "second")
	w.start()
	first := w.coordinator.Enqueue(g.job("first", image))
	g.wait(1)
	w.s.Drain()
	w.log.wait("Draining: running jobs go on, no new ones are taken")
	second := w.coordinator.Enqueue(g.job("second", image))
	if err := w.s.Reload(); err != nil { // a reload while it drains brings no new jobs either
		t.Error(err)
	}
	close(g.open["first"])
	if err := w.finish(); err != nil {
		t.Error(err)
	}
	if r := w.await(first); r.State != "success" {
		t.Errorf("the running job: %s %s\n%s", r.State, r.FailureReason, w.trace(first))
	}
	if r, _ := w.coordinator.Job(second); r.State != "queued" {
		t.Errorf("the other job: %s", r.State)
	}
}

// A stop ends the running job at once and says why, also when it comes during a drain.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		stop func(*world)
	}{
		{"at once", func(w *world) { w.stop(errors.New("terminated by the operator")) }},
		{"during a drain", func(w *world) {
			w.s.Drain()
			w.log.wait("Draining: running jobs go on, no new ones are taken")
			w.stop(errors.New("terminated by the operator"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			image := dockertest.Busybox(t)
			w.config.Runners = []config.Runner{w.local("stops", image)}
			g := newGate(w, dockertest.Gateway(t, "bridge"), "held")
			w.start()
			id := w.coordinator.Enqueue(g.job("held", image))
			g.wait(1)
			tt.stop(w)
			if err := w.finish(); err != nil {
				t.Error(err)
			}
			r := w.await(id)
			if r.State != "failed" || r.FailureReason != coordinator.RunnerInterrupted {
				t.Errorf("the job: %s %s", r.State, r.FailureReason)
			}
			if trace := w.trace(id); !strings.Contains(trace, "terminated by the operator") {
				t.Errorf("the trace does not say why:\n%s", trace)
			}
		})
	}
}

// Lower numbers are reached as jobs end; higher ones at once.
func TestLimitsChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := dockertest.Busybox(t)
	w.config.Concurrent = 2
	w.config.ListenAddress = "127.0.0.1:0"
	w.config.Runners = []config.Runner{w.local("counts", image)}
	names := []string{"a", "b", "c", "d", "e"}
	g := newGate(w, dockertest.Gateway(t, "bridge"), names...)
	w.start()
	ids := map[string]int64{}
	for _, name := range names {
		ids[name] = w.coordinator.Enqueue(g.job(name, image))
	}
	running := func() (n int) {
		for _, j := range w.coordinator.Jobs() {
			if j.State == "running" || j.State == "pending" {
				n++
			}
		}
		return n
	}
	if at := g.wait(2); at != "a b" || running() != 2 {
		t.Errorf("with concurrent = 2: %s", at)
	}
	w.reload(func(c *config.Config) { c.Concurrent = 1 })
	close(g.open["a"])
	w.await(ids["a"])
	stage := regexp.MustCompile(`gitlab_runner_jobs{.*,stage="step_script",state="running",system_id=".*"} 1\n`)
	w.until("the metrics show the one job that runs", func() bool { return stage.MatchString(w.page("/metrics")) })
	if got := running(); got != 1 {
		t.Errorf("with concurrent lowered to 1, %d jobs run after one of two ended", got)
	}
	w.reload(func(c *config.Config) { c.Concurrent = 10; c.Runners[0].Limit = 2 })
	if at := g.wait(1); at != "c" {
		t.Errorf("with limit = 2: %s", at)
	}
	w.reload(func(c *config.Config) { c.Runners[0].Limit = 0; c.Runners[0].RequestConcurrency = 2 })
	if at := g.wait(2); at != "d e" {
		t.Errorf("without limit: %s", at)
	}
	for _, name := range names[1:] {
		close(g.open[name])
		if r := w.await(ids[name]); r.State != "success" {
			t.Errorf("%s: %s\n%s", name, r.State, w.trace(r.ID))
		}
	}
}

// A runner that is taken out while its job runs lets it end, and gets no other; the agent waits for it.
func TestRunnerRemovedWhileItsJobRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := dockertest.Busybox(t)
	w.config.Runners = []config.Runner{w.local("leaves", image)}
	g := newGate(w, dockertest.Gateway(t, "bridge"), "held")
	w.start()
	id := w.coordinator.Enqueue(g.job("held", image))
	g.wait(1)
	w.reload(func(c *config.Config) { c.Runners = nil })
	w.log.wait("Runner removed; its jobs go on")
	later := w.coordinator.Enqueue(hopeless())
	w.s.Drain()
	close(g.open["held"])
	if err := w.finish(); err != nil {
		t.Error(err)
	}
	if r := w.await(id); r.State != "success" {
		t.Errorf("%s\n%s", r.State, w.trace(id))
	}
	if r, _ := w.coordinator.Job(later); r.State != "queued" {
		t.Error(fmt.Sprint("it took another job: ", r.State))
	}
}
