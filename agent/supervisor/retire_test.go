package supervisor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// seed leaves an idle machine of a runner behind, as an agent that ended would have: in the journal and at the provider. There is no
// engine on it, which nobody asks for here.
func (w *world) seed(r config.Runner) (name string) {
	w.t.Helper()
	j, err := journal.Open(w.stateDir)
	if err != nil {
		w.t.Fatal(err)
	}
	defer j.Close()
	name = "left-" + dockertest.Random()
	api := dockertest.Engine(w.t)
	made, err := api.ContainerCreate(w.t.Context(), &container.Config{
		Image: dockertest.Busybox(w.t), Cmd: []string{"true"}, Labels: map[string]string{ownerLabel: j.Owner(), "io.millwright.machine": name},
	}, nil, nil, nil, name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = api.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true}) // mostly it is gone
	})
	at := time.Now().Add(-time.Minute)
	err = j.Save(fleet.Machine{
		Name: name, Runner: r.Key(), Driver: "docker", State: fleet.Idle, CreatedAt: at, ReadyAt: at, IdleSince: at, StateSince: at, UsedCount: 2,
		Options:  abi.Options{"docker-host": {need.Docker(w.t)}},
		Instance: abi.Instance{Name: name, ID: made.ID, Status: abi.StatusCreating},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return name
}

// careless is an operator who has no machine probed.
func careless(t *testing.T) func(*Options) {
	dir := t.TempDir()
	off := config.Duration(0)
	return func(o *Options) {
		o.Operator = func() (*config.Operator, error) {
			return &config.Operator{PoliciesDir: dir, DriversDir: dir, Machines: config.MachineCare{ProbeInterval: &off}}, nil
		}
	}
}

// slowRunner is an entry whose coordinator never answers. It takes the only slot, so that no other runner asks for a job and nobody meets
// the missing engines.
func (w *world) slowRunner() config.Runner {
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the end of the connection is not seen
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	w.t.Cleanup(func() {
		close(over)
		server.Close()
	})
	r := w.another("slow")
	r.URL = server.URL
	return r
}

// Whatever becomes of a [[runners]] entry, while the agent runs or while none does, its machines are finished off.
func TestMachinesOfChangedRunners(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world, r *config.Runner)
		reason string // "" leaves the machine idle, as the runner's own
	}{
		{"nothing", func(*world, *config.Runner) {}, ""},
		{"renamed", func(_ *world, r *config.Runner) { r.Name = "another" }, "shutdown drain"},
		{"token rotated", func(w *world, r *config.Runner) { r.Token = w.coordinator.AddRunner("rotated") }, "shutdown drain"},
		{"removed", func(_ *world, r *config.Runner) { r.Token = "" }, "shutdown drain"},
		{"another executor", func(_ *world, r *config.Runner) { r.Executor = executorDocker }, "shutdown drain"},
		{"executor unknown", func(_ *world, r *config.Runner) { r.Executor = "kubernetes" }, "shutdown drain"},
		{"another MachineName", func(_ *world, r *config.Runner) {
			m := *r.Machine
			m.MachineName, m.IdleTime = "other-%s", 0
			r.Machine = &m
		}, "too many idle machines"},
	} {
		for _, live := range []bool{true, false} {
			name := tt.name + " over a restart"
			if live {
				name = tt.name + " live"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				r := w.runner("fleet")
				r.Executor, r.Docker.Image = executorMachine, "busybox:1.35"
				r.Machine = &config.Machine{IdleTime: 3600, MachineDriver: "docker", MachineName: "test-%s"}
				left := w.seed(r)
				next := r
				tt.change(w, &next)
				first, slow := next, w.slowRunner()
				if live {
					first = r
				}
				w.config.Concurrent = 1
				w.config.Runners = []config.Runner{slow, first}
				w.start(builtins(t), careless(t))
				if live {
					w.untilIdle(1)
					w.reload(func(c *config.Config) { c.Runners = []config.Runner{slow, next} })
				}
				if tt.reason == "" {
					w.untilIdle(1)
				} else if got := w.log.wait("Machine removed"); got["name"] != left || got["reason"] != tt.reason {
					t.Errorf("%v, want %s removed for %q", got, left, tt.reason)
				}
				w.until("the machine is kept or gone, as it must be", func() bool {
					return slices.Contains(w.machineNames(), left) == (tt.reason == "")
				})
				w.stop(errors.New("enough"))
				if err := w.finish(); err != nil {
					t.Error(err)
				}
				_, err := dockertest.Engine(t).ContainerInspect(t.Context(), left)
				if gone := err != nil; gone != (tt.reason != "") {
					t.Errorf("gone from the provider: %t", gone)
				}
			})
		}
	}
}

