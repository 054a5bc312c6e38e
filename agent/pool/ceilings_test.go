package pool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// inSharedWorld is inWorld with what pools share and settings that edit may change before the start.
func inSharedWorld(t *testing.T, s abi.RunnerSettings, o pool.SharedOptions, edit func(w *world), test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, s)
		w.opts.Shared = pool.NewShared(o)
		if edit != nil {
			edit(w)
		}
		w.start()
		test(t, w)
		w.opts.Shared.SetFreeze(fleet.Freeze{})
		w.cloud.Heal()
		w.stop(true)
		if left := w.cloud.Machines(); len(left) > 0 {
			t.Errorf("machines are left: %v", left)
		}
	})
}

// rail returns the record of a guard rail now.
func (w *world) rail(cause string) fleet.Rail {
	for _, r := range w.pool.Status().Rails {
		if r.Cause == cause {
			return r
		}
	}
	return fleet.Rail{}
}

func TestMaxMachines(t *testing.T) {
	for _, of := range []string{"agent", "runner"} {
		t.Run(of, func(t *testing.T) {
			inSharedWorld(t, abi.RunnerSettings{IdleCount: 10, IdleTimeS: 600}, pool.SharedOptions{}, func(w *world) {
				if of == "agent" {
					w.opts.Shared.SetCeilings(fleet.Ceilings{MaxMachines: 4})
				} else {
					w.opts.Settings.Ceilings.MaxMachines = 4
				}
			}, func(t *testing.T, w *world) {
				wait(10 * time.Minute)
				w.counts(4, 0, 4)
				cause := map[string]string{"agent": "max_machines", "runner": "runners.max_machines"}[of]
				if r := w.rail(cause); r.Name != "create" || r.Wanted != 6 || r.Got != 0 || !strings.Contains(r.Reason, "4") {
					t.Errorf("the record is %+v", r)
				}
				// Lowered while it runs: what is idle goes, what is used stays.
				l := w.acquire()
				w.use(l, 1)
				if of == "agent" {
					w.opts.Shared.SetCeilings(fleet.Ceilings{MaxMachines: 2})
				} else {
					s := w.opts.Settings
					s.Ceilings.MaxMachines = 2
					w.pool.Reconfigure(s)
				}
				wait(time.Minute)
				w.counts(1, 1, 2)
				l.Release(false)
			})
		})
	}
}

// TestMaxMachinesOfAllRunners has two runners that want more together than the agent may have: at no time are there more.
func TestMaxMachinesOfAllRunners(t *testing.T) {
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 8, IdleTimeS: 600}, pool.SharedOptions{}, func(w *world) {
		w.opts.Shared.SetCeilings(fleet.Ceilings{MaxMachines: 10})
	}, func(t *testing.T, w *world) {
		o := w.opts
		o.Key, o.Settings.Runner.Name = "second/abcdefghi", "second"
		second, err := pool.New(o)
		if err == nil {
			err = second.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			wait(time.Second)
			if n := len(w.cloud.Machines()); n > 10 {
				t.Fatalf("%d machines", n)
			}
		}
		if n := len(w.cloud.Machines()); n != 10 {
			t.Errorf("%d machines, want 10", n)
		}
		if err := second.Stop(t.Context(), true); err != nil {
			t.Error(err)
		}
		wait(time.Minute)
		w.counts(8, 0, 8)
	})
}

// TestMachinesOfPoolsToCome has a journal with another runner's machines, whose pool has not started.
func TestMachinesOfPoolsToCome(t *testing.T) {
	others := []fleet.Machine{{Name: "a", Runner: "other/x", State: fleet.Idle}, {Name: "b", Runner: "other/x", State: fleet.Removing}}
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 8}, pool.SharedOptions{Machines: others}, func(w *world) {
		w.opts.Shared.SetCeilings(fleet.Ceilings{MaxMachines: 3})
	}, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.counts(1, 0, 1)
	})
}

