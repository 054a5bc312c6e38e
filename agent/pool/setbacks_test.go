package pool_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// restart ends the agent without removing machines, and starts the next one, which keeps setbacks as the one before did.
func (w *world) restart(change func()) {
	w.t.Helper()
	w.stop(false)
	change()
	w.startKeeping()
}

// startKeeping starts a pool that keeps setbacks.
func (w *world) startKeeping() {
	w.t.Helper()
	j, err := journal.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal = j
	w.opts.Owner, w.opts.Setbacks = j.Owner(), j
	w.startOn(j)
}

// TestSetbacksOutliveRestart has an agent that is started again while creations fail: it does not begin anew with what failed a moment ago, and
// forgets it all when something changed that may have mended it, or when a machine was made.
func TestSetbacksOutliveRestart(t *testing.T) {
	zone := func(z string) pool.Alternative {
		return pool.Alternative{Name: "zone " + z, Options: abi.Options{fake.OptZone: {z}}}
	}
	none := func(*world) {}
	for _, tt := range []struct {
		name        string
		err         *abi.Error
		alternative bool
		before      time.Duration // until the restart
		change      func(*world)  // between the two agents
		breaker     pool.BreakerState
		pause       time.Duration // that is left
		passedOver  int
		calls       int // creations that the second agent asks for in its first seconds
	}{
		{name: "a quota", err: fake.OverQuota(), before: 20 * time.Second, change: none, breaker: pool.BreakerOpen, pause: 40 * time.Second, passedOver: 1},
		{name: "a pause that ended meanwhile", err: fake.OverQuota(), before: 20 * time.Second, change: func(*world) { time.Sleep(time.Minute) },
			breaker: pool.BreakerOpen, pause: 2 * time.Minute, passedOver: 1, calls: 1}, // half open, and then twice as long
		{name: "of long ago", err: fake.OverQuota(), before: 20 * time.Second, change: func(*world) { time.Sleep(2 * time.Hour) },
			breaker: pool.BreakerOpen, pause: time.Minute, passedOver: 1, calls: 3},
		{name: "credentials that failed often", err: &abi.Error{Kind: abi.Auth, Message: "refused"}, before: 4 * time.Minute, change: none,
			breaker: pool.BreakerOpen, pause: time.Minute},
		{name: "other options", err: fake.OverQuota(), before: 20 * time.Second,
			change:  func(w *world) { w.opts.Settings.Options[fake.OptZone] = []string{"b"} },
			breaker: pool.BreakerOpen, pause: time.Minute, passedOver: 1, calls: 3},
		{name: "a file that can't be read", err: fake.OverQuota(), before: 20 * time.Second, change: func(w *world) {
			if err := os.WriteFile(filepath.Join(w.dir, "setbacks.json"), []byte("{"), 0o600); err != nil {
				w.t.Fatal(err)
			}
		}, breaker: pool.BreakerOpen, pause: time.Minute, passedOver: 1, calls: 3},
		{name: "a zone without machines", err: fake.StockOut(), alternative: true, before: 20 * time.Second, change: none,
			breaker: pool.BreakerClosed, passedOver: 1, calls: 3}, // all of them elsewhere
	} {
		t.Run(tt.name, func(t *testing.T) {
			inPreparedWorld(t, abi.RunnerSettings{IdleCount: 3}, func(w *world) {
				if tt.alternative {
					w.opts.Settings.Alternatives = []pool.Alternative{zone("b")}
				}
			}, func(t *testing.T, w *world) {
				w.restart(func() {}) // inPreparedWorld began without a memory
				w.stop(true)
				fault := fake.Fault{Op: fake.OpCreate, Times: -1, Error: tt.err}
				if tt.alternative {
					fault.Zone = "a"
				}
				w.cloud.Inject(fault)
				w.startKeeping()
				wait(tt.before)
				w.restart(func() { tt.change(w) })
				before := w.cloud.Calls(fake.OpCreate)
				wait(3 * time.Second)
				s := w.pool.Status()
				if s.Breaker != tt.breaker || len(s.PassedOver) != tt.passedOver {
					t.Errorf("breaker %s, passed over %v", s.Breaker, s.PassedOver)
				}
				if left := time.Until(s.Backoff.Until); s.Breaker == pool.BreakerOpen && (left > tt.pause || left < tt.pause-4*time.Second) {
					t.Errorf("a pause of %s is left, want %s", left, tt.pause)
				}
				if calls := w.cloud.Calls(fake.OpCreate) - before; calls != tt.calls {
					t.Errorf("%d creations, want %d", calls, tt.calls)
				}
				w.cloud.Heal()
				wait(20 * time.Minute)
				w.counts(3, 0, 3)
				w.restart(func() {})
				wait(time.Second)
				if s := w.pool.Status(); s.Breaker != pool.BreakerClosed || len(s.PassedOver) > 0 {
					t.Errorf("after a success: breaker %s, passed over %v", s.Breaker, s.PassedOver)
				}
			})
		})
	}
}

// TestSetbacksAndTheClock sets the clock back between two agents: what was held back holds for no longer than it would have.
func TestSetbacksAndTheClock(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Times: -1, Error: fake.OverQuota()})
		w.restart(func() {})
		wait(5 * time.Second)
		w.restart(func() {
			s, err := w.journal.Setbacks(runnerKey)
			if err != nil || len(s.Pauses) != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
			j, err := journal.Open(w.dir)
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			const ahead = 100 * time.Hour // the clock was that much ahead when they were written
			s.At, s.Pauses[0].Since, s.Pauses[0].Until = s.At.Add(ahead), s.Pauses[0].Since.Add(ahead), s.Pauses[0].Until.Add(ahead)
			if err := j.SetSetbacks(runnerKey, s); err != nil {
				t.Fatal(err)
			}
		})
		wait(time.Second)
		if left := time.Until(w.pool.Status().Backoff.Until); left <= 0 || left > time.Minute {
			t.Errorf("a pause of %s is left", left)
		}
		wait(time.Minute)
		if n := w.pool.Status().Backoff.Failures; n != 2 {
			t.Errorf("%d failures, want another try to have failed", n)
		}
	})
}
