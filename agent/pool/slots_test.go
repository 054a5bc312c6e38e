package pool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/group/grouptest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
)

// onDemand makes machines when jobs come.
var onDemand = scaler{capacity: 2, max: 4, idleTime: 10 * time.Minute}

// TestSlotsFill: jobs go where jobs are, so that other machines become empty; each machine's jobs are in the journal.
func TestSlotsFill(t *testing.T) {
	inGroupWorld(t, scaler{capacity: 3, max: 4, idle: 6, idleTime: time.Hour, preemptive: true}, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
		wait(time.Minute)
		w.has(0, 6, 2)
		on := map[string]int{}
		var leases []*pool.Lease
		for id := range int64(3) {
			l := w.acquire()
			m := w.use(l, id+1)
			on[m.Name]++
			leases = append(leases, l)
		}
		if len(on) != 1 {
			t.Errorf("three jobs are on %v, want one machine", on)
		}
		machines, _, _ := w.journal.Load()
		var jobs [][]int64
		for _, m := range machines {
			if m.State == fleet.Used {
				jobs = append(jobs, m.Jobs())
			}
			if m.Slots != 3 {
				t.Errorf("%s is journalled with %d slots", m.Name, m.Slots)
			}
		}
		if diff := cmp.Diff([][]int64{{1, 2, 3}}, jobs); diff != "" {
			t.Errorf("jobs in the journal (-want +got):\n%s", diff)
		}
		wait(2 * time.Minute)
		w.has(3, 6, 3)
		leases[0].Release(false)
		wait(time.Second)
		w.has(2, 7, 3)
		if l := w.acquire(); on[w.use(l, 4).Name] == 0 {
			t.Error("the next job is not on the machine with jobs")
		} else {
			leases = append(leases, l)
		}
		for _, l := range leases {
			l.Release(false)
		}
		wait(time.Second)
		w.has(0, 9, 3)
		if s := w.pool.Status(); s.Counts.Idle != 3 || s.Counts.Used != 0 {
			t.Errorf("%+v", s.Counts)
		}
		w.settledGroup()
	})
}

// TestOneSlotStaysFree: a machine is used and has free slots at once, and the feed is woken for each that becomes free.
func TestOneSlotStaysFree(t *testing.T) {
	woken := 0
	inGroupWorld(t, scaler{capacity: 2, max: 1, idle: 1, preemptive: true, idleTime: time.Hour}, grouptest.Config{}, func(w *groupWorld) {
		w.opts.OnIdle = func() { woken++ }
	}, func(t *testing.T, w *groupWorld) {
		wait(time.Minute)
		one, two := w.acquire(), w.acquire()
		w.use(one, 1)
		w.use(two, 2)
		if _, err := w.pool.Acquire(t.Context()); !errors.Is(err, pool.ErrNoMachine) {
			t.Errorf("a third lease on two slots: %v", err)
		}
		before := woken
		one.Release(false)
		wait(time.Second)
		if woken != before+1 {
			t.Errorf("woken %d times for one slot", woken-before)
		}
		w.has(1, 1, 1)
		three := w.acquire()
		three.Release(false)
		two.Release(false)
	})
}

// TestMaxUseCount: a machine gets no more jobs than it may run in all, and goes when the last of them ends.
func TestMaxUseCount(t *testing.T) {
	inGroupWorld(t, scaler{capacity: 2, uses: 3, max: 4, idleTime: time.Hour}, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
		one, m := w.job(1)
		two, n := w.job(2)
		if m.Name != n.Name {
			t.Errorf("jobs on %s and %s", m.Name, n.Name)
		}
		one.Release(false)
		three, n := w.job(3)
		if m.Name != n.Name {
			t.Errorf("the third job is on %s", n.Name)
		}
		three.Release(false)
		wait(time.Second)
		if got := w.pool.Status().Slots; got.Used != 1 || got.Unavailable != 1 || got.Free != 0 {
			t.Errorf("one job left on a machine that gets no more: %+v", got)
		}
		four, n := w.job(4)
		if m.Name == n.Name {
			t.Error("a fourth job on the machine of three")
		}
		if reasons := w.removals(); len(reasons) > 0 {
			t.Errorf("removed while a job ran: %v", reasons)
		}
		two.Release(false)
		wait(time.Second)
		if reasons := w.removals(); reasons["Too many builds"] != 1 {
			t.Errorf("removals %v", reasons)
		}
		four.Release(false)
	})
}

// TestJobsTakenUp: after a crash each job that goes on keeps its slot. The others' leftovers are cleaned before anybody else comes, and not
// before the machine is empty.
func TestJobsTakenUp(t *testing.T) {
	inGroupWorld(t, scaler{capacity: 3, max: 2, idleTime: time.Hour}, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
		_, m := w.job(1)
		w.job(2)
		w.job(3)
		wait(time.Minute)
		w.stop(false)
		wait(time.Minute)
		w.opts.GoesOn = map[string][]int64{m.Name: {3, 1, 99}}
		w.start()
		one, three := w.pool.Kept(1), w.pool.Kept(3)
		if one == nil || three == nil || w.pool.Kept(2) != nil || w.pool.Kept(99) != nil || w.pool.Kept(1) != nil {
			t.Fatal("the wrong leases are kept")
		}
		w.has(2, 0, 1)
		four, other := w.job(4)
		if other.Name == m.Name {
			t.Error("a new job among what a dead one left")
		}
		four.Release(false)
		one.Release(false)
		wait(time.Minute)
		if w.hosts.cleaned(m.Name) != 0 {
			t.Error("cleaned while a job runs there")
		}
		three.Release(false)
		wait(time.Minute)
		if w.hosts.cleaned(m.Name) != 1 {
			t.Errorf("cleaned %d times", w.hosts.cleaned(m.Name))
		}
		w.has(0, 6, 2)
		w.settledGroup()
	})
}

