package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/agent/provision/instances"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The executors that this agent runs jobs with.
const (
	executorMachine = "docker+machine"
	executorDocker  = "docker"

	executorInstance   = "instance"
	executorAutoscaler = "docker-autoscaler"
)

// onMachines tells whether the jobs of an executor run on machines of the agent's.
func onMachines(executor string) bool { return slices.Contains(config.Fleets(), executor) }

// autoscaled tells whether [runners.autoscaler] describes those machines.
func autoscaled(executor string) bool { return slices.Contains(config.Autoscaled(), executor) }

// worker is what the supervisor runs for one [[runners]] entry.
type worker struct {
	s     *Supervisor
	key   string
	pool  *pool.Pool // nil unless the executor has machines
	holds *holds
	// instances makes the pool's machines ready, where the executor is one of the newer autoscaler; else nil.
	instances *instances.Provisioner
	groups    groups // that its machines come from, where a fleeting plug-in makes them
	seats     seats  // numbers the jobs on these machines
	// policies decide for the pool.
	policies *dropin.Runner

	life  sync.Mutex // held while the pool is started; guards ended
	ended bool

	mu   sync.Mutex // guards what follows
	now  settings
	jobs map[int]bool // job numbers in use
}

// errExecutor is an entry that this agent can't run; the others in the file run all the same.
var errExecutor = errors.New("is not supported; there are " + strings.Join(config.Provided(), ", ") + "; the other runners run")

// skipError is another reason why an entry can't be run, while the others run all the same.
type skipError struct{ text string }

func (e *skipError) Error() string { return e.text }

func (e *skipError) Is(target error) bool { return target == errExecutor }

// settings are what a worker works by, made of its configuration. They change as a whole.
type settings struct {
	runner  *config.Runner // not changed
	client  *coordinator.Client
	options coordinator.Options // that the client was made with, without the callbacks
	zones   module.Zones
	pool    pool.Settings // empty unless the executor has machines
}

// settings makes a runner's settings, and with that checks all that can be wrong with them. The client of those before is kept where
// nothing of it changed.
func (s *Supervisor) settings(c *config.Config, r *config.Runner, before settings) (settings, error) {
	if !slices.Contains(config.Provided(), r.Executor) {
		return settings{}, fmt.Errorf("runner %s: executor %q %w", r.Name, r.Executor, errExecutor)
	}
	if r.Shell != "" && !slices.Contains(config.Shells(r.Executor), r.Shell) {
		return settings{}, fmt.Errorf("runner %s: %w", r.Name, &skipError{fmt.Sprintf("shell %q is not supported with the executor %s, which has %s; the other runners run", r.Shell, r.Executor, strings.Join(config.Shells(r.Executor), ", "))})
	}
	if autoscaled(r.Executor) && r.Autoscaler != nil {
		if key, why := r.Autoscaler.Unprovided(r.Executor); key != "" {
			return settings{}, fmt.Errorf("runner %s: %w", r.Name, &skipError{fmt.Sprintf("autoscaler.%s: %s; the other runners run", key, why)})
		}
	}
	next := settings{runner: r, client: before.client, options: s.clientOptions(c, r)}
	var err error
	if next.client == nil || !reflect.DeepEqual(next.options, before.options) {
		if next.client, err = s.newClient(next.options, r); err != nil {
			return settings{}, fmt.Errorf("runner %s: %w", r.Name, err)
		}
	}
	if !onMachines(r.Executor) {
		return next, nil
	}
	if next.pool, err = s.poolSettings(c, *r); err != nil {
		return settings{}, err
	}
	if next.zones, err = module.NewZones(zoneNames(r)...); err != nil {
		return settings{}, fmt.Errorf("runner %s: %w", r.Name, err)
	}
	return next, nil
}

// newWorker makes a runner's worker without starting anything.
func (s *Supervisor) newWorker(c *config.Config, key string, r config.Runner) (*worker, error) {
	first, err := s.settings(c, &r, settings{})
	if err != nil {
		return nil, err
	}
	w := &worker{s: s, key: key, holds: newHolds(), now: first, jobs: map[int]bool{}}
	if onMachines(r.Executor) {
		if w.pool, err = s.newPool(w, first.pool); err != nil {
			w.discard()
			return nil, err
		}
	}
	return w, nil
}

// discard frees what a worker holds that was made and is never started.
func (w *worker) discard() {
	if w.policies != nil {
		w.policies.Close()
	}
	if w.instances != nil {
		w.instances.Close()
		w.groups.close()
	}
}

// clientOptions are those of the runner's client but for the callbacks, so that they can be compared.
func (s *Supervisor) clientOptions(c *config.Config, r *config.Runner) coordinator.Options {
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
	certs := ""
	if s.o.ConfigPath != "" {
		certs = filepath.Join(filepath.Dir(s.o.ConfigPath), "certs")
	}
	labels := map[string]string{}
	maps.Copy(labels, c.Labels)
	maps.Copy(labels, r.Labels)
	return coordinator.Options{
		URL: r.URL, Token: r.Token, SystemID: s.systemID, ConnectionMaxAge: maxAge,
		Info:      coordinator.Info{Executor: r.Executor, Shell: shell, GPUs: r.Docker.Gpus, Labels: labels},
		TLS:       coordinator.TLSFiles{CA: r.TLSCAFile, Cert: r.TLSCertFile, Key: r.TLSKeyFile, Dir: certs},
		FullChain: r.FeatureFlags["FF_RESOLVE_FULL_TLS_CHAIN"],
	}
}

