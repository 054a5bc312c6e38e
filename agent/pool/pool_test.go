package pool_test

import (
	"context"
	"errors"
	"fmt"
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

func TestFillsToTarget(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(boot + engine + 5*time.Second)
		w.counts(2, 0, 2)
		w.settled()
		for _, m := range w.cloud.Machines() {
			if m.Options.Get(fake.OptZone) != "a" || m.Options.Get("engine-registry-mirror") != "" {
				t.Errorf("driver options %v; want the driver's own only", m.Options)
			}
			if !strings.HasPrefix(m.Name, "runner-abcdefghi-auto-9466") {
				t.Errorf("name %s", m.Name)
			}
		}
		// S1: nothing is removed after IdleTime.
		wait(time.Hour)
		w.counts(2, 0, 2)
		if made := w.cloud.Made(); made != 2 {
			t.Errorf("%d machines were made", made)
		}
	})
}

func TestJobOnWarmMachine(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		before := time.Now()
		l := w.acquire()
		if got := time.Since(before); got > 0 {
			t.Errorf("an idle machine took %s", got)
		}
		if c := w.pool.Status().Counts; c.Acquired != 1 {
			t.Errorf("%+v, want 1 acquired", c)
		}
		m := w.use(l, 7)
		if m.State != fleet.Used && m.State != fleet.Acquired {
			t.Errorf("state %s", m.State)
		}
		machines, _, _ := w.journal.Load()
		if machines[0].State != fleet.Used || machines[0].JobID != 7 || machines[0].UsedCount != 1 {
			t.Errorf("the journal does not know of the job: %+v", machines[0])
		}
		wait(time.Minute)
		w.counts(1, 1, 2) // the replacement
		l.Release(false)
		l.Release(true) // too late to matter
		w.counts(2, 0, 2)
		wait(610 * time.Second)
		w.counts(1, 0, 1)
		if got := w.removals()["too many idle machines"]; got != 1 {
			t.Errorf("removals %v", w.removals())
		}
		if diff := cmp.Diff([]abi.Window{
			{Seconds: 60}, {Seconds: 300}, {Seconds: 900, Arrivals: 1, Finished: 1, MeanDuration: 60},
			{Seconds: 3600, Arrivals: 1, Finished: 1, MeanDuration: 60},
		}, w.pool.Status().Demand.Windows); diff != "" {
			t.Errorf("demand (-want +got):\n%s", diff)
		}
	})
}

// TestNoJobKeepsIdleClock is S3: a machine that was taken while GitLab had no job ages on, and nobody is woken.
func TestNoJobKeepsIdleClock(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		since := w.pool.Status().Machines[0].IdleSince
		for range 3 {
			l := w.acquire()
			wait(50 * time.Second)
			l.Release(false)
		}
		if got := w.pool.Status().Machines[0].IdleSince; !got.Equal(since) {
			t.Errorf("idle since %s, before %s", got, since)
		}
	})
}

func TestNoMachine(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		if _, err := w.pool.Acquire(t.Context()); !errors.Is(err, pool.ErrNoMachine) {
			t.Errorf("error %v before the first decision, want ErrNoMachine", err)
		}
		wait(time.Second)
		if _, err := w.pool.Acquire(t.Context()); !errors.Is(err, pool.ErrNoMachine) {
			t.Errorf("error %v while the first machine is created, want ErrNoMachine", err)
		}
	})
}