// TestMaxCreatesPerHour has machines that never come up: the ceiling bounds what is asked of the provider, over a restart too.
func TestMaxCreatesPerHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 3})
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Times: -1, Error: &abi.Error{Kind: abi.Transient, Message: "no"}})
		shared := func() {
			j, err := journal.Open(w.dir)
			if err != nil {
				t.Fatal(err)
			}
			w.journal, w.opts.Owner = j, j.Owner()
			o := pool.SharedOptions{Log: j}
			if err := j.Creates(time.Now(), func(runner string, at time.Time) {
				o.Creates = append(o.Creates, pool.Create{Runner: runner, At: at})
			}); err != nil {
				t.Fatal(err)
			}
			w.opts.Shared = pool.NewShared(o)
			w.opts.Shared.SetCeilings(fleet.Ceilings{MaxCreatesPerHour: 5})
			w.startOn(j)
		}
		shared()
		wait(30 * time.Minute)
		if n := w.cloud.Calls(fake.OpCreate); n != 5 {
			t.Errorf("%d creations in half an hour, want 5", n)
		}
		if r := w.rail("max_creates_per_hour"); r.Wanted != 3 || r.Got != 0 {
			t.Errorf("the record is %+v of %+v", r, w.pool.Status().Rails)
		}
		w.stop(false)
		w.cloud.Heal()
		shared()
		wait(25 * time.Minute)
		if n := w.cloud.Calls(fake.OpCreate); n != 5 {
			t.Errorf("%d creations after a restart, want 5", n)
		}
		wait(10 * time.Minute)
		w.counts(3, 0, 3)
		w.stop(true)
	})
}

// TestMaxMachineAge has idle, used and cordoned machines that get old: none in use is touched, and no old one gets a job.
func TestMaxMachineAge(t *testing.T) {
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 2, IdleTimeS: 86400}, pool.SharedOptions{}, func(w *world) {
		w.opts.Settings.Ceilings.MaxMachineAge = time.Hour
	}, func(t *testing.T, w *world) {
		wait(time.Minute)
		first := w.names()
		l := w.acquire()
		used := w.use(l, 1)
		for _, name := range first {
			if name != used.Name {
				if err := w.pool.Cordon(t.Context(), name, true); err != nil {
					t.Fatal(err)
				}
			}
		}
		wait(58 * time.Minute)
		for _, name := range first {
			if !w.journal.Has(name) {
				t.Errorf("%s is gone before its time", name)
			}
		}
		wait(2 * time.Minute)
		for _, name := range first {
			if w.journal.Has(name) != (name == used.Name) {
				t.Errorf("%s is journalled: %t", name, w.journal.Has(name))
			}
		}
		l.Release(false)
		wait(time.Minute)
		if w.journal.Has(used.Name) {
			t.Error("the used one stays after its job")
		}
		if n := w.removals()["machine is too old: max_machine_age is 1h0m0s"] + w.removals()["machine is too old"]; n < 2 {
			t.Errorf("removals %v", w.removals())
		}
	})
}