// An entry that can't be used at a start keeps no other runner from its work, and its machines from nobody: they wait until it is mended, or
// go when it is taken out.
func TestBadEntryAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud, r, open := w.cloudFleet()
	w.config.Runners = []config.Runner{r}
	stay := func(o *Options) {
		o.RemoveMachines, o.OrphanGrace = false, new(time.Duration)
	}
	w.start(builtins(t), open, stay)
	name := w.untilIdle(1)[fleet.Idle][0].Name
	w.stop(errors.New("terminated"))
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}

	bad := r
	spoilt := *r.Machine
	spoilt.MachineOptions = append(slices.Clone(spoilt.MachineOptions), "fakecloud-nonsense=1")
	bad.Machine = &spoilt
	w.change(func(c *config.Config) { c.Runners = []config.Runner{bad} })
	o := w.options()
	builtins(t)(&o)
	open(&o)
	stay(&o)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "runners[0]: runner fleet: ") || !strings.Contains(err.Error(), "fakecloud-nonsense") {
		t.Errorf("with no other runner: %v", err)
	}

	good := w.another("good")
	w.change(func(c *config.Config) { c.Runners, c.ListenAddress = []config.Runner{bad, good}, "127.0.0.1:0" })
	w.start(builtins(t), open, stay)
	leftOut := func() (why string) {
		return w.log.wait("Runner is left out, and its machines are left as they are, until its entry is mended; the others run")["error"]
	}
	if got := leftOut(); !strings.Contains(got, "fakecloud-nonsense") {
		t.Errorf("the log has %s", got)
	}
	w.await(w.coordinator.Enqueue(hopeless()))
	names := func() (names []string) {
		for _, i := range cloud.Summary().Live {
			names = append(names, i.Name)
		}
		return names
	}
	waits := func(what string) {
		t.Helper()
		if all := w.s.Machines(); len(all) != 1 || all[0].Name != name || all[0].State != fleet.Idle {
			t.Errorf("%s: the machines are %+v", what, all)
		}
		if live := names(); !slices.Equal(live, []string{name}) {
			t.Errorf("%s: the cloud has %v", what, live)
		}
	}
	waits("left out")
	if err := w.s.RemoveMachine(t.Context(), name); err == nil || !strings.Contains(err.Error(), "mend it, or take it out") {
		t.Errorf("removal by hand: %v", err)
	}
	if page := w.page("/metrics"); !strings.Contains(page, "\ngitlab_runner_configuration_loading_error_total 1\n") {
		t.Error("nobody counts it")
	}
	reload := func(change func(*config.Config)) { // the log is read in its order
		t.Helper()
		w.reload(change)
		w.log.wait("Configuration loaded")
	}
	reload(func(c *config.Config) { c.Concurrent = 7 })
	leftOut()
	waits("after a reload that leaves it so")

	reload(func(c *config.Config) { c.Runners = []config.Runner{r, good} })
	if idle := w.untilIdle(1)[fleet.Idle]; idle[0].Name != name {
		t.Errorf("when it is mended: %+v", idle)
	}
	w.stop(errors.New("terminated"))
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}

	w.change(func(c *config.Config) { c.Runners = []config.Runner{bad, good} })
	w.start(builtins(t), open, stay)
	leftOut()
	waits("left out again")
	reload(func(c *config.Config) { c.Runners = []config.Runner{good} })
	w.until("its machine is gone, as it is taken out", func() bool { return len(names()) == 0 && len(w.s.Machines()) == 0 })
}
