package job_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/job"
)

// ticking says that it runs and then prints for a long time, so that an answer to its trace reaches it soon.
func ticking(url string) string {
	return "wget -q -O /dev/null " + url + " & while :; do echo tick; sleep 0.2; done"
}

// Vector 35: a cancel stops the script, after_script knows, and the job ends as failed.
func TestCancel(t *testing.T) {
	b := newBench(t)
	url := b.signal(t, func() {
		jobs := b.server.Jobs()
		if err := b.server.Cancel(jobs[len(jobs)-1].ID); err != nil {
			t.Error(err)
		}
	})
	e := b.run(t, t.Context(), script([]string{ticking(url)}, "echo status=$CI_JOB_STATUS"), nil)
	checkTrace(t, e, []string{"tick", "script canceled externally (UI, API)", "\nstatus=canceled\n", "ERROR: Job failed: canceled"}, nil)
	if e.State != coordinator.JobFailed || e.Reason != coordinator.JobCanceled || e.coordinator.State != "canceled" {
		t.Errorf("got %s %s, the coordinator %s", e.State, e.Reason, e.coordinator.State)
	}
}

// TestEnding wants the machine announced as free soon before the coordinator hears of the end: the next job may come at once.
func TestEnding(t *testing.T) {
	b := newBench(t)
	var states []string
	e := b.run(t, t.Context(), script([]string{"echo done"}), func(p *job.Params, _ *config.Runner) {
		p.OnEnding = func() {
			jobs := b.server.Jobs()
			states = append(states, string(jobs[len(jobs)-1].State))
		}
	})
	if e.State != coordinator.JobSuccess || len(states) != 1 || states[0] != "running" {
		t.Errorf("the job is %s; told with the coordinator's job %v, want once while it runs", e.State, states)
	}
}

// Vector 37: a job that is over for the coordinator stops at once.
func TestAbort(t *testing.T) {
	b := newBench(t)
	url := b.signal(t, func() {
		jobs := b.server.Jobs()
		if err := b.server.ForceCancel(jobs[len(jobs)-1].ID); err != nil {
			t.Error(err)
		}
	})
	e := b.run(t, t.Context(), script([]string{ticking(url)}, "echo after ran"), nil)
	checkTrace(t, e, []string{"Getting source"}, []string{"after ran"})
	if !e.Dropped || e.coordinator.State != "canceled" {
		t.Errorf("dropped: %v, the coordinator has %s", e.Dropped, e.coordinator.State)
	}
}

// Vector 100: an agent that is told to stop says so.
func TestInterrupt(t *testing.T) {
	b := newBench(t)
	ctx, stop := context.WithCancelCause(t.Context())
	url := b.signal(t, func() { stop(errors.New("terminated")) })
	e := b.run(t, ctx, script([]string{ticking(url)}, "echo after ran"), nil)
	checkTrace(t, e, []string{"tick", "ERROR: Job failed: aborted: terminated"}, []string{"after ran"})
	checkEnd(t, e, coordinator.RunnerInterrupted, 0)
}

// Vectors 44 and 45: the second job of a project finds the first one's checkout, cleaned or not.
func TestFetchAgain(t *testing.T) {
	b := newBench(t)
	first := b.run(t, t.Context(), script([]string{"touch untracked; ls"}), nil)
	checkTrace(t, first, []string{"Created fresh repository.", "untracked"}, nil)
	second := b.run(t, t.Context(), script([]string{"ls -A"}), nil)
	checkTrace(t, second, []string{"Removing untracked", "$ ls -A\n.git\nREADME.md\nsrc\n", "Job succeeded"}, []string{"Created fresh repository."})
	_ = b.run(t, t.Context(), script([]string{"touch untracked"}), nil)
	kept := b.run(t, t.Context(), with(script([]string{"ls"}), "GIT_CLEAN_FLAGS", "none"), nil)
	checkTrace(t, kept, []string{"\nuntracked\n"}, nil)
}

// Vectors 71 and 77: services are known by their aliases, and by each other on a network of the job's own.
func TestServiceNames(t *testing.T) {
	b := newBench(t)
	for _, tt := range []struct{ name, flag, ping string }{
		{"links", "false", "ping -c1 -W2 db; ping -c1 -W2 db2; ping -c1 -W2 millwright-test-busybox"},
		{"network per build", "true", "ping -c1 -W2 db2; ping -c1 -W2 build; echo $CI_BUILD_NETWORK_NAME"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			payload := with(script([]string{tt.ping}), "FF_NETWORK_PER_BUILD", tt.flag)
			payload.Services = []coordinator.Image{{Name: b.image, Alias: "db,db2", Command: []string{"sleep", "1000"}}}
			e := b.run(t, t.Context(), payload, nil)
			checkTrace(t, e, []string{"PING db", "1 packets received", "Job succeeded"}, nil)
		})
	}
}

