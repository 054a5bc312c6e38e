package pool_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestProbeFindsTheDead has an engine that dies while its machine is idle: no job needs to meet it.
func TestProbeFindsTheDead(t *testing.T) {
	for _, idle := range []int{1, 3} {
		inWorld(t, abi.RunnerSettings{IdleCount: idle}, func(t *testing.T, w *world) {
			wait(70 * time.Second)
			dead := w.names()[0]
			w.engines.breakDown(dead)
			wait(50 * time.Second)
			if w.journal.Has(dead) {
				t.Errorf("%s is kept", dead)
			}
			if got := w.removals(); got["machine is unavailable"] != 1 {
				t.Errorf("removals %v", got)
			}
			wait(time.Minute)
			w.counts(idle, 0, idle)
		})
	}
}

// TestProbeForgives has an engine that is silent for a moment.
func TestProbeForgives(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2}, func(t *testing.T, w *world) {
		wait(time.Minute)
		before := w.names()
		for range 10 {
			w.engines.breakDown(before[0])
			wait(9 * time.Second) // no probe fails, or one, or two
			w.engines.set(func() { delete(w.engines.broken, before[0]) })
			wait(time.Minute)
		}
		if after := w.names(); !slices.Equal(before, after) {
			t.Errorf("the machines were %v and are %v", before, after)
		}
	})
}

// TestProbesAllSilent has the agent's own network fail: that is no reason to remove the fleet. Machines that stay silent go at last.
func TestProbesAllSilent(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 4}, func(t *testing.T, w *world) {
		wait(time.Minute)
		before := w.names()
		w.engines.set(func() { w.engines.cut = true })
		wait(9 * time.Minute)
		w.engines.set(func() { w.engines.cut = false })
		wait(5 * time.Minute)
		if after := w.names(); !slices.Equal(before, after) {
			t.Errorf("the machines were %v and are %v", before, after)
		}
		for _, name := range before {
			w.engines.breakDown(name)
		}
		wait(15 * time.Minute)
		if after := w.names(); len(after) != 4 || slices.ContainsFunc(after, func(s string) bool { return slices.Contains(before, s) }) {
			t.Errorf("the dead machines were %v, now there are %v", before, after)
		}
	})
}

// TestProbesAreCheap counts them, and how many there are at once.
func TestProbesAreCheap(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 100}, func(t *testing.T, w *world) {
		w.opts.Jitter = nil
		wait(2 * time.Minute)
		w.engines.set(func() { w.engines.checks, w.engines.most, w.engines.slow = 0, 0, time.Second })
		wait(10 * time.Minute)
		w.engines.mu.Lock()
		defer w.engines.mu.Unlock()
		if n := w.engines.checks; n < 1500 || n > 2500 {
			t.Errorf("%d probes of 100 machines in ten minutes; want one for each in half a minute", n)
		}
		if w.engines.most > 8 {
			t.Errorf("%d probes at once", w.engines.most)
		}
		w.engines.slow = 0
	})
}

// TestLeaseDuringProbe takes a machine that is being probed.
func TestLeaseDuringProbe(t *testing.T) {
	for _, dead := range []bool{false, true} {
		inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
			wait(50 * time.Second)
			probed := w.names()[0]
			w.engines.set(func() { w.engines.slow = 2 * time.Second })
			if dead {
				w.engines.breakDown(probed)
			}
			wait(11 * time.Second) // into the probe
			l, err := w.pool.AcquireForJob(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w.engines.set(func() { w.engines.slow = 0 })
			if m := w.use(l, 1); (m.Name == probed) == dead {
				t.Errorf("the job got %s; %s was being probed, and dead: %t", m.Name, probed, dead)
			}
			l.Release(false)
		})
	}
}

// TestAcquiredForTooLong has a lease that gets no job: its machine is free for others, and the lease is still good for one.
func TestAcquiredForTooLong(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		wait(9 * time.Minute)
		if c := w.pool.Status().Counts; c.Acquired != 1 {
			t.Errorf("%+v", c)
		}
		wait(2 * time.Minute)
		w.counts(1, 0, 1)
		if diff := cmp.Diff(map[string]int{"acquired": 1}, w.overdue()); diff != "" {
			t.Errorf("overdue (-want +got):\n%s", diff)
		}
		other := w.acquire()
		first := w.use(other, 1)
		if second := w.use(l, 2); second.Name == first.Name {
			t.Error("two jobs got one machine")
		}
		l.Release(false)
		other.Release(false)
	})
}