// TestFreeze freezes in the middle of creations and removals: those asked for go on, no other is.
func TestFreeze(t *testing.T) {
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 3, IdleTimeS: 60, MaxBuilds: 1, Limit: 20}, pool.SharedOptions{}, nil, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		used := w.use(l, 1)
		wait(time.Second) // its replacement is asked for
		w.opts.Shared.SetFreeze(fleet.Freeze{Since: time.Now(), Until: time.Now().Add(3 * time.Hour), Reason: "incident"})
		w.pool.Sync()
		creates, removes := w.cloud.Calls(fake.OpCreate), w.cloud.Calls(fake.OpRemove)

		other := w.acquire()
		w.use(other, 2) // machines that there are serve on
		other.Release(false)
		l.Release(false)
		if err := w.pool.RemoveMachine(t.Context(), w.names()[0]); !errors.Is(err, pool.ErrFrozen) {
			t.Errorf("error %v", err)
		}
		wait(2 * time.Hour)
		if c, r := w.cloud.Calls(fake.OpCreate), w.cloud.Calls(fake.OpRemove); c != creates || r != removes {
			t.Errorf("%d creations and %d removals while frozen", c-creates, r-removes)
		}
		s := w.pool.Status()
		if !s.Frozen || s.Counts.Removing != 2 || w.rail("frozen").Got != 0 {
			t.Errorf("%+v, rails %+v", s.Counts, s.Rails)
		}
		// A restart changes nothing of it.
		w.stop(false)
		w.start()
		wait(30 * time.Minute)
		if c, r := w.cloud.Calls(fake.OpCreate), w.cloud.Calls(fake.OpRemove); c != creates || r != removes {
			t.Errorf("%d creations and %d removals after a restart", c-creates, r-removes)
		}
		wait(40 * time.Minute) // it ends
		w.counts(3, 0, 3)
		if w.journal.Has(used.Name) {
			t.Error("the worn out machine is still there")
		}
	})
}

// TestFreezeWithdraws has creations that wait for the budget of calls when the operator freezes: the provider never hears of them.
func TestFreezeWithdraws(t *testing.T) {
	slow := pool.SharedOptions{Rates: func(string) pool.Rates { return pool.Rates{Calls: pool.Rate{PerSecond: 0.1, Burst: 2}} }}
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 6}, slow, nil, func(t *testing.T, w *world) {
		wait(5 * time.Second)
		made := w.cloud.Calls(fake.OpCreate)
		w.opts.Shared.SetFreeze(fleet.Freeze{Since: time.Now()})
		wait(5 * time.Minute)
		if n := w.cloud.Calls(fake.OpCreate); n != made || made > 2 {
			t.Errorf("%d creations, %d of them before the freeze", n, made)
		}
		if s := w.pool.Status(); s.Backoff.Failures != 0 || s.Counts.Total != made {
			t.Errorf("%+v, %+v; a freeze is no failure", s.Backoff, s.Counts)
		}
		w.settled()
		w.opts.Shared.SetRates(nil)
		w.opts.Shared.SetFreeze(fleet.Freeze{})
		wait(5 * time.Minute)
		w.counts(6, 0, 6)
	})
}

// TestDrainWhileFrozen keeps the machines of an agent that ends with a drain, and those of a runner that is no more until the freeze ends.
func TestDrainWhileFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 2})
		w.opts.Shared = pool.NewShared(pool.SharedOptions{})
		w.start()
		wait(time.Minute)
		w.opts.Shared.SetFreeze(fleet.Freeze{Since: time.Now(), Until: time.Now().Add(time.Hour)})
		before := time.Now()
		w.stop(true)
		if took := time.Since(before); took > 5*time.Second || len(w.names()) != 2 {
			t.Errorf("the drain took %s and left %v", took, w.names())
		}
		w.start()
		wait(time.Second)
		w.counts(2, 0, 2)
		if err := w.pool.Retire(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took < time.Hour || len(w.names()) != 0 {
			t.Errorf("retired after %s, left %v", took, w.names())
		}
		w.journal.Close()
	})
}

func TestCordon(t *testing.T) {
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 60, MaxBuilds: 1}, pool.SharedOptions{}, nil, func(t *testing.T, w *world) {
		wait(time.Minute)
		name := w.names()[0]
		if err := w.pool.Cordon(t.Context(), name, true); err != nil {
			t.Fatal(err)
		}
		wait(time.Hour)
		w.counts(2, 0, 2) // and its replacement
		l := w.acquire()
		if m := w.use(l, 1); m.Name == name {
			t.Error("the cordoned machine got a job")
		}
		l.Release(false)
		w.stop(false)
		w.start()
		wait(time.Minute)
		if err := w.pool.Cordon(t.Context(), name, false); err != nil {
			t.Fatal(err)
		}
		wait(time.Hour)
		w.counts(1, 0, 1)
		if err := w.pool.Cordon(t.Context(), "nobody", true); !errors.Is(err, pool.ErrUnknown) {
			t.Errorf("error %v", err)
		}
	})
}