func TestOnDemand(t *testing.T) {
	inWorld(t, abi.RunnerSettings{Limit: 2, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.counts(0, 0, 0)
		one, two := w.acquire(), w.acquire()
		if _, err := w.pool.Acquire(t.Context()); !errors.Is(err, pool.ErrNoMachine) {
			t.Errorf("error %v for a third lease with limit 2, want ErrNoMachine", err)
		}
		wait(time.Minute)
		if made := w.cloud.Made(); made != 0 {
			t.Errorf("%d machines were made although no job came", made)
		}
		two.Release(false)

		before := time.Now()
		m := w.use(one, 1)
		if took := time.Since(before); took < boot+engine || took > boot+engine+5*time.Second {
			t.Errorf("the machine took %s", took)
		}
		w.counts(0, 1, 1)
		wait(5 * time.Minute)
		one.Release(false)
		w.counts(1, 0, 1)

		// S2: it waits for further jobs, and goes when it is idle for longer than IdleTime.
		again := w.acquire()
		if got := w.use(again, 2); got.Name != m.Name {
			t.Errorf("job 2 got %s, want %s again", got.Name, m.Name)
		}
		again.Release(false)
		wait(600 * time.Second)
		w.counts(1, 0, 1)
		wait(2 * time.Second)
		w.counts(0, 0, 0)
	})
}

// TestFirstReadyServes has two jobs that wait: the first that is ready goes to the first of them, wherever it comes from.
func TestFirstReadyServes(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Second)
		busy := w.acquire()
		m := w.use(busy, 1)
		waiting := w.acquire()
		if err := waiting.Use(2); err != nil {
			t.Fatal(err)
		}
		wait(5 * time.Second)
		if d := w.pool.Status().Demand; d.Waiting != 1 || d.Running != 1 {
			t.Errorf("demand %+v", d)
		}
		before := time.Now()
		busy.Release(false)
		got, _, err := waiting.Machine(t.Context())
		if err != nil || got.Name != m.Name || time.Since(before) > 0 {
			t.Errorf("%s after %s, %v; want %s at once", got.Name, time.Since(before), err, m.Name)
		}
		wait(time.Minute)
		w.counts(1, 1, 2) // the one that was under way waits for the next job
		waiting.Release(false)
	})
}

// TestNextStage has a job that comes the moment the one before is over for the coordinator, a second before its engine is cleared: it gets
// the same machine, and none is made in vain. One that is not cleared soon is not waited for.
func TestNextStage(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings abi.RunnerSettings
		clearing time.Duration
		made     int
	}{
		{"cleared in a second", abi.RunnerSettings{IdleTimeS: 600}, time.Second, 1},
		{"not cleared for a minute", abi.RunnerSettings{IdleTimeS: 600}, time.Minute, 2},
		{"worn out", abi.RunnerSettings{IdleTimeS: 600, MaxBuilds: 1}, time.Second, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, tt.settings, func(t *testing.T, w *world) {
				wait(time.Second)
				first := w.acquire()
				w.use(first, 1)
				next := w.acquire() // the feed asks on while the job runs
				wait(time.Minute)
				first.Ending()
				if err := next.Use(2); err != nil {
					t.Fatal(err)
				}
				wait(tt.clearing)
				first.Release(false)
				if _, _, err := next.Machine(t.Context()); err != nil {
					t.Fatal(err)
				}
				wait(time.Minute)
				if made := w.cloud.Made(); made != tt.made {
					t.Errorf("%d machines were made, want %d", made, tt.made)
				}
				next.Release(false)
			})
		})
	}
}

// TestWaitingCancelled has a job that was cancelled while its machine was created: the machine is paid for and stays.
func TestWaitingCancelled(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Second)
		l := w.acquire()
		if err := l.Use(1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, _, err := l.Machine(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		l.Release(false)
		if _, _, err := l.Machine(t.Context()); !errors.Is(err, pool.ErrReleased) {
			t.Errorf("error %v after Release", err)
		}
		wait(time.Minute)
		w.counts(1, 0, 1)
	})
}

// TestMaxBuilds is S4 and S5: the machine goes at the end of its last job, and what it ran is known after a restart.
func TestMaxBuilds(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1, MaxBuilds: 2, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		first := w.acquire()
		m := w.use(first, 1)
		first.Release(false)
		w.stop(false)
		w.start()
		wait(time.Second)
		second := w.acquire()
		if got := w.use(second, 2); got.Name != m.Name || got.UsedCount != 2 {
			t.Errorf("job 2 got %s with use count %d, want %s with 2", got.Name, got.UsedCount, m.Name)
		}
		second.Release(false)
		wait(time.Second)
		if got := w.removals()["Too many builds"]; got != 1 {
			t.Errorf("removals %v", w.removals())
		}
		wait(time.Minute)
		w.counts(1, 0, 1)
		if w.names()[0] == m.Name {
			t.Error("the worn out machine is still there")
		}
	})
}