// TestProvisionHangs has a machine that is never provisioned, by a provisioner that does not listen.
func TestProvisionHangs(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1, Limit: 2}, func(t *testing.T, w *world) {
		w.engines.set(func() { w.engines.hang = 2 * time.Hour })
		wait(time.Second)
		hung := w.names()[0]
		wait(25 * time.Minute)
		w.engines.set(func() { w.engines.hang = 0 })
		wait(10 * time.Minute)
		if got := w.overdue(); got["creating"] == 0 {
			t.Errorf("overdue: %v", got)
		}
		w.counts(1, 0, 2) // the hung one is only removed when its call ends
		wait(2 * time.Hour)
		if w.journal.Has(hung) {
			t.Errorf("%s is kept", hung)
		}
		w.counts(1, 0, 1)
		w.settled()
	})
}

// TestRemovalOverdue has a provider that does not let go: the machine stays on the ledger, with the reason, and is told of.
func TestRemovalOverdue(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: -1, Error: &abi.Error{Kind: abi.Conflict, Message: "a disk is in use"}})
		name := w.names()[0]
		w.engines.breakDown(name)
		wait(3 * time.Hour)
		if got := w.overdue()["removing"]; got < 2 || got > 4 {
			t.Errorf("told %d times in three hours", got)
		}
		i := slices.IndexFunc(w.pool.Status().Machines, func(m fleet.Machine) bool { return m.Name == name })
		if m := w.pool.Status().Machines[i]; !m.Stuck() || !strings.Contains(m.RemoveErr, "a disk is in use") {
			t.Errorf("%+v", m)
		}
		machines, _, err := w.journal.Load()
		if err != nil || !slices.ContainsFunc(machines, func(m fleet.Machine) bool { return m.Name == name && m.RemoveTries > 10 }) {
			t.Errorf("the journal has %v, %v", machines, err)
		}
		w.cloud.Heal()
		if err := w.pool.RemoveMachine(t.Context(), name); err != nil { // at once, not when the pause is over
			t.Error(err)
		}
		wait(time.Second)
		w.settled()
	})
}

// TestInterruptedLeases has a provider that takes machines back under leases: one with a job is told, one without moves on.
func TestInterruptedLeases(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		running, waiting := w.acquire(), w.acquire()
		m := w.use(running, 1)
		told := make(chan error, 1)
		go func() { told <- running.Interrupted(context.WithoutCancel(t.Context())) }()
		before := w.names()
		for _, name := range before {
			w.cloud.SetStatus(name, abi.StatusInterrupted)
		}
		wait(2 * time.Minute)
		select {
		case err := <-told:
			if err == nil || !strings.Contains(err.Error(), "interrupted") {
				t.Errorf("the job was told %v", err)
			}
		default:
			t.Error("the job was not told")
		}
		if other := w.use(waiting, 2); slices.Contains(before, other.Name) {
			t.Errorf("job 2 got %s, which is being taken back", other.Name)
		}
		running.Release(false)
		waiting.Release(false)
		wait(time.Minute)
		if w.journal.Has(m.Name) {
			t.Errorf("%s is kept after its job", m.Name)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := waiting.Interrupted(ctx); err != nil {
			t.Errorf("a lease that never held the machine under a job was told %v", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		interruptions := 0
		for _, e := range w.events {
			if e.Machine != nil && e.Machine.Interrupted {
				interruptions++
			}
		}
		if interruptions != 2 {
			t.Errorf("%d interruptions were told, want one for each machine", interruptions)
		}
	})
}

// TestLostWithoutJob has the machine of a lease without a job vanish.
func TestLostWithoutJob(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		lost := w.names()[0]
		w.cloud.Kill(lost)
		wait(4 * time.Minute)
		if m := w.use(l, 1); m.Name == lost {
			t.Error("the job got the machine that is gone")
		}
		l.Release(false)
	})
}

// TestOtherDriver changes the runner's driver: the machines of the one before go, used ones after their jobs.
func TestOtherDriver(t *testing.T) {
	t.Run("live", func(t *testing.T) {
		inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
			wait(time.Minute)
			l := w.acquire()
			used := w.use(l, 1)
			wait(time.Minute)
			before := w.names()
			s := w.opts.Settings
			s.Driver = "other"
			if err := w.pool.Reconfigure(s); err != nil {
				t.Fatal(err)
			}
			wait(time.Minute)
			if after := w.names(); len(after) != 2 || !slices.Contains(after, used.Name) {
				t.Errorf("machines %v, before %v; the used one stays and the idle one is replaced", after, before)
			}
			l.Release(false)
			wait(time.Minute)
			w.counts(1, 0, 1)
			if m := w.pool.Status().Machines[0]; m.Driver != "other" || slices.Contains(before, m.Name) {
				t.Errorf("%+v is left", m)
			}
			if got := w.removals()["its runner has another driver now"]; got != 2 {
				t.Errorf("removals %v", w.removals())
			}
		})
	})
	t.Run("over a restart", func(t *testing.T) {
		inWorld(t, abi.RunnerSettings{IdleCount: 2}, func(t *testing.T, w *world) {
			wait(time.Minute)
			before := w.names()
			w.stop(false)
			w.opts.Settings.Driver = "other"
			w.start()
			wait(time.Minute)
			w.counts(2, 0, 2)
			w.settled()
			if slices.ContainsFunc(w.names(), func(s string) bool { return slices.Contains(before, s) }) {
				t.Errorf("machines %v, before %v", w.names(), before)
			}
		})
	})
}