// TestSharedMachineFallsSilent: a machine with jobs that does not answer gets no new ones; when it goes on, all its jobs learn that it is
// gone, and it is replaced.
func TestSharedMachineFallsSilent(t *testing.T) {
	inGroupWorld(t, onDemand, grouptest.Config{}, func(w *groupWorld) { w.opts.Settings.ProbeTries = 4 }, func(t *testing.T, w *groupWorld) {
		one, m := w.job(1)
		two, _ := w.job(2)
		wait(time.Minute)
		two.Release(false)
		w.hosts.breakDown(m.Instance.ID)
		wait(5 * time.Second)
		three, other := w.job(3)
		if other.Name == m.Name {
			t.Error("a new job on a machine that does not answer")
		}
		wait(2 * time.Minute)
		if err := one.Gone(over(t)); err == nil || one.Interrupted(over(t)) == nil {
			t.Errorf("the job is told %v", err)
		}
		if _, _, err := one.Machine(t.Context()); !errors.Is(err, pool.ErrLost) {
			t.Errorf("its machine: %v", err)
		}
		if err := three.Gone(over(t)); err != nil {
			t.Errorf("the job on the other machine is told %v", err)
		}
		if reasons := w.removals(); reasons["machine is unavailable"] != 1 {
			t.Errorf("removals %v", reasons)
		}
		one.Release(true)
		three.Release(false)
	})
}

// over is a context that ends at once.
func over(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// TestBrokenUnderOneJob: what breaks under one job gets no more, and goes after the last.
func TestBrokenUnderOneJob(t *testing.T) {
	inGroupWorld(t, onDemand, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
		one, m := w.job(1)
		two, _ := w.job(2)
		one.Release(true)
		wait(time.Second)
		w.has(1, 0, 1)
		three, other := w.job(3)
		if other.Name == m.Name {
			t.Error("a new job on a broken machine")
		}
		two.Release(false)
		wait(time.Second)
		if reasons := w.removals(); reasons["machine is unavailable"] != 1 {
			t.Errorf("removals %v", reasons)
		}
		three.Release(false)
	})
}

// TestCordonAndHoldShared: the operator's word keeps a machine with jobs from further ones, leases without a job move on.
func TestCordonAndHoldShared(t *testing.T) {
	inGroupWorld(t, onDemand, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
		one, m := w.job(1)
		waiting := w.acquire() // the other slot
		if err := w.pool.RemoveMachine(t.Context(), m.Name); !errors.Is(err, pool.ErrInUse) {
			t.Errorf("removing a machine with a job: %v", err)
		}
		if err := w.pool.Cordon(t.Context(), m.Name, true); err != nil {
			t.Fatal(err)
		}
		if other := w.use(waiting, 2); other.Name == m.Name {
			t.Error("a job on a cordoned machine")
		}
		w.pool.Cordon(t.Context(), m.Name, false)
		if err := w.pool.Hold(t.Context(), m.Name, fleet.Hold{Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		three, other := w.job(3)
		if other.Name == m.Name {
			t.Error("a job on a held machine")
		}
		one.Release(true)
		wait(10 * time.Minute)
		if !w.journal.Has(m.Name) {
			t.Error("the held machine is gone")
		}
		waiting.Release(false)
		three.Release(false)
		wait(time.Hour)
		if w.journal.Has(m.Name) {
			t.Error("the broken machine is there after its hold")
		}
	})
}

// TestHammerSlots has many jobs come and go on few machines: none is ever on a machine without a slot for it.
func TestHammerSlots(t *testing.T) {
	inGroupWorld(t, scaler{capacity: 3, uses: 7, max: 4, idle: 2, idleTime: time.Minute}, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
		done := make(chan struct{})
		const workers, rounds = 20, 6
		for worker := range workers {
			go func() {
				defer func() { done <- struct{}{} }()
				for round := range rounds {
					id := int64(worker*rounds + round + 1)
					l, err := w.pool.AcquireForJob(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if err := l.Use(id); err != nil {
						t.Error(err)
					}
					m, _, err := l.Machine(t.Context())
					if err != nil {
						t.Error(err)
						l.Release(false)
						continue
					}
					now := machineOf(w.world, m.Name)
					if len(now.Jobs()) > 3 || now.UsedCount > 7 || now.State != fleet.Used {
						t.Errorf("%s is %s with jobs %v after %d", now.Name, now.State, now.Jobs(), now.UsedCount)
					}
					time.Sleep(time.Duration(id*7%40) * time.Second)
					l.Release(id%17 == 0)
				}
			}()
		}
		for range workers {
			<-done
		}
		wait(5 * time.Minute)
		if s := w.pool.Status(); s.Slots.Used != 0 || s.Waiting != 0 || s.Reserved != 0 || s.Counts.Total > 4 {
			t.Errorf("%+v, %+v", s.Slots, s.Counts)
		}
		w.settledGroup()
	})
}
