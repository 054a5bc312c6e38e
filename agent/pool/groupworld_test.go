package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/group/grouptest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// readyTime is how long an instance of a group needs from running to ready.
const readyTime = 10 * time.Second

// scaler are a runner's settings of [runners.autoscaler], as tests vary them.
type scaler struct {
	capacity, uses, max int
	idle                int // free slots
	idleTime            time.Duration
	preemptive          bool
	factor              float64
}

// groupWorld is a world whose machines are instances of a group.
type groupWorld struct {
	*world
	group  *grouptest.Group
	driver *group.Driver
	hosts  *hosts

	mu   sync.Mutex // guards rule
	rule scaler
}

// inGroupWorld runs test in virtual time, on a pool that has started. Every instance is gone when test ends.
func inGroupWorld(t *testing.T, s scaler, c grouptest.Config, change func(*groupWorld), test func(t *testing.T, w *groupWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newGroupWorld(t, s, c)
		if change != nil {
			change(w)
		}
		w.start()
		test(t, w)
		w.group.Heal()
		w.hosts.heal()
		w.stop(true)
		if left := w.group.Instances(); len(left) > 0 {
			t.Errorf("instances are left: %+v", left)
		}
	})
}

func newGroupWorld(t *testing.T, s scaler, c grouptest.Config) *groupWorld {
	if c.BootTime == 0 {
		c.BootTime, c.DeleteTime = boot, 30*time.Second
	}
	w := &groupWorld{world: newWorld(t, abi.RunnerSettings{}), group: grouptest.New(c), rule: s}
	w.hosts = &hosts{group: w.group}
	w.opts.Provisioner, w.opts.Decider = w.hosts, w
	w.opts.Settings.Options = abi.Options{}
	w.opts.Settings.Runner = w.settings(s)
	return w
}

func (w *groupWorld) settings(s scaler) abi.RunnerSettings {
	return abi.RunnerSettings{Name: "test", ShortToken: "abcdefghi", Instances: &abi.InstanceSettings{
		CapacityPerInstance: s.capacity, MaxUseCount: s.uses, MaxInstances: s.max,
	}}
}

// change replaces the settings, as a reload does.
func (w *groupWorld) change(s scaler) {
	w.t.Helper()
	w.mu.Lock()
	w.rule = s
	w.mu.Unlock()
	settings := w.opts.Settings
	settings.Runner = w.settings(s)
	if err := w.pool.Reconfigure(settings); err != nil {
		w.t.Error(err)
	}
}

// Decide implements pool.Decider by the rule of §15.3: free slots as a number, or as a factor of those in use.
func (w *groupWorld) Decide(_ context.Context, s abi.Snapshot) fleet.Decision {
	w.mu.Lock()
	rule := w.rule
	w.mu.Unlock()
	target := max(rule.idle, int(rule.factor*float64(s.Slots.Used)+0.999999))
	return fleet.Decision{IdleTarget: target, IdleTime: rule.idleTime, Preemptive: &rule.preemptive, Reason: fmt.Sprintf("hold %d slots", target)}
}

// start begins with a driver that knows what the journal does.
func (w *groupWorld) start() {
	w.t.Helper()
	j, err := journal.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal = j
	w.opts.Owner = j.Owner()
	w.startGroup(j, w.group)
}

func (w *groupWorld) startGroup(j pool.Journal, g group.Group) {
	w.t.Helper()
	machines, _, err := j.Load()
	if err != nil {
		w.t.Fatal(err)
	}
	w.driver = group.New(group.Options{Group: g, Machines: machines})
	d := w.driver
	w.opts.Drivers = func(string) (driver.Driver, error) { return d, nil }
	w.startOn(j)
}

func (w *groupWorld) stop(drain bool) {
	w.t.Helper()
	w.world.stop(drain)
	w.driver.Close(w.t.Context())
}

// has asserts how many jobs run, how many slots are free and how many machines there are, those that go left out.
func (w *groupWorld) has(running, free, machines int) {
	w.t.Helper()
	s := w.pool.Status()
	live := s.Counts.Total - s.Counts.Removing - s.Counts.Stuck
	if s.Slots.Used != running || s.Slots.Free != free || live != machines {
		w.t.Errorf("after %s: %+v and %+v; want %d jobs, %d free slots, %d machines", time.Since(epoch()), s.Slots, s.Counts, running, free, machines)
	}
}

// job takes a lease for a job, which may wait, and waits for its machine.
func (w *groupWorld) job(id int64) (*pool.Lease, fleet.Machine) {
	w.t.Helper()
	l, err := w.pool.AcquireForJob(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return l, w.use(l, id)
}

// settledGroup asserts that group, journal and pool know the same instances.
func (w *groupWorld) settledGroup() {
	w.t.Helper()
	var there, known, journalled []string
	for _, i := range w.group.Instances() {
		there = append(there, i.ID)
	}
	for _, m := range w.pool.Status().Machines {
		known = append(known, m.Instance.ID)
	}
	machines, problems, err := w.journal.Load()
	for _, m := range machines {
		journalled = append(journalled, m.Instance.ID)
	}
	slices.Sort(there)
	slices.Sort(known)
	slices.Sort(journalled)
	if !slices.Equal(there, known) || !slices.Equal(there, journalled) || err != nil || len(problems) > 0 {
		w.t.Errorf("group %v, pool %v, journal %v (%v, %v)", there, known, journalled, problems, err)
	}
}

// hosts makes instances of a group ready. It implements pool.Provisioner.
type hosts struct {
	group *grouptest.Group

	mu     sync.Mutex // guards what follows
	broken map[string]bool
	clean  map[string]int
}

func (h *hosts) Bootstrap(context.Context, string) (abi.Bootstrap, error) {
	return abi.Bootstrap{}, nil
}

func (h *hosts) Provision(ctx context.Context, m fleet.Machine, phase func(string)) (fleet.Endpoint, error) {
	phase("ready")
	select {
	case <-time.After(readyTime):
		return h.Endpoint(m), nil
	case <-ctx.Done():
		return fleet.Endpoint{}, ctx.Err()
	}
}

func (h *hosts) Endpoint(m fleet.Machine) fleet.Endpoint {
	return fleet.Endpoint{Host: "ssh://" + m.Instance.Address}
}

func (h *hosts) Check(_ context.Context, m fleet.Machine) error {
	h.mu.Lock()
	broken := h.broken[m.Instance.ID]
	h.mu.Unlock()
	if broken || !slices.ContainsFunc(h.group.Instances(), func(i grouptest.Instance) bool { return i.ID == m.Instance.ID }) {
		return errors.New("no answer")
	}
	return nil
}

func (h *hosts) Clean(ctx context.Context, m fleet.Machine) error {
	h.mu.Lock()
	if h.clean == nil {
		h.clean = map[string]int{}
	}
	h.clean[m.Name]++
	h.mu.Unlock()
	return h.Check(ctx, m)
}

func (h *hosts) breakDown(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken == nil {
		h.broken = map[string]bool{}
	}
	h.broken[id] = true
}

func (h *hosts) heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.broken)
}

func (h *hosts) cleaned(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clean[name]
}