// TestIdleTimeIsSummed has two machines idle for ten minutes, and one of them in use for five.
func TestIdleTimeIsSummed(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2, IdleTimeS: 3600, Limit: 2}, func(t *testing.T, w *world) {
		wait(boot + engine + 5*time.Second)
		start := w.pool.Status().IdleFor
		wait(5 * time.Minute)
		l := w.acquire()
		w.use(l, 1)
		wait(5 * time.Minute)
		if got := w.pool.Status().IdleFor - start; got < 899*time.Second || got > 901*time.Second {
			t.Errorf("idle for %s in all, want a quarter of an hour", got)
		}
		l.Release(false)
	})
}

// TestCauses has a word for each removal.
func TestCauses(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2, MaxBuilds: 1}, func(t *testing.T, w *world) {
		wait(70 * time.Second)
		w.engines.breakDown(w.names()[0])
		wait(time.Minute)
		l := w.acquire()
		w.use(l, 1)
		l.Release(false)
		wait(time.Minute)
		w.cloud.Kill(w.names()[0])
		wait(4 * time.Minute)
		got := map[string]bool{}
		w.mu.Lock()
		for _, e := range w.events {
			if e.Machine != nil && e.Machine.Cause != "" {
				got[e.Machine.Cause] = true
			}
		}
		w.mu.Unlock()
		// The one that was killed may be found out by a list or by a probe.
		delete(got, fleet.CauseLost)
		if diff := cmp.Diff([]string{fleet.CauseBuilds, fleet.CauseUnavailable}, slices.Sorted(maps.Keys(got))); diff != "" {
			t.Errorf("causes (-want +got):\n%s", diff)
		}
	})
}

// TestMachineLife has machines with an end of their own: the provider hears of it, and the journal keeps it.
func TestMachineLife(t *testing.T) {
	for _, tt := range []struct {
		name      string
		life, age time.Duration
		want      time.Duration // 0: no end
	}{
		{"as it is set", 48 * time.Hour, time.Hour, 48 * time.Hour},
		{"beyond the ceiling of the age", 0, 2 * time.Hour, 26 * time.Hour},
		{"no ceiling", 0, 0, 0},
		{"never", -1, time.Hour, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, abi.RunnerSettings{IdleCount: 1})
				w.opts.Settings.MachineLife, w.opts.Settings.Ceilings.MaxMachineAge = tt.life, tt.age
				w.start()
				wait(time.Minute)
				told, end := "", time.Time{}
				if tt.want > 0 {
					end = epoch().Add(tt.want)
					told = end.Format(time.RFC3339)
				}
				if got := w.cloud.Machines()[0].ExpiresAt; got != told {
					t.Errorf("the provider was told %q, want %q", got, told)
				}
				machines, _, err := w.journal.Load()
				if err != nil || len(machines) != 1 || !machines[0].ExpiresAt.Equal(end) {
					t.Errorf("the journal has %v, %v", machines, err)
				}
				w.stop(true)
			})
		})
	}
}

// TestReap has the operator remove orphans, without waiting for their grace time.
func TestReap(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		for _, name := range []string{"runner-old-1-0000000a", "../../etc"} {
			if _, err := w.cloud.Create(t.Context(), abi.CreateRequest{Owner: abi.Owner{ID: w.journal.Owner()}, Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		wait(3 * time.Minute)
		orphans := w.pool.Status().Orphans
		if len(orphans) != 2 || orphans[0].Note == "" || !orphans[0].Removal.IsZero() || orphans[1].Note != "" || orphans[1].Removal.IsZero() {
			t.Fatalf("orphans %+v", orphans)
		}
		if err := w.pool.Reap(t.Context(), "runner-old-1-0000000a"); err != nil {
			t.Error(err)
		}
		if err := w.pool.Reap(t.Context(), "runner-old-1-0000000a"); !errors.Is(err, pool.ErrUnknown) {
			t.Errorf("once more: %v", err)
		}
		if err := w.pool.Reap(t.Context(), "../../etc"); !errors.Is(err, pool.ErrName) {
			t.Errorf("a name that is none: %v", err)
		}
		if err := w.pool.Reap(t.Context(), w.pool.Status().Machines[0].Name); !errors.Is(err, pool.ErrUnknown) {
			t.Errorf("a machine of ours: %v", err)
		}
		w.cloud.Kill("../../etc")
		wait(time.Second)
		w.settled()
	})
}
