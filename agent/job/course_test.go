package job_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// TestEndBeforeClearing has an engine that removes no container before the coordinator knows the job's end.
func TestEndBeforeClearing(t *testing.T) {
	b := jobtest.New(t)
	var removals atomic.Int32
	host := dockertest.Gate(t, func(r *http.Request) {
		if r.Method != http.MethodDelete || !strings.Contains(r.URL.Path, "/containers/") {
			return
		}
		removals.Add(1)
		for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if jobs := b.Server.Jobs(); jobs[len(jobs)-1].State == "success" {
				return
			}
			if time.Now().After(limit) {
				t.Error("the end is not reported while the engine is cleared")
				return
			}
		}
	})
	e := b.Run(t, t.Context(), jobtest.Script([]string{"echo done"}), func(_ *job.Params, r *config.Runner) { r.Docker.Host = host })
	if e.State != coordinator.JobSuccess || e.Broken || removals.Load() == 0 {
		t.Errorf("the job is %s (%v) after %d removals", e.State, e.Err, removals.Load())
	}
}

// TestEnding wants the machine announced as free soon before the coordinator hears of the end: the next job may come at once.
func TestEnding(t *testing.T) {
	b := jobtest.New(t)
	var states []string
	e := b.Run(t, t.Context(), jobtest.Script([]string{"echo done"}), func(p *job.Params, _ *config.Runner) {
		p.OnEnding = func() {
			jobs := b.Server.Jobs()
			states = append(states, string(jobs[len(jobs)-1].State))
		}
	})
	if e.State != coordinator.JobSuccess || len(states) != 1 || states[0] != "running" {
		t.Errorf("the job is %s; told with the coordinator's job %v, want once while it runs", e.State, states)
	}
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
	b := jobtest.New(t)
	source := &engines{list: []job.Engine{{Endpoint: fleet.Endpoint{Host: "tcp://127.0.0.1:1"}, Machine: "auto-1"}, {Machine: "auto-2"}}}
	var mu sync.Mutex
	var states []job.State
	e := b.Run(t, t.Context(), jobtest.Script([]string{"echo hi"}), func(p *job.Params, _ *config.Runner) {
		p.Engines = source
		p.OnState = func(s job.State) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, s)
		}
	})
	jobtest.CheckTrace(t, e, []string{"Using machine auto-1", "ERROR: Preparation failed: engine tcp://127.0.0.1:1", "Will be retried in 3s", "Using machine auto-2", "via auto-2...", "Job succeeded"}, nil)
	var kind *executor.Error
	if len(source.broken) != 1 || !errors.As(source.broken[0], &kind) || kind.Kind != executor.Engine {
		t.Errorf("broken engines: %v, want one", source.broken)
	}
	last := states[len(states)-1]
	if last.Stage != "step_script" || last.Container == "" || last.Machine != "auto-2" || last.StartedAt.IsZero() {
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
	b := jobtest.New(t)
	ctx, stop := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(100*time.Millisecond, func() { stop(errors.New("terminated")) })
	defer timer.Stop()
	e := b.Run(t, ctx, jobtest.Script([]string{"echo hi"}), func(p *job.Params, _ *config.Runner) { p.Engines = waiting{make(chan struct{})} })
	jobtest.CheckTrace(t, e, []string{"aborted: terminated"}, []string{"Preparing the"})
	jobtest.CheckEnd(t, e, coordinator.RunnerInterrupted, 0)
}
