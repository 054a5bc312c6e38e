package faults

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/job/jobtest"
)

// An engine that is restarted under a job kills the job's script, which is not the script's doing; the rest of the job runs on it.
func TestEngineRestarts(t *testing.T) {
	t.Parallel()
	b := jobtest.New(t)
	engine := dockertest.NewOwn(t, 0)
	engine.Load(b.Image)
	for _, signal := range []string{"TERM", "KILL"} {
		t.Run(signal, func(t *testing.T) {
			restarted := make(chan struct{})
			url := b.Signal(t, func() {
				defer close(restarted)
				engine.Stop(signal)
				engine.Start()
			})
			e := b.Run(t, t.Context(), script([]string{"echo begun", "wget -q -O /dev/null " + url + " || true", "sleep 900"}, "echo after $CI_JOB_STATUS"), on(engine, b.Image))
			<-restarted
			failed(t, e, coordinator.RunnerSystemFailure)
			jobtest.CheckTrace(t, e, []string{"\nbegun\n", "\nafter failed\n", "ERROR: Job failed (system failure): the engine, or its host, was restarted and killed the stage", "try the job again"}, nil)
			if e.Broken {
				t.Error("the engine works again, but counts as broken")
			}
			soon(t, e, 90*time.Second)
		})
	}
	e := b.Run(t, t.Context(), script([]string{"echo next"}), on(engine, b.Image))
	jobtest.CheckEnd(t, e, "", 0)
	list, err := engine.API.ContainerList(t.Context(), container.ListOptions{All: true})
	if err != nil || len(list) > 0 {
		t.Errorf("left on the engine: %v %v", list, err)
	}
}

// A machine that vanishes, with or without a last word on its connections, ends the job within two minutes, and is not asked again at each
// of the remaining stages.
func TestMachineVanishes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		vanish func(*dockertest.Own)
	}{
		{"removed", (*dockertest.Own).Remove},
		{"off the network", (*dockertest.Own).Silence},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := jobtest.New(t)
			engine := dockertest.NewOwn(t, 0)
			engine.Load(b.Image)
			gone := make(chan struct{})
			url := b.Signal(t, func() {
				defer close(gone)
				tt.vanish(engine)
			})
			payload := script([]string{"echo begun", "wget -q -O /dev/null " + url + " || true", "sleep 900"}, "echo after ran")
			e := b.Run(t, t.Context(), payload, on(engine, b.Image))
			<-gone
			failed(t, e, coordinator.RunnerSystemFailure)
			jobtest.CheckTrace(t, e, []string{"\nbegun\n", "ERROR: Job failed (system failure): ", "its host may be gone or overloaded: try the job again"}, []string{"after_script", "Uploading"})
			if !e.Broken {
				t.Error("the engine does not count as broken")
			}
			soon(t, e, 2*time.Minute)
		})
	}
}

// rented is a machine of a provider that says that it has it no more, a while after it was asked.
type rented struct {
	host     string
	vanished chan struct{}
	asked    sync.Once
	gone     chan struct{}
}

// twoLists is how long a pool takes to have two complete lists.
const twoLists = 3 * time.Second

func (m *rented) Engine(context.Context) (job.Engine, error) {
	return job.Engine{Machine: "auto-1", Endpoint: fleet.Endpoint{Host: m.host}}, nil
}

func (m *rented) Broken(error) {}

func (m *rented) Suspect() {
	select {
	case <-m.vanished:
		m.asked.Do(func() { time.AfterFunc(twoLists, func() { close(m.gone) }) })
	default: // it is there
	}
}

func (m *rented) Gone(ctx context.Context) error {
	select {
	case <-m.gone:
		return errors.New("the instance is gone")
	case <-ctx.Done():
		return nil
	}
}

func (m *rented) Interrupted(ctx context.Context) error { return m.Gone(ctx) }

// A machine that its provider has no more need not be waited for as one that may come back.
func TestMachineGone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		vanish func(*dockertest.Own)
	}{
		{"removed", (*dockertest.Own).Remove},
		{"off the network", (*dockertest.Own).Silence},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := jobtest.New(t)
			engine := dockertest.NewOwn(t, 0)
			engine.Load(b.Image)
			machine := &rented{host: engine.Host, vanished: make(chan struct{}), gone: make(chan struct{})}
			var at time.Time
			url := b.Signal(t, func() {
				at = time.Now()
				close(machine.vanished)
				tt.vanish(engine)
			})
			payload := jobtest.Archived(script([]string{"echo begun; echo x >f", "wget -q -O /dev/null " + url + " || true", "sleep 900"}, "echo after ran"), coordinator.Artifact{Paths: []string{"f"}, When: "always"})
			e := b.Run(t, t.Context(), payload, func(p *job.Params, r *config.Runner) {
				p.Engines, r.Docker.HelperImage = machine, b.Image
			})
			<-machine.vanished
			failed(t, e, coordinator.RunnerSystemFailure)
			jobtest.CheckTrace(t, e, []string{"\nbegun\n", "ERROR: Job failed (system failure): the provider took the machine auto-1 back (the instance is gone): its engine does not answer; try the job again"},
				[]string{"after_script", "Uploading"})
			if !e.Broken {
				t.Error("the engine does not count as broken")
			}
			if took := time.Since(at); took > busy*15*time.Second {
				t.Errorf("it ended %s after the machine had vanished, want 15 s where nothing else runs\n%s", took.Round(time.Second), e.Raw)
			}
		})
	}
}

// A full disk is told by its name, and is no fault of the job's configuration or image.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	b := jobtest.New(t)
	engine := dockertest.NewOwn(t, 64<<20)
	engine.Load(b.Image)

	t.Run("of the script", func(t *testing.T) {
		e := b.Run(t, t.Context(), script([]string{"dd if=/dev/zero of=/scratch/big bs=1M count=8"}), func(p *job.Params, r *config.Runner) {
			on(engine, b.Image)(p, r)
			r.Docker.Tmpfs = map[string]string{"/scratch": "size=1m"}
		})
		failed(t, e, coordinator.ScriptFailure)
		jobtest.CheckTrace(t, e, []string{"No space left on device", "ERROR: Job failed: exit code 1"}, nil)
	})
	t.Run("of the machine, by the script", func(t *testing.T) {
		e := b.Run(t, t.Context(), script([]string{"dd if=/dev/zero of=/big bs=1M"}), on(engine, b.Image))
		failed(t, e, coordinator.ScriptFailure)
		jobtest.CheckTrace(t, e, []string{"No space left on device"}, nil)
	})
	t.Run("of the machine", func(t *testing.T) {
		engine.Do("dd if=/dev/zero of=/var/lib/docker/fill bs=64k; true")
		defer engine.Do("rm /var/lib/docker/fill")
		e := b.Run(t, t.Context(), script([]string{"echo ran"}), on(engine, b.Image))
		failed(t, e, coordinator.RunnerSystemFailure)
		jobtest.CheckTrace(t, e, []string{"ERROR: Preparation failed: ", "the engine's disk is full", "ERROR: Job failed (system failure): ", "the engine's disk is full", "free space on it"}, []string{"\nran\n"})
		if !e.Broken {
			t.Error("the engine does not count as broken")
		}
		soon(t, e, time.Minute)
	})
	t.Run("not any more", func(t *testing.T) {
		e := b.Run(t, t.Context(), script([]string{"echo ran"}), on(engine, b.Image))
		if e.Err != nil || !strings.Contains(e.Trace, "\nran\n") {
			t.Errorf("%v\n%s", e.Err, e.Trace)
		}
	})
}