func (s *Supervisor) newClient(o coordinator.Options, r *config.Runner) (*coordinator.Client, error) {
	labels := s.labels(r)
	o.Logger = s.log
	o.Observe = func(c coordinator.Call) { s.metrics.APICall(labels, metrics.APICall(c)) }
	return coordinator.New(o)
}

// start starts what the worker runs by itself, once what is in its way is gone; jobs are asked for by the feed. It does not block:
// a pool that starts later reports its failure to the log.
func (w *worker) start(after []<-chan struct{}) error {
	if w.pool == nil {
		return nil
	}
	if len(after) == 0 {
		return w.pool.Start()
	}
	w.s.retired.Go(func() {
		for _, gone := range after {
			<-gone
		}
		w.life.Lock()
		defer w.life.Unlock()
		if w.ended {
			return
		}
		if err := w.pool.Start(); err != nil {
			w.s.log.Error("Runner has no machines", "runner", w.current().Name, "error", err)
		}
	})
	return nil
}

// ebb makes the worker's pool grow no more; with remove its idle machines go.
func (w *worker) ebb(remove bool) {
	if w.pool != nil {
		w.pool.Ebb(remove)
	}
}

// stop ends the worker, when its jobs have ended. Unless drain is nil its machines go too.
func (w *worker) stop(ctx context.Context, drain *pool.Drain) error {
	return w.finish(func() error {
		if drain == nil {
			return w.pool.Stop(ctx, false)
		}
		return errors.Join(w.pool.StopRemoving(ctx, *drain), w.clearGroups(ctx))
	})
}

// retire ends the worker of a runner that is no more, when its jobs have ended. Its machines go, those that the operator has kept when
// that ends.
func (w *worker) retire(ctx context.Context) error {
	return w.finish(func() error { return errors.Join(w.pool.Retire(ctx), w.clearGroups(ctx)) })
}

// finish ends the worker; stop ends its pool.
func (w *worker) finish(stop func() error) error {
	defer w.api().Close()
	w.s.metrics.RunnerGone(w.labels())
	if w.pool == nil {
		return nil
	}
	w.life.Lock()
	w.ended = true
	w.life.Unlock()
	defer w.discard()
	return stop()
}

// take puts changed settings into force. What runs keeps what it began with.
func (w *worker) take(next settings) error {
	w.mu.Lock()
	before := w.now
	w.now = next // before the pool, which may ask for a group that is new
	w.mu.Unlock()
	if w.pool != nil {
		if err := errors.Join(w.changeGroup(next), w.pool.Reconfigure(next.pool)); err != nil {
			return err
		}
		if isGroup(before.pool.Driver) && before.pool.Driver != next.pool.Driver {
			w.s.retired.Go(w.endGroups) // unless it has instances that are to be drained
		}
	}
	if before.client != next.client {
		before.client.Close()
	}
	if old, now := w.s.labels(before.runner), w.labels(); old != now {
		w.s.metrics.RunnerGone(old)
	}
	return nil
}

// done closes the idle connections of a client that a job worked with and that has been replaced meanwhile.
func (w *worker) done(client *coordinator.Client) {
	if client != w.api() {
		client.Close()
	}
}

// api is the client of the coordinator. A job keeps the one that it came by.
func (w *worker) api() *coordinator.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.client
}

// leastEngineTime is what an engine gets to answer where wait_for_services_timeout is less: that was meant for services.
const leastEngineTime = 30 * time.Second

// engineTime is how long the engine of a new machine may take to answer: wait_for_services_timeout, as the documentation's
// troubleshooting promises. Without it, or with less than 0 (no wait for services), it is 0, the provisioner's own time.
func (w *worker) engineTime() time.Duration {
	limit := time.Duration(w.current().Docker.WaitForServicesTimeout) * time.Second
	if limit <= 0 {
		return 0
	}
	return max(limit, leastEngineTime)
}

// wishes are what the operator says of the runner's machines, as it is now.
func (w *worker) wishes() provision.Wishes {
	wishes := provision.Wishes{EngineTime: w.engineTime(), GPUTime: orNever(w.s.currentCare().GPUTimeout)}
	if op := w.s.currentOperator(); op != nil {
		own := op.Runners[w.current().Name]
		wishes.FirstBoot, wishes.Preload = own.FirstBoot, own.Preload
	}
	return wishes
}

// zonesAt are the zones of the runner's configuration as they are at now.
func (w *worker) zonesAt(now time.Time) []abi.Zone {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.zones.At(now)
}

// current returns the runner's settings, which are not changed: whoever holds them keeps them though a reload comes.
func (w *worker) current() *config.Runner {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.runner
}

// settings returns those in force.
func (w *worker) settings() settings {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// takeSlot returns the lowest job number that is free, for CI_CONCURRENT_ID.
func (w *worker) takeSlot() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := 0; ; n++ {
		if !w.jobs[n] {
			w.jobs[n] = true
			return n
		}
	}
}

func (w *worker) giveSlot(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.jobs, n)
}

func (w *worker) labels() metrics.Runner { return w.s.labels(w.current()) }

func (s *Supervisor) labels(r *config.Runner) metrics.Runner {
	return metrics.Runner{ShortToken: config.ShortToken(r.Token), Name: r.Name, SystemID: s.systemID}
}

// event passes on what the pool tells.
func (s *Supervisor) event(e fleet.Event) {
	s.metrics.Event(e)
	s.noteRails(e)
	if s.o.Events != nil {
		s.o.Events(e)
	}
}

// claimSlot takes the job number that a job of an agent before has.
func (w *worker) claimSlot(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs[n] = true
}
