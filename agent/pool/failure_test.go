package pool_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestCreationAlwaysFails is S6 without its flaw: not twenty calls a second for ever, but fewer and fewer.
func TestCreationAlwaysFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   *abi.Error
		first time.Duration // the pause after the first failures
		least int           // calls in an hour
		most  int
	}{
		{"transient", &abi.Error{Kind: abi.Transient, Message: "try again"}, time.Second, 22, 20 + 25},
		{"stock-out", fake.StockOut(), 5 * time.Second, 22, 20 + 22},
		{"quota", fake.OverQuota(), time.Minute, 22, 20 + 10},
		{"credentials", &abi.Error{Kind: abi.Auth, Message: "the token is refused"}, time.Minute, 22, 20 + 10},
		{"rate limit with its own time", fake.RateLimited(20 * time.Minute), 20 * time.Minute, 3, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, abi.RunnerSettings{IdleCount: 20}, func(t *testing.T, w *world) {
				w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Times: -1, Error: tt.err})
				wait(time.Millisecond)
				b := w.pool.Status().Backoff
				if got := time.Until(b.Until).Round(time.Second); b.Failures != 1 || b.Kind != tt.err.Kind || got != tt.first {
					t.Errorf("back-off %+v for %s; want one failure of kind %s and a pause of %s", b, got, tt.err.Kind, tt.first)
				}
				wait(time.Hour)
				if calls := w.cloud.Calls(fake.OpCreate); calls > tt.most || calls < tt.least {
					t.Errorf("%d creations were tried in an hour, want %d to %d", calls, tt.least, tt.most)
				}
				if f := w.pool.Status().Failures; len(f) != 1 || f[0].Kind != tt.err.Kind {
					t.Errorf("failures %+v", f)
				}
				w.cloud.Heal()
				wait(30 * time.Minute)
				w.counts(20, 0, 20)
				if b := w.pool.Status().Backoff; b.Failures != 0 {
					t.Errorf("back-off %+v after a success", b)
				}
			})
		})
	}
}

// TestCreationFailsLate is a provider that answers and finds only then that it has none left: the kind of the failure is that of the list.
func TestCreationFailsLate(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Times: -1, Late: fake.StockOut()})
		wait(4 * time.Second)
		if f := w.pool.Status().Failures; len(f) != 1 || f[0].Kind != abi.Capacity {
			t.Errorf("failures %+v", f)
		}
		if b := w.pool.Status().Backoff; b.Failures != 1 || b.Kind != abi.Capacity {
			t.Errorf("back-off %+v", b)
		}
		if left := w.cloud.Machines(); len(left) != 0 {
			t.Errorf("left at the provider: %+v", left)
		}
		w.cloud.Heal()
		wait(5 * time.Minute)
		w.counts(1, 0, 1)
	})
}

// TestCreationFailsOnDemand has jobs that wait while creations fail: each is told in time, and no more jobs are asked for.
func TestCreationFailsOnDemand(t *testing.T) {
	inWorld(t, abi.RunnerSettings{}, func(t *testing.T, w *world) {
		wait(time.Second)
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Times: -1, Error: fake.StockOut()})
		l := w.acquire()
		l.Use(1)
		_, _, err := l.Machine(t.Context())
		if !errors.Is(err, driver.ErrCapacity) || !strings.Contains(err.Error(), "no machine could be made") {
			t.Errorf("error %v", err)
		}
		l.Release(false)
		if _, err := w.pool.Acquire(t.Context()); !errors.Is(err, pool.ErrNoMachine) {
			t.Errorf("error %v during the pause, want ErrNoMachine", err)
		}
		if calls := w.cloud.Calls(fake.OpCreate); calls != 3 {
			t.Errorf("%d creations for one job, want 3", calls)
		}
	})
}

func TestProvisionFails(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		w.engines.failNext(2)
		wait(5 * time.Minute)
		w.counts(1, 0, 1)
		w.settled()
		if got := w.removals()["Failed to create"]; got != 2 {
			t.Errorf("removals %v", w.removals())
		}
	})
}