// TestDeadIdleMachine is S10 without its flaw: the dead machine is removed at once, and the job gets another one.
func TestDeadIdleMachine(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(70 * time.Second)          // between two probes
		newest := slices.Max(w.names()) // of the same age: the name decides
		w.engines.breakDown(newest)
		l := w.acquire()
		if m := w.use(l, 1); m.Name == newest {
			t.Error("the job got the dead machine")
		}
		if got := w.removals()["machine is unavailable"]; got != 1 {
			t.Errorf("removals %v", w.removals())
		}
		l.Release(false)
	})
}

// TestBrokenInPreparation is S9 without its flaw: a job whose engine fails gets another machine, and the broken one goes.
func TestBrokenInPreparation(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 600, Limit: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		broken := w.use(l, 1)
		l.Release(true)
		next, err := w.pool.AcquireForJob(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m := w.use(next, 1); m.Name == broken.Name {
			t.Error("the job got the broken machine again")
		}
		w.counts(0, 1, 1)
		next.Release(false)
	})
}

func TestUseTwice(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		w.use(l, 1)
		if err := l.Use(2); err == nil {
			t.Error("a lease serves two jobs")
		}
		l.Release(false)
		if err := l.Use(3); !errors.Is(err, pool.ErrReleased) {
			t.Errorf("error %v", err)
		}
	})
}

func TestReconfigure(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 4, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.counts(4, 0, 4)
		s := w.opts.Settings
		s.Runner.Limit = 2
		s.Options = abi.Options{fake.OptZone: {"b"}}
		if err := w.pool.Reconfigure(s); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		w.counts(2, 0, 2)
		if got := w.removals()["too many machines"]; got != 2 {
			t.Errorf("removals %v", w.removals())
		}
		s.Runner.Limit = 0
		w.pool.Reconfigure(s)
		wait(time.Minute)
		w.counts(4, 0, 4)
		zones := map[string]int{}
		for _, m := range w.cloud.Machines() {
			zones[m.Options.Get(fake.OptZone)]++
		}
		if diff := cmp.Diff(map[string]int{"a": 2, "b": 2}, zones); diff != "" {
			t.Errorf("zones (-want +got):\n%s", diff)
		}
		s.MachineName = "no-placeholder"
		if err := w.pool.Reconfigure(s); err == nil || !strings.Contains(err.Error(), "MachineName") {
			t.Errorf("error %v", err)
		}
	})
}

func TestRemoveMachine(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		name := w.names()[0]
		l := w.acquire()
		w.use(l, 1)
		if err := w.pool.RemoveMachine(t.Context(), name); !errors.Is(err, pool.ErrInUse) {
			t.Errorf("error %v", err)
		}
		l.Release(false)
		if err := w.pool.RemoveMachine(t.Context(), name); err != nil {
			t.Error(err)
		}
		if err := w.pool.RemoveMachine(t.Context(), name); !errors.Is(err, pool.ErrUnknown) {
			t.Errorf("error %v", err)
		}
	})
}

// TestListenerBlocks has a listener that never comes back, such as a paused terminal: machines go on.
func TestListenerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 1})
		release := make(chan struct{})
		w.opts.Events = func(fleet.Event) { <-release }
		w.start()
		for range 50 {
			wait(time.Minute)
			l := w.acquire()
			w.use(l, 1)
			l.Release(false)
		}
		close(release)
		w.stop(true)
	})
}

