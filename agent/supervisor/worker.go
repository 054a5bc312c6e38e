package supervisor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The executors that this agent runs jobs with.
const (
	executorMachine = "docker+machine"
	executorDocker  = "docker"
)

// worker is what the supervisor runs for one [[runners]] entry.
type worker struct {
	s    *Supervisor
	key  string
	pool *pool.Pool     // nil unless the executor is docker+machine
	jobs sync.WaitGroup // running ones

	mu     sync.Mutex // guards what follows
	runner config.Runner
	client *coordinator.Client
	zones  module.Zones
	slots  map[int]bool // job numbers in use
}

// errExecutor is an entry that this agent can't run; the others in the file run all the same.
var errExecutor = errors.New("is not supported; there are docker+machine and docker")

// newWorker makes a runner's worker without starting anything.
func (s *Supervisor) newWorker(c *config.Config, r config.Runner) (*worker, error) {
	w := &worker{s: s, key: r.Key(), slots: map[int]bool{}}
	if err := w.take(c, r); err != nil {
		return nil, err
	}
	switch r.Executor {
	case executorDocker:
		return w, nil
	case executorMachine:
		var err error
		w.pool, err = s.newPool(c, r, w)
		return w, err
	}
	return nil, fmt.Errorf("runner %s: executor %q %w", r.Name, r.Executor, errExecutor)
}

func (s *Supervisor) newClient(c *config.Config, r config.Runner) (*coordinator.Client, error) {
	var maxAge time.Duration
	if c.ConnectionMaxAge != nil {
		if maxAge = time.Duration(*c.ConnectionMaxAge); maxAge == 0 {
			maxAge = -1 // config.toml's 0 is without end, the client's is the default
		}
	}
	shell := r.Shell
	if shell == "" {
		shell = "bash"
	}
	labels := map[string]string{}
	for _, from := range []map[string]string{c.Labels, r.Labels} {
		for k, v := range from {
			labels[k] = v
		}
	}
	return coordinator.New(coordinator.Options{
		URL: r.URL, Token: r.Token, SystemID: s.systemID, ConnectionMaxAge: maxAge, Logger: s.log,
		Info: coordinator.Info{Executor: r.Executor, Shell: shell, GPUs: r.Docker.Gpus, Labels: labels},
		TLS: coordinator.TLSFiles{CA: r.TLSCAFile, Cert: r.TLSCertFile, Key: r.TLSKeyFile,
			Dir: filepath.Join(filepath.Dir(s.o.ConfigPath), "certs")},
	})
}

// start starts what the worker runs by itself; jobs are asked for by the feed.
func (w *worker) start() error {
	if w.pool == nil {
		return nil
	}
	return w.pool.Start()
}

// stop ends the worker, when its jobs have ended. With remove its machines go too.
func (w *worker) stop(ctx context.Context, remove bool) error {
	defer w.api().Close()
	if w.pool == nil {
		return nil
	}
	defer w.s.metrics.RunnerGone(w.current().Name)
	return w.pool.Stop(ctx, remove)
}

// take puts settings into the worker that concern jobs and snapshots to come.
func (w *worker) take(c *config.Config, r config.Runner) error {
	client, err := w.s.newClient(c, r)
	if err != nil {
		return fmt.Errorf("runner %s: %w", r.Name, err)
	}
	var zones module.Zones
	if r.Machine != nil {
		if zones, err = module.NewZones(zoneNames(r.Machine)...); err != nil {
			return fmt.Errorf("runner %s: %w", r.Name, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runner, w.client, w.zones = r, client, zones
	return nil
}

// api is the client of the coordinator. A job keeps the one that it came by.
func (w *worker) api() *coordinator.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.client
}

// zonesAt are the zones of the runner's configuration as they are at now.
func (w *worker) zonesAt(now time.Time) []abi.Zone {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.zones.At(now)
}

// current returns the runner's settings; whoever holds them keeps them though a reload comes.
func (w *worker) current() config.Runner {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runner
}

// reconfigure puts changed settings into force. An error leaves the old ones.
func (w *worker) reconfigure(c *config.Config, r config.Runner) error {
	if w.pool != nil {
		settings, err := w.s.poolSettings(c, r)
		if err != nil {
			return err
		}
		if err := w.pool.Reconfigure(settings); err != nil {
			return err
		}
	}
	return w.take(c, r)
}

// takeSlot returns the lowest job number that is free, for CI_CONCURRENT_ID.
func (w *worker) takeSlot() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := 0; ; n++ {
		if !w.slots[n] {
			w.slots[n] = true
			return n
		}
	}
}

func (w *worker) giveSlot(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.slots, n)
}

func (w *worker) labels() metrics.Runner {
	r := w.current()
	return metrics.Runner{ShortToken: config.ShortToken(r.Token), Name: r.Name, SystemID: w.s.systemID}
}

// event passes on what the pool tells.
func (s *Supervisor) event(e fleet.Event) {
	s.metrics.Event(e)
	if s.o.Events != nil {
		s.o.Events(e)
	}
}