// TestInstanceNeverRuns has machines that die while they boot, are stopped, or never leave the state creating.
func TestInstanceNeverRuns(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(w *world, machine string)
		wait time.Duration
	}{
		{"dies", func(w *world, m string) { w.cloud.Kill(m) }, time.Minute},
		{"is stopped", func(w *world, m string) { w.cloud.SetStatus(m, abi.StatusStopped) }, time.Minute},
		{"is taken back", func(w *world, m string) { w.cloud.SetStatus(m, abi.StatusInterrupted) }, time.Minute},
		{"hangs", func(w *world, m string) { w.cloud.SetStatus(m, abi.StatusUnknown) }, 31 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
				wait(time.Second)
				first := w.names()[0]
				tt.harm(w, first)
				wait(tt.wait + boot + engine)
				w.counts(1, 0, 1)
				w.settled()
				if w.names()[0] == first {
					t.Error("it is still there")
				}
			})
		})
	}
}

// TestLostReplies has a provider that does what it is asked, and whose answers get lost.
func TestLostReplies(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 3, IdleTimeS: 60}, func(t *testing.T, w *world) {
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Lost: true, Times: 3})
		w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Lost: true, Times: 2})
		wait(5 * time.Minute)
		w.counts(3, 0, 3)
		w.settled()
	})
}

// TestRemovalAlwaysFails is S7 without its end: the machine is stuck, shown, and tried for ever at a slower and slower pace.
func TestRemovalAlwaysFails(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1, Limit: 2, IdleTimeS: 60}, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: -1, Error: &abi.Error{Kind: abi.Transient, Message: "no"}})
		name := w.names()[0]
		l := w.acquire()
		l.Release(true)
		wait(time.Minute)
		if c := w.pool.Status().Counts; c.Stuck != 1 || c.Idle != 1 || c.Total != 2 {
			t.Errorf("%+v, want one stuck and its replacement", c)
		}
		before := w.cloud.Calls(fake.OpRemove)
		wait(2 * time.Hour)
		if calls := w.cloud.Calls(fake.OpRemove) - before; calls < 20 || calls > 40 {
			t.Errorf("%d tries in two hours, want one in five minutes", calls)
		}
		// It is not forgotten by a restart either.
		w.stop(false)
		w.start()
		wait(time.Second)
		if c := w.pool.Status().Counts; c.Stuck != 1 {
			t.Errorf("%+v after a restart", c)
		}
		w.cloud.Heal()
		wait(6 * time.Minute)
		if _, _, err := w.journal.Load(); err != nil || w.journal.Has(name) {
			t.Errorf("%s is still journalled, %v", name, err)
		}
	})
}

// TestInvalidOptions has options that the driver refuses, also for removal: nothing was made, so nothing stays.
func TestInvalidOptions(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		w.cloud.Inject(fake.Fault{Times: -1, Error: &abi.Error{Kind: abi.Invalid, Message: "fake-zone: there is no zone a"}})
		wait(10 * time.Second)
		w.counts(0, 0, 0)
	})
}

// TestGoneOnlyAfterCompleteLists has lists that fail or are partial: no machine counts as gone for that.
func TestGoneOnlyAfterCompleteLists(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2}, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.cloud.Inject(fake.Fault{Op: fake.OpList, Times: -1, Error: &abi.Error{Kind: abi.Auth, Message: "denied"}})
		wait(10 * time.Minute)
		w.counts(2, 0, 2)
		if errs := w.pool.Status().ListErrs; len(errs) != 1 {
			t.Errorf("list errors %v", errs)
		}
		w.cloud.Heal()
		w.cloud.Inject(fake.Fault{Op: fake.OpList, Times: -1, Hide: 2})
		wait(10 * time.Minute)
		w.counts(2, 0, 2)
		w.cloud.Heal()

		first := w.names()[0]
		w.cloud.Kill(first)
		wait(2 * time.Minute)
		wait(time.Minute)
		w.counts(2, 0, 2)
		w.settled()
		if got := w.removals()["the instance is gone"]; got != 1 {
			t.Errorf("removals %v", w.removals())
		}
	})
}