// TestIdleWakesFeed counts how often the feed is told that a machine is idle.
func TestIdleWakesFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 600})
		woken := make(chan struct{}, 100)
		w.opts.OnIdle = func() { woken <- struct{}{} }
		w.start()
		wait(time.Minute)
		if len(woken) != 1 {
			t.Errorf("woken %d times for the first machine", len(woken))
		}
		w.acquire().Release(false)
		wait(time.Second)
		if len(woken) != 1 {
			t.Error("woken for a machine that came back without a job: the feed would ask for ever")
		}
		l := w.acquire()
		w.use(l, 1)
		l.Release(false)
		wait(time.Second)
		if len(woken) != 2 {
			t.Errorf("woken %d times after a job", len(woken))
		}
		w.stop(true)
	})
}

func TestOptions(t *testing.T) {
	w := newWorld(t, abi.RunnerSettings{})
	w.opts.Owner = "0123456789abcdef"
	for _, tt := range []struct {
		name string
		edit func(*pool.Options)
		want string
	}{
		{"no key", func(o *pool.Options) { o.Key = "" }, "runner key"},
		{"no owner", func(o *pool.Options) { o.Owner = "" }, "owner"},
		{"no journal", func(o *pool.Options) { o.Journal = nil }, "journal"},
		{"no placeholder", func(o *pool.Options) { o.Settings.MachineName = "auto" }, "MachineName"},
		{"no driver", func(o *pool.Options) { o.Settings.Driver = "" }, "MachineDriver"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := w.opts
			o.Journal = noJournal{}
			tt.edit(&o)
			if _, err := pool.New(o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %s", err, tt.want)
			}
		})
	}
}

// noJournal is a journal that nobody asks.
type noJournal struct{ pool.Journal }

// TestLifeEvents has the events of one machine's life, with the time that each state and phase took.
// TestHistory takes one machine through its whole life: each step is told with the job, the time that the step before took, and the reason.
func TestHistory(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1, MaxBuilds: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		name := w.names()[0]
		l := w.acquire()
		wait(5 * time.Second)
		w.use(l, 7)
		w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Name: name, Error: fake.OverQuota()})
		wait(20 * time.Second)
		l.Release(false)
		wait(10 * time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		var got []string
		for _, e := range w.events {
			m := e.Machine
			if m == nil || m.Name != name {
				continue
			}
			line := fmt.Sprintf("%s>%s", m.From, m.State)
			for _, about := range []string{m.Phase, m.Reason, m.Cause, m.Op, string(m.Kind)} {
				if about != "" {
					line += " " + about
				}
			}
			if m.JobID != 0 {
				line += fmt.Sprintf(" job=%d", m.JobID)
			}
			if m.Gone {
				line += " gone"
			}
			if m.From == fleet.Acquired || m.From == fleet.Used || m.Phase == "ssh" {
				line += " after " + m.Duration.Round(time.Second).String()
			}
			got = append(got, line)
		}
		want := []string{
			">creating 0 of 1 wanted are available",
			"creating>creating insert",
			"creating>creating boot",
			"creating>creating ssh after 20s", // the boot
			"creating>creating engine",
			"creating>idle created",
			"idle>acquired",
			"acquired>used job=7 after 5s",
			"used>removing Too many builds max-builds after 20s",
			"removing>removing Too many builds remove quota",
			"removing>removing Too many builds max-builds gone",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestLifeEvents(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		type line struct {
			From, State fleet.State
			Phase       string
		}
		var got []line
		decisions := 0
		for _, e := range w.events {
			if e.Decision != nil {
				decisions++
				if len(e.Actions) != 1 || e.Decision.Reason != "hold 1" {
					t.Errorf("decision %+v with actions %v", e.Decision, e.Actions)
				}
				continue
			}
			got = append(got, line{e.Machine.From, e.Machine.State, e.Machine.Phase})
		}
		want := []line{
			{"", fleet.Creating, ""},
			{fleet.Creating, fleet.Creating, "insert"},
			{fleet.Creating, fleet.Creating, "boot"},
			{fleet.Creating, fleet.Creating, "ssh"},
			{fleet.Creating, fleet.Creating, "engine"},
			{fleet.Creating, fleet.Idle, ""},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if decisions != 1 {
			t.Errorf("%d decisions were told, want the one that changed something", decisions)
		}
	})
}
