package supervisor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
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