// TestGoneAfterTwoLists has complete lists that lack machines: one means nothing, two in a row that they are gone.
func TestGoneAfterTwoLists(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2}, func(t *testing.T, w *world) {
		wait(time.Minute)
		for range 3 {
			w.cloud.Inject(fake.Fault{Op: fake.OpList, Hide: 2, Stale: true})
			wait(5 * time.Minute)
		}
		w.counts(2, 0, 2)
		if got := w.removals(); len(got) > 0 {
			t.Errorf("after one list each time: removals %v", got)
		}
		w.cloud.Inject(fake.Fault{Op: fake.OpList, Times: 2, Hide: 1, Stale: true})
		wait(5 * time.Minute)
		w.counts(2, 0, 2)
		if got := w.removals(); got["the instance is gone"] != 1 {
			t.Errorf("after two in a row: removals %v", got)
		}
		w.settled()
	})
}

// TestOrphanAfterTwoLists has an instance of ours that nobody knows, and no grace: one list of it is not enough.
func TestOrphanAfterTwoLists(t *testing.T) {
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 1}, pool.SharedOptions{}, func(w *world) { w.opts.OrphanGrace = new(time.Duration) }, func(t *testing.T, w *world) {
		wait(time.Minute)
		const stray = "runner-old-1-0000000a"
		if _, err := w.cloud.Create(t.Context(), abi.CreateRequest{Owner: abi.Owner{ID: w.journal.Owner()}, Name: stray}); err != nil {
			t.Fatal(err)
		}
		lists := w.cloud.Calls(fake.OpList)
		for range 600 {
			if wait(time.Second); !slices.Contains(w.names(), stray) {
				break
			}
		}
		if n := w.cloud.Calls(fake.OpList) - lists; slices.Contains(w.names(), stray) || n < 2 {
			t.Errorf("after %d lists the cloud has %v", n, w.names())
		}
	})
}

// TestOnlyTheDiskIsLeft has machines of which only the disk is left: they are gone, and the job of one is told within seconds once it asks.
func TestOnlyTheDiskIsLeft(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		used := w.use(l, 1)
		wait(time.Minute)
		w.counts(1, 1, 2)
		for _, name := range w.names() {
			w.cloud.Bury(name)
		}
		w.cloud.Inject(fake.Fault{Op: fake.OpList, Times: -1, Hide: 2})
		l.Suspect()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := l.Interrupted(ctx); err != nil {
			t.Errorf("lists that are not complete: %v", err)
		}
		w.cloud.Heal()
		l.Suspect()
		ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := l.Interrupted(ctx); err == nil || err.Error() != "the instance is gone" {
			t.Errorf("the job is told %v, want that the instance is gone", err)
		}
		l.Release(true)
		wait(time.Minute)
		w.counts(1, 0, 1)
		w.settled()
		if w.journal.Has(used.Name) {
			t.Errorf("%s is kept", used.Name)
		}
	})
}

// TestVanishedUnderItsJob has a machine that vanishes while its job runs. The job asks, as it does of an engine that is silent, and is told
// within seconds; by no less than two complete lists in a row, and not by word of a machine that is merely to be taken back.
func TestVanishedUnderItsJob(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		used := w.use(l, 1)
		wait(time.Minute)
		ask := func(limit time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			for ctx.Err() == nil {
				l.Suspect()
				turn, over := context.WithTimeout(ctx, 2*time.Second)
				err := l.Gone(turn)
				if over(); err != nil {
					return err
				}
			}
			return nil
		}
		w.cloud.SetStatus(used.Name, abi.StatusInterrupted)
		if err := ask(time.Minute); err != nil {
			t.Errorf("while it is to be taken back: %v", err)
		}
		w.cloud.SetStatus(used.Name, "")
		for range 5 { // one list that lacks it, and one that does not
			w.cloud.Inject(fake.Fault{Op: fake.OpList, Hide: 2, Stale: true})
			if err := ask(6 * time.Second); err != nil {
				t.Errorf("after one list that lacks it: %v", err)
			}
		}
		w.cloud.Inject(fake.Fault{Op: fake.OpList, Times: -1, Error: fake.RateLimited(0)})
		w.cloud.Kill(used.Name)
		if err := ask(5 * time.Minute); err != nil {
			t.Errorf("while lists fail: %v", err)
		}
		if !w.journal.Has(used.Name) {
			t.Error("the journal has forgotten it")
		}
		w.cloud.Heal()
		if err := ask(2 * time.Minute); err == nil || err.Error() != "the instance is gone" {
			t.Errorf("it is told %v, want that the instance is gone", err)
		}
		l.Release(true)
		wait(time.Minute)
		w.counts(1, 0, 1)
		w.settled()
	})
}