// TestHold keeps a machine that is worn out, broken and switched off until its hold ends, over a restart.
func TestHold(t *testing.T) {
	for name, harm := range map[string]func(w *world, machine string, l *pool.Lease){
		"worn out":         func(_ *world, _ string, l *pool.Lease) { l.Release(false) },
		"broken":           func(_ *world, _ string, l *pool.Lease) { l.Release(true) },
		"switched off":     func(w *world, m string, l *pool.Lease) { w.cloud.SetStatus(m, abi.StatusStopped); l.Release(false) },
		"does not answer":  func(w *world, m string, l *pool.Lease) { l.Release(false); w.engines.breakDown(m) },
		"released by hand": func(_ *world, _ string, l *pool.Lease) { l.Release(true) },
	} {
		t.Run(name, func(t *testing.T) {
			inSharedWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 60, MaxBuilds: 1}, pool.SharedOptions{}, nil, func(t *testing.T, w *world) {
				wait(time.Minute)
				l := w.acquire()
				m := w.use(l, 1)
				if err := w.pool.Hold(t.Context(), m.Name, fleet.Hold{Until: time.Now().Add(2 * time.Hour), Reason: "a look"}); err != nil {
					t.Fatal(err)
				}
				harm(w, m.Name, l)
				wait(time.Hour)
				w.counts(2, 0, 2)
				if err := w.pool.RemoveMachine(t.Context(), m.Name); !errors.Is(err, pool.ErrHeld) {
					t.Errorf("error %v", err)
				}
				w.stop(false)
				w.start()
				wait(30 * time.Minute)
				if !w.journal.Has(m.Name) {
					t.Fatal("it is gone")
				}
				if name == "released by hand" {
					if err := w.pool.EndHold(t.Context(), m.Name); err != nil {
						t.Fatal(err)
					}
				} else {
					wait(31 * time.Minute)
				}
				wait(5 * time.Minute)
				w.counts(1, 0, 1)
				if w.journal.Has(m.Name) {
					t.Error("it stays after its hold")
				}
			})
		})
	}
}

// TestHoldOfAcquired takes a machine from a lease that waits for a job: the job gets another one.
func TestHoldOfAcquired(t *testing.T) {
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 2, IdleTimeS: 3600}, pool.SharedOptions{}, nil, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		held := ""
		for _, m := range w.pool.Status().Machines {
			if m.State == fleet.Acquired {
				held = m.Name
			}
		}
		if err := w.pool.Hold(t.Context(), held, fleet.Hold{Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if m := w.use(l, 1); m.Name == held {
			t.Error("the job runs on the held machine")
		}
		l.Release(false)
		wait(2 * time.Hour)
	})
}

// TestBurst has 200 jobs at once: their machines are made side by side, within MaxGrowthRate and the account's budget, polled with as few
// lists as one machine would take, and each serves a job.
func TestBurst(t *testing.T) {
	inSharedWorld(t, abi.RunnerSettings{IdleTimeS: 600, MaxGrowthRate: 80, MaxBuilds: 1}, pool.SharedOptions{}, func(w *world) {
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Times: -1, Delay: time.Second})
	}, func(t *testing.T, w *world) {
		wait(time.Second)
		const jobs = 200
		before, lists := time.Now(), w.cloud.Calls(fake.OpList)
		served := make(chan string, jobs)
		for n := range jobs {
			go func() {
				l, err := w.pool.AcquireForJob(context.WithoutCancel(t.Context()))
				if err != nil {
					served <- err.Error()
					return
				}
				defer l.Release(false)
				if err := l.Use(int64(n + 1)); err != nil {
					served <- err.Error()
					return
				}
				m, _, err := l.Machine(context.WithoutCancel(t.Context()))
				served <- fmt.Sprint(m.Name, err)
				time.Sleep(time.Second)
			}()
		}
		most := 0
		for len(served) < jobs && time.Since(before) < time.Hour {
			wait(500 * time.Millisecond)
			most = max(most, w.pool.Status().Counts.Creating)
		}
		took := time.Since(before)
		seen := map[string]bool{}
		for len(served) > 0 {
			name := <-served
			if seen[name] || !strings.HasSuffix(name, "<nil>") {
				t.Errorf("a job got %s", name)
			}
			seen[name] = true
		}
		if len(seen) != jobs || w.cloud.Made() != jobs {
			t.Errorf("%d jobs had a machine, %d were made", len(seen), w.cloud.Made())
		}
		if most > 80 || most < 40 {
			t.Errorf("%d were being created at once", most)
		}
		if took > 4*time.Minute {
			t.Errorf("it took %s", took)
		}
		if n := w.cloud.Calls(fake.OpList) - lists; n > int(took/(2*time.Second))+2 {
			t.Errorf("%d lists in %s", n, took)
		}
		wait(2 * time.Minute)
	})
}

