package pool_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	runnerKey = "test/abcdefghi"
	boot      = 20 * time.Second
	engine    = 10 * time.Second
)

// world is a pool with all that it touches: a cloud in memory, engines on its machines, a journal on disk, and the policies that
// GitLab's numbers come from. Time is virtual.
type world struct {
	t       *testing.T
	dir     string
	cloud   *fake.Cloud
	engines *engines
	opts    pool.Options

	journal *journal.Journal
	pool    *pool.Pool

	mu     sync.Mutex // guards events
	events []fleet.Event
}

// inWorld runs test in a bubble of virtual time, on a pool that has started. Every machine is gone when test ends.
func inWorld(t *testing.T, s abi.RunnerSettings, test func(t *testing.T, w *world)) {
	t.Helper()
	inPreparedWorld(t, s, func(*world) {}, test)
}

// inPreparedWorld is inWorld with something done before the pool starts.
func inPreparedWorld(t *testing.T, s abi.RunnerSettings, prepare func(w *world), test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, s)
		prepare(w)
		w.start()
		test(t, w)
		w.cloud.Heal()
		w.stop(true)
		if left := w.cloud.Machines(); len(left) > 0 {
			t.Errorf("machines are left: %v", left)
		}
	})
}

func newWorld(t *testing.T, s abi.RunnerSettings) *world {
	cloud := fake.New(fake.Config{BootTime: boot})
	w := &world{t: t, dir: t.TempDir(), cloud: cloud, engines: &engines{cloud: cloud}}
	s.Name, s.ShortToken = "test", "abcdefghi"
	w.opts = pool.Options{
		Key: runnerKey,
		Settings: pool.Settings{
			Runner: s, MachineName: "auto-%s", Driver: "fake",
			Options: abi.Options{fake.OptZone: {"a"}, "engine-registry-mirror": {"http://mirror"}},
		},
		Drivers:     func(string) (driver.Driver, error) { return cloud, nil },
		Decider:     idleScale{},
		Provisioner: w.engines,
		Events:      w.note,
		Jitter:      func() float64 { return 0.5 },
	}
	return w
}

func (w *world) start() {
	w.t.Helper()
	j, err := journal.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal = j
	w.opts.Journal, w.opts.Owner = j, j.Owner()
	w.startOn(j)
}

// startOn starts the pool on a journal of the test's making.
func (w *world) startOn(j pool.Journal) {
	w.t.Helper()
	w.opts.Journal = j
	p, err := pool.New(w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.pool = p
}

func (w *world) stop(drain bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
	defer cancel()
	if err := w.pool.Stop(ctx, drain); err != nil {
		w.t.Error(err)
	}
	w.journal.Close()
}

func (w *world) note(e fleet.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// removals returns the reasons of the removals so far, counted.
func (w *world) removals() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	reasons := map[string]int{}
	for _, e := range w.events {
		if m := e.Machine; m != nil && m.State == fleet.Removing && m.From != fleet.Removing {
			reasons[m.Reason]++
		}
	}
	return reasons
}

// overdue returns what machines were in for too long, counted.
func (w *world) overdue() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := map[string]int{}
	for _, e := range w.events {
		if e.Machine != nil && e.Machine.Overdue != "" {
			counts[e.Machine.Overdue]++
		}
	}
	return counts
}

// wait lets virtual time pass, and then everything that happens at its end.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// counts asserts how many machines are idle, used and there in all.
func (w *world) counts(idle, used, total int) {
	w.t.Helper()
	c := w.pool.Status().Counts
	if c.Idle != idle || c.Used != used || c.Total != total {
		w.t.Errorf("after %s: %+v; want %d idle, %d used, %d in all", time.Since(epoch()), c, idle, used, total)
	}
}

func epoch() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// settled asserts that cloud, journal and pool know the same machines.
func (w *world) settled() {
	w.t.Helper()
	inCloud := map[string]bool{}
	for _, m := range w.cloud.Machines() {
		inCloud[m.Name] = true
	}
	inJournal, inPool := map[string]bool{}, map[string]bool{}
	machines, problems, err := w.journal.Load()
	if err != nil || len(problems) > 0 {
		w.t.Errorf("journal: %v, %v", err, problems)
	}
	for _, m := range machines {
		inJournal[m.Name] = true
	}
	for _, m := range w.pool.Status().Machines {
		inPool[m.Name] = true
	}
	if diff := cmp.Diff(inCloud, inJournal); diff != "" {
		w.t.Errorf("journal (-cloud +journal):\n%s", diff)
	}
	if diff := cmp.Diff(inCloud, inPool); diff != "" {
		w.t.Errorf("pool (-cloud +pool):\n%s", diff)
	}
}