// Vector 74: a service that opens its port is waited for in silence, one that does not costs a warning.
func TestServiceHealth(t *testing.T) {
	b := newBench(t)
	wait := func(_ *job.Params, r *config.Runner) { r.Docker.WaitForServicesTimeout = 3 }
	port := coordinator.Variables{{Key: "HEALTHCHECK_TCP_PORT", Value: "8080"}}
	for _, tt := range []struct {
		name, command string
		warned        bool
	}{
		{"up", "while :; do nc -l -p 8080 </dev/null; done", false},
		{"down", "echo no port here; sleep 1000", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			payload := script([]string{"echo ran"})
			payload.Services = []coordinator.Image{{Name: b.image, Alias: "db", Variables: port, Command: []string{"sh", "-c", tt.command}}}
			e := b.run(t, t.Context(), payload, wait)
			checkTrace(t, e, []string{"Waiting for services to be up and running (timeout 3 seconds)...", "\nran\n", "Job succeeded"}, nil)
			block := []string{"*** WARNING: Service " + b.image + " probably didn't start properly.", "Health check error:", "Health check container logs:", "Service container logs:", "no port here", "*********"}
			if tt.warned {
				checkTrace(t, e, block, nil)
			} else {
				checkTrace(t, e, nil, block)
			}
		})
	}
}

// The cache of one job is there for the next one, on the engine's volume.
func TestLocalCache(t *testing.T) {
	b := newBench(t)
	volumes := func(_ *job.Params, r *config.Runner) { r.Docker.Volumes = []string{"/cache"} }
	cached := func(line string) coordinator.Job {
		j := with(script([]string{line}), "GIT_STRATEGY", "clone")
		j.Cache = []coordinator.Cache{{Key: "k", Paths: []string{"deps"}, FallbackKeys: []string{"other"}}}
		return j
	}
	first := b.run(t, t.Context(), cached("mkdir deps; echo kept >deps/f"), volumes)
	checkTrace(t, first, []string{"Restoring cache", "Checking cache for k...", "Failed to extract cache", "Checking cache for other...", "Saving cache for successful job", "Creating cache k...", "Created cache"}, nil)
	second := b.run(t, t.Context(), cached("cat deps/f"), volumes)
	checkTrace(t, second, []string{"Successfully extracted cache", "\nkept\n", "Job succeeded"}, []string{"Checking cache for other"})
}

// Artifacts of one job reach the next.
func TestDependency(t *testing.T) {
	b := newBench(t)
	maker := b.run(t, t.Context(), archived(script([]string{"mkdir out; echo made >out/f"}), coordinator.Artifact{Paths: []string{"out"}}), nil)
	uploads(1)(t, maker)
	taker := script([]string{"cat out/f"})
	dependency := coordinator.Dependency{ID: maker.coordinator.ID, Name: "maker"}
	dependency.ArtifactsFile = &struct {
		Filename string `json:"filename"`
		Size     int64  `json:"size"`
	}{Filename: "artifacts.zip", Size: maker.coordinator.Artifacts[0].Size}
	taker.Dependencies = []coordinator.Dependency{dependency}
	e := b.run(t, t.Context(), with(taker, "GIT_STRATEGY", "clone"), nil)
	checkTrace(t, e, []string{"Downloading artifacts for maker", "\nmade\n", "Job succeeded"}, nil)
}

// engines gives engines in order and keeps what was said of them.
type engines struct {
	mu     sync.Mutex
	list   []job.Engine
	broken []error
}

func (s *engines) Engine(context.Context) (job.Engine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return job.Engine{}, errors.New("no machine left")
	}
	e := s.list[0]
	s.list = s.list[1:]
	return e, nil
}

func (s *engines) Broken(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, err)
}

// A machine whose engine does not answer is reported and replaced; the state of each stage is told.
func TestBrokenEngine(t *testing.T) {
	b := newBench(t)
	source := &engines{list: []job.Engine{{Endpoint: fleet.Endpoint{Host: "tcp://127.0.0.1:1"}, Machine: "auto-1"}, {Machine: "auto-2"}}}
	var mu sync.Mutex
	var states []job.State
	e := b.run(t, t.Context(), script([]string{"echo hi"}), func(p *job.Params, _ *config.Runner) {
		p.Engines = source
		p.OnState = func(s job.State) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, s)
		}
	})
	checkTrace(t, e, []string{"Using machine auto-1", "ERROR: Preparation failed: engine tcp://127.0.0.1:1", "Will be retried in 3s", "Using machine auto-2", "via auto-2...", "Job succeeded"}, nil)
	var kind *executor.Error
	if len(source.broken) != 1 || !errors.As(source.broken[0], &kind) || kind.Kind != executor.Engine {
		t.Errorf("broken engines: %v, want one", source.broken)
	}
	last := states[len(states)-1]
	if last.Stage != "cleanup_file_variables" || last.Container == "" || last.Machine != "auto-2" || last.StartedAt.IsZero() {
		t.Errorf("the last state is %+v", last)
	}
}

// waiting is an engine that comes when it is told to.
type waiting struct{ ready chan struct{} }

func (w waiting) Engine(ctx context.Context) (job.Engine, error) {
	select {
	case <-w.ready:
		return job.Engine{}, nil
	case <-ctx.Done():
		return job.Engine{}, ctx.Err()
	}
}
func (waiting) Broken(error) {}

// A job that is given up by its user while it waits for a machine is not run.
func TestGoneWhileWaiting(t *testing.T) {
	b := newBench(t)
	ctx, stop := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(100*time.Millisecond, func() { stop(errors.New("terminated")) })
	defer timer.Stop()
	e := b.run(t, ctx, script([]string{"echo hi"}), func(p *job.Params, _ *config.Runner) { p.Engines = waiting{make(chan struct{})} })
	checkTrace(t, e, []string{"aborted: terminated"}, []string{"Preparing the"})
	checkEnd(t, e, coordinator.RunnerInterrupted, 0)
}