// TestListsAreShared has three runners with one account: they list as often as one, and each takes in what the others asked for.
func TestListsAreShared(t *testing.T) {
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 5}, pool.SharedOptions{}, nil, func(t *testing.T, w *world) {
		var more []*pool.Pool
		for n := range 2 {
			wait(300 * time.Millisecond)
			o := w.opts
			o.Key, o.Settings.Runner.Name = fmt.Sprintf("more-%d/abcdefghi", n), fmt.Sprintf("more-%d", n)
			p, err := pool.New(o)
			if err == nil {
				err = p.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			more = append(more, p)
		}
		wait(boot + engine + 10*time.Second)
		if n := len(w.cloud.Machines()); n != 15 {
			t.Errorf("%d machines", n)
		}
		if n := w.cloud.Calls(fake.OpList); n > 25 {
			t.Errorf("%d lists", n)
		}
		if a := w.opts.Shared.Accounts(); len(a) != 1 || a[0].Calls["create"] != 15 || a[0].Name != "fake" {
			t.Errorf("accounts %+v", a)
		}
		name := w.names()[0]
		w.cloud.Kill(name)
		wait(4 * time.Minute)
		if w.journal.Has(name) || len(w.cloud.Machines()) != 15 {
			t.Errorf("%s is journalled, or was not replaced: %v", name, w.names())
		}
		for _, p := range more {
			if err := p.Stop(t.Context(), true); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestListsLeaveRoom has an account that may be called every five seconds: what boots is looked at every fifteen, not every two.
func TestListsLeaveRoom(t *testing.T) {
	rates := func(string) pool.Rates { return pool.Rates{Calls: pool.Rate{PerSecond: 0.2, Burst: 4}} }
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 1}, pool.SharedOptions{Rates: rates}, nil, func(t *testing.T, w *world) {
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Times: -1, Delay: time.Second})
		before := w.cloud.Calls(fake.OpList)
		wait(90 * time.Second)
		w.counts(1, 0, 1)
		if n := w.cloud.Calls(fake.OpList) - before; n < 2 || n > 7 {
			t.Errorf("%d lists in 90 s", n)
		}
	})
}

// TestRateLimited has a provider with a limit of its own: no machine fails for it, and the account slows down.
func TestRateLimited(t *testing.T) {
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 8}, pool.SharedOptions{}, nil, func(t *testing.T, w *world) {
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Times: 3, Error: fake.RateLimited(20 * time.Second)})
		wait(10 * time.Second)
		if a := w.opts.Shared.Accounts()[0]; a.Limited == 0 || a.PerSecond >= 10 || time.Until(a.PauseUntil) < 5*time.Second || a.Calls["create"] > 8 {
			t.Errorf("the account %+v", a)
		}
		wait(3 * time.Minute)
		w.counts(8, 0, 8)
		if s := w.pool.Status(); len(s.Failures) > 0 || w.cloud.Made() != 8 {
			t.Errorf("failures %+v, %d made", s.Failures, w.cloud.Made())
		}
		if a := w.opts.Shared.Accounts()[0]; a.PerSecond != 10 {
			t.Errorf("the account is still slow: %+v", a)
		}
	})
}