// TestVanishedIsToldSoon has the same, with nothing gone wrong before: how long a job that asks has to wait.
func TestVanishedIsToldSoon(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		used := w.use(l, 1)
		wait(90 * time.Second)
		w.cloud.Kill(used.Name)
		began, lists := time.Now(), w.cloud.Calls(fake.OpList)
		l.Suspect()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := l.Gone(ctx); err == nil || err.Error() != "the instance is gone" {
			t.Errorf("it is told %v, want that the instance is gone", err)
		}
		if took, n := time.Since(began), w.cloud.Calls(fake.OpList)-lists; took > 5*time.Second || n < 2 {
			t.Errorf("it is told after %s and %d lists, want 5 s and 2 lists", took, n)
		}
		l.Release(true)
	})
}

// TestInterrupted has a provider that takes a machine back: an idle one is replaced at once, a used one after its job.
func TestInterrupted(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		used := w.use(l, 1)
		wait(time.Minute)
		for _, name := range w.names() {
			w.cloud.SetStatus(name, abi.StatusInterrupted)
		}
		wait(3 * time.Minute)
		w.counts(2, 1, 3) // the job will be tried again: there is a machine for it
		l.Release(false)
		wait(time.Minute)
		w.counts(1, 0, 1)
		if w.journal.Has(used.Name) {
			t.Errorf("%s is kept after its job", used.Name)
		}
	})
}

// TestSpotNotice has a provider that takes a machine back half a minute after it said so: machines that are made to be taken back are looked at
// often enough that the job hears of it before, and others are not.
func TestSpotNotice(t *testing.T) {
	describe := func(string) []abi.Option { return []abi.Option{{Name: "fake-spot", Role: abi.RoleSpot}} }
	for value, lists := range map[string][2]int{"true": {55, 65}, "false": {9, 13}} {
		t.Run("spot "+value, func(t *testing.T) {
			inSharedWorld(t, abi.RunnerSettings{IdleCount: 1}, pool.SharedOptions{Describe: describe}, func(w *world) {
				w.opts.Settings.Options["fake-spot"] = []string{value}
			}, func(t *testing.T, w *world) {
				wait(2 * time.Minute)
				before := w.cloud.Calls(fake.OpList)
				wait(10 * time.Minute)
				if n := w.cloud.Calls(fake.OpList) - before; n < lists[0] || n > lists[1] {
					t.Errorf("%d lists in ten minutes, want %d to %d", n, lists[0], lists[1])
				}
				l := w.acquire()
				defer l.Release(true)
				used := w.use(l, 1)
				wait(61 * time.Second) // the replacement is there
				w.cloud.SetStatus(used.Name, abi.StatusInterrupted)
				notice, cancel := context.WithTimeout(t.Context(), 25*time.Second)
				defer cancel()
				if told := l.Interrupted(notice); value == "true" && told == nil {
					t.Error("the job was not told within 25 s")
				}
			})
		})
	}
}

// TestPollsOneListForAll counts calls: fifty machines that boot cost as many lists as one.
func TestPollsOneListForAll(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 50}, func(t *testing.T, w *world) {
		wait(boot + engine + 5*time.Second)
		w.counts(50, 0, 50)
		if creates, lists := w.cloud.Calls(fake.OpCreate), w.cloud.Calls(fake.OpList); creates != 50 || lists > 15 {
			t.Errorf("%d creates and %d lists, want 50 and 15 at most", creates, lists)
		}
	})
}

// TestJournalFails has a disk that is full: nothing is asked of the provider, and nothing is lost when there is room again.
func TestJournalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 1})
		w.start()
		w.stop(true)
		w.start()
		w.stop(false)

		full := &faultyJournal{Journal: w.journal, err: errors.New("no space left on device")}
		w.opts.Owner = w.journal.Owner()
		w.startOn(full)
		wait(time.Minute)
		if n := w.cloud.Calls(fake.OpCreate); n > 1 { // the first world's
			t.Errorf("the provider was asked %d times", n)
		}
		if b := w.pool.Status().Backoff; !strings.Contains(b.Err, "no space left") {
			t.Errorf("back-off %+v", b)
		}
		full.heal()
		wait(10 * time.Minute)
		w.counts(1, 0, 1)
		w.settled()
		w.stop(true)
	})
}

func TestDrainGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 2})
		w.start()
		wait(time.Minute)
		w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: -1, Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		err := w.pool.Stop(ctx, true)
		if err == nil || !strings.Contains(err.Error(), "2 machines are not removed") {
			t.Errorf("error %v", err)
		}
		if _, err := w.pool.Acquire(t.Context()); !errors.Is(err, pool.ErrStopped) {
			t.Errorf("error %v", err)
		}
		w.journal.Close()

		// The next start goes on with it.
		w.cloud.Heal()
		w.opts.Decider = nil
		w.start()
		wait(time.Minute)
		w.counts(0, 0, 0)
		w.stop(true)
	})
}

// TestDrainWhileBusy drains in the middle of everything.
func TestDrainWhileBusy(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, boot + 3*time.Second, time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			inWorld(t, abi.RunnerSettings{IdleCount: 3}, func(t *testing.T, w *world) {
				wait(after)
				if l, err := w.pool.Acquire(t.Context()); err == nil {
					l.Use(1)
				}
				waiting, err := w.pool.AcquireForJob(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				told := make(chan error, 1)
				go func() {
					_, _, err := waiting.Machine(context.WithoutCancel(t.Context()))
					told <- err
				}()
				w.stop(true)
				if err := <-told; after < time.Minute && !errors.Is(err, pool.ErrStopped) {
					t.Errorf("the job that waited was told %v", err)
				}
				if left := w.pool.Status().Machines; len(left) > 0 {
					t.Errorf("left: %v", left)
				}
				w.start()
			})
		})
	}
}

func TestAcquireCancelled(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if l, err := w.pool.Acquire(ctx); err == nil {
			l.Release(false)
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		wait(time.Second)
		w.counts(1, 0, 1)
	})
}

// TestNextMachine has a policy that moves to another zone: only the options that may be replaced are.
func TestNextMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 1})
		w.opts.Decider = otherZone{}
		w.opts.Settings.Overridable = []string{fake.OptZone}
		w.opts.Settings.OptionsWithName = abi.Options{"fake-tag": {"ci-%s"}}
		w.start()
		wait(time.Minute)
		m := w.cloud.Machines()[0]
		if m.Options.Get(fake.OptZone) != "b" || m.Options.Get(fake.OptType) != "" || m.Options.Get("fake-tag") != "ci-"+m.Name {
			t.Errorf("options %v", m.Options)
		}
		w.settled()
		w.stop(true)
	})
}

type otherZone struct{}

func (otherZone) Decide(ctx context.Context, s abi.Snapshot) fleet.Decision {
	d := idleScale{}.Decide(ctx, s)
	d.NextMachine = abi.Options{fake.OptZone: {"b"}, fake.OptType: {"huge"}}
	return d
}

// slowFactor holds as many machines available as are in use, and at least as many as it is told; it takes its time to say so.
type slowFactor struct{ least atomic.Int64 }

func (f *slowFactor) Decide(_ context.Context, s abi.Snapshot) fleet.Decision {
	time.Sleep(900 * time.Millisecond)
	return fleet.Decision{IdleTarget: max(s.Fleet.Used, int(f.least.Load())), IdleTime: time.Minute - 50*time.Millisecond}
}

// TestOldDecisionRemovesNothing has jobs that begin just before the other machines have been idle for long enough: what was decided for
// the number of machines in use before removes none of those that the next decision wants.
func TestOldDecisionRemovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{})
		policy := &slowFactor{}
		policy.least.Store(10)
		w.opts.Decider = policy
		w.start()
		wait(boot + engine + 10*time.Second)
		w.counts(10, 0, 10)
		policy.least.Store(1)
		wait(time.Until(w.pool.Status().Machines[0].IdleSince.Add(time.Minute - 60*time.Millisecond)))
		w.counts(10, 0, 10)
		for job := range int64(5) {
			w.use(w.acquire(), job+1)
		}
		wait(5 * time.Second)
		w.counts(5, 5, 10)
		w.stop(true)
	})
}