func (w *world) acquire() *pool.Lease {
	w.t.Helper()
	l, err := w.pool.Acquire(w.t.Context())
	if err != nil {
		w.t.Fatalf("acquire: %v", err)
	}
	return l
}

// use gives the lease a job and waits for its machine.
func (w *world) use(l *pool.Lease, job int64) fleet.Machine {
	w.t.Helper()
	if err := l.Use(job); err != nil {
		w.t.Fatalf("use: %v", err)
	}
	m, _, err := l.Machine(w.t.Context())
	if err != nil {
		w.t.Fatalf("machine of job %d: %v", job, err)
	}
	return m
}

// names returns the machines in the cloud.
func (w *world) names() []string {
	var names []string
	for _, m := range w.cloud.Machines() {
		names = append(names, m.Name)
	}
	return names
}

// engines are the engines on the cloud's machines, as a provisioner makes them.
type engines struct {
	cloud *fake.Cloud
	apart bool // see spread

	mu                sync.Mutex
	made              map[string]bool // keys by machine
	ready             map[string]bool
	clean             map[string]int
	broken            map[string]bool // do not answer
	fail              int             // provisions to fail
	hang              time.Duration   // of each provision, whatever its context says
	cut               bool            // none answers
	slow              time.Duration   // of each check
	checks, now, most int             // so far, under way, and under way at most
}

var _ pool.Provisioner = (*engines)(nil)

func (e *engines) Bootstrap(_ context.Context, name string) (abi.Bootstrap, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.made == nil {
		e.made, e.ready, e.clean, e.broken = map[string]bool{}, map[string]bool{}, map[string]int{}, map[string]bool{}
	}
	e.made[name] = true
	return abi.Bootstrap{SSHUser: "root"}, nil
}

func (e *engines) Provision(ctx context.Context, m fleet.Machine, phase func(string)) (fleet.Endpoint, error) {
	e.mu.Lock()
	hang := e.hang
	e.mu.Unlock()
	time.Sleep(hang)
	for _, name := range []string{"ssh", "engine"} {
		phase(name)
		select {
		case <-time.After(engine/2 + e.spread(m.Name)):
		case <-ctx.Done():
			return fleet.Endpoint{}, ctx.Err()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case m.Instance.Address == "" || !e.made[m.Name]:
		return fleet.Endpoint{}, fmt.Errorf("machine %s: no address or keys", m.Name)
	case e.fail > 0:
		e.fail--
		return fleet.Endpoint{}, errors.New("the engine does not start")
	}
	e.ready[m.Name] = true
	return e.Endpoint(m), nil
}

// spread is zero, or a short time of the machine's own so that no two are ready at the same instant.
func (e *engines) spread(name string) time.Duration {
	if !e.apart {
		return 0
	}
	h := fnv.New32()
	h.Write([]byte(name))
	return time.Duration(h.Sum32() % 1e9)
}

func (e *engines) Endpoint(m fleet.Machine) fleet.Endpoint {
	return fleet.Endpoint{Host: "tcp://" + m.Instance.Address + ":2376", CertPath: m.Name}
}

func (e *engines) Check(_ context.Context, m fleet.Machine) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checks++
	e.now++
	e.most = max(e.most, e.now)
	if slow := e.slow; slow > 0 {
		e.mu.Unlock()
		time.Sleep(slow)
		e.mu.Lock()
	}
	e.now--
	running := slices.ContainsFunc(e.cloud.Machines(), func(i fake.Machine) bool {
		return i.Name == m.Name && i.Status == abi.StatusRunning
	})
	if !running || !e.ready[m.Name] || e.broken[m.Name] || e.cut {
		return fmt.Errorf("machine %s: no answer", m.Name)
	}
	return nil
}

func (e *engines) Clean(ctx context.Context, m fleet.Machine) error {
	err := e.Check(ctx, m)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clean[m.Name]++
	return err
}

// failNext makes the next n provisions fail.
func (e *engines) failNext(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = n
}

// set changes how the engines behave.
func (e *engines) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

// cleaned returns how often a machine was cleaned.
func (e *engines) cleaned(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.clean[name]
}

func (e *engines) breakDown(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken[name] = true
}

// idleScale decides as the built-in policies do.
type idleScale struct{}

func (idleScale) Decide(_ context.Context, s abi.Snapshot) fleet.Decision {
	r := s.Runner
	target := r.IdleCount
	if r.IdleScaleFactor > 0 {
		target = min(target, max(r.IdleCountMin, 1, int(float64(s.Fleet.Used)*r.IdleScaleFactor+1e-9)))
	}
	return fleet.Decision{
		IdleTarget: target, IdleTime: time.Duration(r.IdleTimeS) * time.Second, Reason: fmt.Sprintf("hold %d", target),
	}
}