// TestLadder has zones without machines: the alternatives are tried in order, without a pause and without a word to the job.
func TestLadder(t *testing.T) {
	zone := func(z string) pool.Alternative {
		return pool.Alternative{Name: "zone " + z, Options: abi.Options{fake.OptZone: {z}}}
	}
	inSharedWorld(t, abi.RunnerSettings{IdleTimeS: 60}, pool.SharedOptions{}, func(w *world) {
		w.opts.Settings.Alternatives = []pool.Alternative{zone("b"), zone("c")}
	}, func(t *testing.T, w *world) {
		wait(time.Second)
		zoneOf := func(job int64) string {
			t.Helper()
			l, err := w.pool.AcquireForJob(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			m := w.use(l, job)
			l.Release(true)
			return m.Options.Get(fake.OptZone)
		}
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Zone: "a", Times: -1, Error: fake.StockOut()})
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Zone: "b", Times: -1, Error: fake.OverQuota()})
		before := time.Now()
		if z := zoneOf(1); z != "c" || time.Since(before) > boot+engine+5*time.Second {
			t.Errorf("zone %s after %s", z, time.Since(before))
		}
		s := w.pool.Status()
		if s.Breaker != pool.BreakerClosed || len(s.PassedOver) != 2 {
			t.Errorf("breaker %s, passed over %v", s.Breaker, s.PassedOver)
		}
		calls := w.cloud.Calls(fake.OpCreate)
		if z := zoneOf(2); z != "c" || w.cloud.Calls(fake.OpCreate) != calls+1 {
			t.Errorf("zone %s after %d calls: what failed is forgotten too soon", z, w.cloud.Calls(fake.OpCreate)-calls)
		}
		// When all have none, the breaker opens, and the job is told in the end.
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Zone: "c", Times: -1, Error: fake.StockOut()})
		l, err := w.pool.AcquireForJob(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.Use(3)
		if _, _, err := l.Machine(t.Context()); err == nil || !strings.Contains(err.Error(), "no machine could be made") {
			t.Errorf("error %v", err)
		}
		l.Release(false)
		if s := w.pool.Status(); s.Breaker != pool.BreakerOpen || len(s.Backoffs) == 0 {
			t.Errorf("breaker %s, %+v", s.Breaker, s.Backoffs)
		}
		w.cloud.Heal()
		wait(5 * time.Minute)
		if z := zoneOf(4); z != "a" {
			t.Errorf("zone %s, want the first choice again", z)
		}
		if s := w.pool.Status(); s.Breaker != pool.BreakerClosed {
			t.Errorf("breaker %s", s.Breaker)
		}
	})
}

// TestClockSetBack starts with a machine of a time to come: it gets old from now on, rather than never.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 86400})
		w.opts.Settings.Ceilings.MaxMachineAge = time.Hour
		restart := func() *journal.Journal {
			t.Helper()
			j, err := journal.Open(w.dir)
			if err != nil {
				t.Fatal(err)
			}
			w.journal, w.opts.Owner = j, j.Owner()
			return j
		}
		w.startOn(restart())
		wait(time.Minute)
		w.stop(false)
		j := restart()
		machines, _, err := j.Load()
		if err != nil || len(machines) != 1 {
			t.Fatal(machines, err)
		}
		m := machines[0]
		m.CreatedAt = m.CreatedAt.Add(100 * time.Hour)
		if err := j.Save(m); err != nil {
			t.Fatal(err)
		}
		w.startOn(j)
		wait(58 * time.Minute)
		if !j.Has(m.Name) {
			t.Error("it is gone before its time")
		}
		wait(4 * time.Minute)
		if j.Has(m.Name) {
			t.Error("it is still there")
		}
		w.stop(true)
	})
}
