package pool_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/period"
)

// midnight holds two machines in the first hour of the day, and none otherwise.
type midnight struct{ expr period.Expr }

func (m midnight) Decide(_ context.Context, s abi.Snapshot) fleet.Decision {
	d := fleet.Decision{Reason: "night"}
	if m.expr.Matches(s.NowUnixMS / 1000) {
		d.IdleTarget = 2
	}
	return d
}

// TestPeriodEdge has nobody asking for jobs: when the period ends at 01:00:00 its machines go within that second, and when it begins
// at 00:00:00 they are made within that second.
func TestPeriodEdge(t *testing.T) {
	expr, err := period.Parse("* * 0 * * * *")
	if err != nil {
		t.Fatal(err)
	}
	inPreparedWorld(t, abi.RunnerSettings{}, func(w *world) { w.opts.Decider = midnight{expr} }, func(t *testing.T, w *world) {
		wait(24*time.Hour + 10*time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		begun, removed := 0, 0
		for _, e := range w.events {
			m := e.Machine
			switch {
			case m == nil || m.From == m.State:
			case m.State == fleet.Removing:
				removed++
				if at := e.At.Sub(epoch().Add(time.Hour)); at < 0 || at >= time.Second {
					t.Errorf("%s is removed at %s", m.Name, e.At)
				}
			case m.State == fleet.Creating:
				begun++
				if at := e.At.Sub(epoch()) % (24 * time.Hour); at >= time.Second {
					t.Errorf("%s is begun at %s", m.Name, e.At)
				}
			}
		}
		if begun != 4 || removed != 2 {
			t.Errorf("%d machines were begun and %d removed in two nights", begun, removed)
		}
	})
}

// counting counts the removals that are under way at the provider.
type counting struct {
	driver.Driver
	now, most *atomic.Int64
}

func (c counting) Remove(ctx context.Context, r abi.RemoveRequest) error {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return c.Driver.Remove(ctx, r)
}

// TestRemovalsAreBounded has a hundred machines go at once: the provider is not called for more than sixteen at a time.
func TestRemovalsAreBounded(t *testing.T) {
	var now, most atomic.Int64
	prepare := func(w *world) {
		w.opts.Drivers = func(string) (driver.Driver, error) { return counting{w.cloud, &now, &most}, nil }
		w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: -1, Delay: 5 * time.Second})
	}
	inPreparedWorld(t, abi.RunnerSettings{IdleCount: 100, IdleTimeS: 1}, prepare, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.counts(100, 0, 100)
		s := w.opts.Settings
		s.Runner.IdleCount = 0
		if err := w.pool.Reconfigure(s); err != nil {
			t.Fatal(err)
		}
		wait(time.Minute)
		w.counts(0, 0, 0)
		if most.Load() != 16 {
			t.Errorf("%d removals at once, want 16", most.Load())
		}
	})
}

// TestRemovalsHaveTheirRate has a hundred machines too many at once: their removal is spread by the account's budget for removals, and neither
// creations nor lists wait for it.
func TestRemovalsHaveTheirRate(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 100, IdleTimeS: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.counts(100, 0, 100)
		s := w.opts.Settings
		s.Runner.IdleCount = 0
		if err := w.pool.Reconfigure(s); err != nil {
			t.Fatal(err)
		}
		began, lists := time.Now(), w.cloud.Calls(fake.OpList)
		for second := range 5 {
			wait(time.Second)
			gone := 100 - len(w.names())
			if least, most := 5*second, 10+5*(second+1); gone < least || gone > most {
				t.Errorf("%d machines were removed in %d s, want %d to %d: a burst of 10 and 5 a second", gone, second+1, least, most)
			}
		}
		l, err := w.pool.AcquireForJob(t.Context()) // and in the middle of it comes a job
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release(false)
		w.use(l, 1)
		if took := time.Since(began); took > 5*time.Second+boot+engine+5*time.Second {
			t.Errorf("the job had its machine after %s", took)
		}
		wait(time.Minute)
		w.counts(0, 1, 1)
		if n := w.cloud.Calls(fake.OpList) - lists; n == 0 {
			t.Error("nothing was listed meanwhile")
		}
	})
}

// TestStuckMachineHoldsUpNobody has one machine that the provider does not remove: the others are gone at once.
func TestStuckMachineHoldsUpNobody(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 5, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		stuck := w.names()[0]
		w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Name: stuck, Times: -1, Error: fake.OverQuota()})
		s := w.opts.Settings
		s.Runner.IdleCount, s.Runner.IdleTimeS = 0, 1
		if err := w.pool.Reconfigure(s); err != nil {
			t.Fatal(err)
		}
		wait(2 * time.Second)
		if left := w.names(); len(left) != 1 || left[0] != stuck {
			t.Errorf("left after two seconds: %v", left)
		}
	})
}

// TestHangingCall has a provider that never answers one call: jobs, other machines and removals go on, and the call is given up.
func TestHangingCall(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Delay: time.Hour})
		first := w.acquire()
		w.use(first, 1) // its replacement hangs
		second := w.acquire()
		w.use(second, 2)
		wait(45 * time.Second)
		if c := w.pool.Status().Counts; c.Used != 2 || c.Idle != 1 || c.Creating != 1 {
			t.Errorf("%+v while one creation hangs", c)
		}
		third := w.acquire()
		w.use(third, 3)
		wait(3 * time.Minute)
		w.counts(2, 3, 5)
		for _, l := range []interface{ Release(bool) }{first, second, third} {
			l.Release(true)
		}
	})
}

// TestStepsAreNoWarnings follows a machine through its life: what is ordinary is no warning, since these are counted as errors.
func TestStepsAreNoWarnings(t *testing.T) {
	var text safeBuffer
	prepare := func(w *world) { w.opts.Log = slog.New(slog.NewTextHandler(&text, nil)) }
	inPreparedWorld(t, abi.RunnerSettings{IdleCount: 1, MaxBuilds: 1, IdleTimeS: 60}, prepare, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		m := w.use(l, 1)
		wait(time.Minute)
		l.Release(false)
		wait(time.Minute)
		said := text.String()
		if !strings.Contains(said, `msg="Machine removed" runner=test name=`+m.Name) || !strings.Contains(said, "Requesting machine removal") {
			t.Errorf("the removal of %s is not told:\n%s", m.Name, said)
		}
		if strings.Contains(said, "level=WARN") || strings.Contains(said, "level=ERROR") {
			t.Errorf("an ordinary life has warnings:\n%s", said)
		}
	})
}

// safeBuffer is a buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
