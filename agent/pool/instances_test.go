package pool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/group/grouptest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
)

// TestReservations: in preemptive mode a job is asked for only while a slot is free; otherwise as long as max_instances could hold it.
func TestReservations(t *testing.T) {
	for _, tt := range []struct {
		name   string
		s      scaler
		leases int // that may be had
	}{
		{"preemptive", scaler{capacity: 2, max: 5, idle: 3, idleTime: time.Hour, preemptive: true}, 4},
		{"preemptive with nothing idle", scaler{capacity: 2, max: 5, preemptive: true}, 0},
		{"not preemptive", scaler{capacity: 2, max: 5}, 10},
		{"not preemptive with idle slots", scaler{capacity: 2, max: 5, idle: 3, idleTime: time.Hour}, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inGroupWorld(t, tt.s, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
				wait(time.Minute)
				var leases []*pool.Lease
				for range 20 {
					l, err := w.pool.Acquire(t.Context())
					if err != nil {
						if !errors.Is(err, pool.ErrNoMachine) {
							t.Error(err)
						}
						break
					}
					leases = append(leases, l)
				}
				if len(leases) != tt.leases {
					t.Errorf("%d leases, want %d", len(leases), tt.leases)
				}
				if made := w.group.Made(); tt.s.idle == 0 && made > 0 {
					t.Errorf("%d instances for jobs that nobody has", made)
				}
				for _, l := range leases {
					l.Release(false)
				}
			})
		})
	}
}

// TestReservationThrottling: reservations leave one machine's slots alone, so that it ages; but one may always be had.
func TestReservationThrottling(t *testing.T) {
	for _, tt := range []struct {
		name         string
		idle, leases int
	}{
		{"one machine", 2, 1}, {"two", 4, 2}, {"four", 8, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inGroupWorld(t, scaler{capacity: 2, max: 5, idle: tt.idle, idleTime: time.Hour, preemptive: true}, grouptest.Config{},
				func(w *groupWorld) { w.opts.Settings.ReservationThrottling = true }, func(t *testing.T, w *groupWorld) {
					wait(time.Minute)
					var leases []*pool.Lease
					for range 20 {
						if l, err := w.pool.Acquire(t.Context()); err == nil {
							leases = append(leases, l)
						}
					}
					if len(leases) != tt.leases {
						t.Errorf("%d leases, want %d", len(leases), tt.leases)
					}
					held, m := w.job(1) // a job in hand is none
					if m.Name == "" {
						t.Error("no machine for a job in hand")
					}
					for _, l := range append(leases, held) {
						l.Release(false)
					}
				})
		})
	}
}

// TestPromisesAreKept: without preemptive mode a job is asked for only where it can be placed. What makes the instances has to answer, and its own maximum
// counts where it is lower than max_instances.
func TestPromisesAreKept(t *testing.T) {
	down := errors.New("the plug-in is down")
	for _, tt := range []struct {
		name    string
		max     int // max_instances
		own     int // the group's
		before  func(*groupWorld)
		between func(t *testing.T, w *groupWorld)
		leases  int
	}{
		{name: "the group's own maximum", own: 2, leases: 4},
		{name: "max_instances is lower", max: 1, own: 2, leases: 2},
		{name: "the group never answers", max: 5, before: func(w *groupWorld) {
			w.group.Inject(grouptest.Fault{Op: grouptest.OpInfo, Times: -1, Err: down})
		}},
		{name: "the group answers late", max: 2, leases: 4, before: func(w *groupWorld) {
			w.group.Inject(grouptest.Fault{Op: grouptest.OpInfo, Times: 3, Err: down})
		}},
		{name: "the group answers no more", max: 5, between: func(t *testing.T, w *groupWorld) {
			w.group.Inject(grouptest.Fault{Op: grouptest.OpList, Times: -1, Err: down})
			wait(5 * time.Minute)
		}},
		{name: "the group answers again", max: 2, leases: 4, between: func(t *testing.T, w *groupWorld) {
			w.group.Inject(grouptest.Fault{Op: grouptest.OpList, Times: 4, Err: down})
			wait(10 * time.Minute)
		}},
		{name: "one list fails", max: 2, leases: 4, between: func(t *testing.T, w *groupWorld) {
			w.group.Inject(grouptest.Fault{Op: grouptest.OpList, Err: down})
			wait(time.Minute)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inGroupWorld(t, scaler{capacity: 2, max: tt.max}, grouptest.Config{MaxSize: tt.own}, func(w *groupWorld) {
				w.opts.Most = func() int {
					info, _ := w.driver.Info()
					return info.MaxSize
				}
				if tt.before != nil {
					tt.before(w)
				}
			}, func(t *testing.T, w *groupWorld) {
				wait(time.Minute)
				if tt.between != nil {
					tt.between(t, w)
				}
				var leases []*pool.Lease
				for len(leases) < 20 {
					l, err := w.pool.Acquire(t.Context())
					if err != nil {
						break
					}
					leases = append(leases, l)
				}
				if len(leases) != tt.leases {
					t.Errorf("%d leases, want %d", len(leases), tt.leases)
				}
				for id, l := range leases { // and each of them is kept
					if err := l.Use(int64(id + 1)); err != nil {
						t.Error(err)
					}
				}
				for _, l := range leases {
					if _, _, err := l.Machine(t.Context()); err != nil {
						t.Error(err)
					}
				}
				for _, l := range leases {
					l.Release(false)
				}
			})
		})
	}
}

// TestAcquireTimeout: a job waits for instances as long as instance_acquire_timeout in all, not in each of its tries.
func TestAcquireTimeout(t *testing.T) {
	inGroupWorld(t, onDemand, grouptest.Config{}, func(w *groupWorld) { w.opts.Settings.AcquireWait = 5 * time.Minute }, func(t *testing.T, w *groupWorld) {
		one, m := w.job(1) // after boot and readiness
		began := time.Now()
		one.Release(true)
		w.group.Inject(grouptest.Fault{Op: grouptest.OpIncrease, Times: -1, Refuse: true})
		again, err := w.pool.AcquireForJob(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again.Use(1)
		_, _, err = again.Machine(t.Context())
		timeout := (*pool.ErrAcquireTimeout)(nil)
		if !errors.As(err, &timeout) || timeout.Limit != 5*time.Minute {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took >= 5*time.Minute-boot-readyTime+5*time.Second || took < 4*time.Minute {
			t.Errorf("%s after it waited for %s already", took, m.ReadyAt.Sub(m.CreatedAt))
		}
		again.Release(false)
		third, _ := w.pool.AcquireForJob(t.Context())
		began = time.Now()
		third.Use(1)
		if _, _, err := third.Machine(t.Context()); err == nil || time.Since(began) > 2*time.Second {
			t.Errorf("a third try waits for %s: %v", time.Since(began), err)
		}
		third.Release(false)
	})
}

// TestJobBurst: three hundred jobs at once have their machines as soon as one has.
func TestJobBurst(t *testing.T) {
	for _, tt := range []struct {
		name     string
		jobs     int
		capacity int
		throttle fleet.Throttle
		all      time.Duration // when all jobs run
	}{
		{"no throttle", 300, 3, fleet.Throttle{}, time.Minute},
		{"A24: one a second after sixty", 100, 1, fleet.Throttle{PerSecond: 1, Burst: 60}, 2 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inGroupWorld(t, scaler{capacity: tt.capacity, uses: tt.capacity, max: 400, idleTime: time.Minute}, grouptest.Config{}, func(w *groupWorld) {
				w.opts.Settings.Throttle = tt.throttle
			}, func(t *testing.T, w *groupWorld) {
				wait(5 * time.Second)
				began := time.Now()
				ready := make(chan time.Duration, tt.jobs)
				for id := range int64(tt.jobs) {
					go func() {
						l, err := w.pool.AcquireForJob(t.Context())
						if err == nil {
							l.Use(id + 1)
							_, _, err = l.Machine(t.Context())
						}
						if err != nil {
							t.Error(err)
						}
						ready <- time.Since(began)
						time.Sleep(2 * time.Minute)
						l.Release(false)
					}()
				}
				if t := tt.throttle; t.PerSecond == 1 {
					wait(5 * time.Second)
					if n := w.group.Made(); n < 60 || n > 70 {
						w.t.Errorf("%d instances within five seconds", n)
					}
				}
				var last time.Duration
				for range tt.jobs {
					last = max(last, <-ready)
				}
				if last > tt.all || tt.throttle.PerSecond == 1 && last < 70*time.Second {
					t.Errorf("the last job has its machine after %s", last)
				}
				if n := w.group.Calls(grouptest.OpIncrease); tt.throttle.PerSecond != 1 && n > 4 {
					t.Errorf("%d increases for a burst", n)
				}
				wait(6 * time.Minute)
				w.has(0, 0, 0) // scale to zero is reached
				if w.group.Made() != tt.jobs/tt.capacity {
					t.Errorf("%d instances for %d jobs", w.group.Made(), tt.jobs)
				}
			})
		})
	}
}

// TestScaleToZero: what is not wanted any more goes after its idle time, though somebody asks for jobs all the time.
func TestScaleToZero(t *testing.T) {
	inGroupWorld(t, scaler{capacity: 2, max: 10, idle: 8, idleTime: 5 * time.Minute, preemptive: true}, grouptest.Config{}, func(w *groupWorld) {
		w.opts.Settings.ReservationThrottling = true
	}, func(t *testing.T, w *groupWorld) {
		wait(time.Minute)
		w.has(0, 8, 4)
		stop := make(chan struct{})
		ended := make(chan struct{})
		for range 3 {
			go func() { // a long poll that brings no job
				defer func() { ended <- struct{}{} }()
				for {
					if l, err := w.pool.Acquire(t.Context()); err == nil {
						time.Sleep(50 * time.Second)
						l.Release(false)
					}
					select {
					case <-stop:
						return
					case <-time.After(3 * time.Second):
					}
				}
			}()
		}
		w.change(scaler{capacity: 2, max: 10, idleTime: 5 * time.Minute, preemptive: true})
		wait(15 * time.Minute)
		w.has(0, 0, 0)
		close(stop)
		for range 3 {
			<-ended
		}
	})
}

// TestNoShrinkUnderPendingWork: while jobs wait, no machine goes for idleness.
func TestNoShrinkUnderPendingWork(t *testing.T) {
	inGroupWorld(t, scaler{capacity: 1, max: 4, idleTime: 0}, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
		done := make(chan struct{})
		for id := range int64(40) {
			go func() {
				defer func() { done <- struct{}{} }()
				l, err := w.pool.AcquireForJob(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				l.Use(id + 1)
				if _, _, err := l.Machine(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(20+id) * time.Second)
				l.Release(false)
			}()
		}
		for range 36 { // then fewer jobs are left than machines
			<-done
			if r := w.removals(); len(r) > 0 {
				t.Fatalf("removed with jobs waiting: %v", r)
			}
		}
		for range 4 {
			<-done
		}
		if w.group.Made() != 4 {
			t.Errorf("%d instances for jobs that four can do", w.group.Made())
		}
		wait(5 * time.Minute)
		w.has(0, 0, 0)
	})
}

// TestPolicyChange: intake goes on, a job that no period wants goes on, and with another token it is the same fleet.
func TestPolicyChange(t *testing.T) {
	s := scaler{capacity: 2, max: 10, idle: 4, idleTime: time.Minute, preemptive: true}
	inGroupWorld(t, s, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
		wait(time.Minute)
		l := w.acquire()
		m := w.use(l, 1)
		w.change(scaler{capacity: 2, max: 10, preemptive: true, idle: 2, idleTime: time.Minute})
		w.acquire().Release(false)
		w.opts.Settings.Runner.ShortToken = "another"
		w.change(s)
		w.acquire().Release(false)
		wait(5 * time.Second)
		w.acquire().Release(false)
		if reasons := w.removals(); len(reasons) > 0 {
			t.Errorf("removals %v", reasons)
		}
		w.change(scaler{capacity: 2, max: 10}) // outside of all periods
		wait(time.Hour)
		w.has(1, 1, 1)
		if _, _, err := l.Machine(t.Context()); err != nil || l.Gone(over(t)) != nil {
			t.Errorf("the job outside of all periods: %v", err)
		}
		w.change(scaler{capacity: 5, max: 10, idle: 4, idleTime: time.Minute, preemptive: true})
		wait(time.Minute)
		if got := w.pool.Status(); got.Slots.Free != 6 {
			t.Errorf("a new machine has another capacity, an old one has not: %+v", got.Slots)
		}
		l.Release(false)
		if !w.journal.Has(m.Name) {
			t.Error("the machine of the job is gone")
		}
	})
}

// TestReclaimedInstance: jobs on an instance that its group takes back, or has no more, are told at once; another one takes its place.
func TestReclaimedInstance(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(w *groupWorld, id string)
		gone bool // the jobs are to be ended, not only told
	}{
		{"being deleted", func(w *groupWorld, id string) { w.group.Show(id, group.Deleting) }, false},
		{"deleted", func(w *groupWorld, id string) { w.group.Reclaim(id) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inGroupWorld(t, scaler{capacity: 2, max: 5, idle: 2, idleTime: time.Hour, preemptive: true}, grouptest.Config{BootTime: boot, DeleteTime: 90 * time.Second}, nil, func(t *testing.T, w *groupWorld) {
				wait(time.Minute)
				one, two := w.acquire(), w.acquire()
				m := w.use(one, 1)
				w.use(two, 2)
				tt.do(w, m.Instance.ID)
				wait(3 * time.Minute)
				for _, l := range []*pool.Lease{one, two} {
					if l.Interrupted(over(t)) == nil || (l.Gone(over(t)) != nil) != tt.gone {
						t.Errorf("the job is told %v, and %v", l.Interrupted(over(t)), l.Gone(over(t)))
					}
				}
				three := w.acquire()
				if w.use(three, 3).Name == m.Name {
					t.Error("a job on an instance that goes")
				}
				w.group.Show(m.Instance.ID, "")
				one.Release(true)
				two.Release(true)
				three.Release(false)
				wait(3 * time.Minute)
				w.has(0, 4, 2)
				w.settledGroup()
			})
		})
	}
}

// TestShutdown: with delete_instances_on_shutdown the instances go, however often that has to be tried; without, the next start takes them
// up, idle ones with their age.
func TestShutdown(t *testing.T) {
	s := scaler{capacity: 1, max: 10, idle: 3, idleTime: time.Hour, preemptive: true}
	t.Run("deleted", func(t *testing.T) {
		inGroupWorld(t, s, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
			wait(time.Minute)
			w.group.Inject(grouptest.Fault{Op: grouptest.OpDecrease, Times: 2, Err: errors.New("not now")})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			if err := w.pool.StopRemoving(ctx, pool.Drain{MaxRetries: 3, RetryBackoff: 10 * time.Second}); err != nil {
				t.Error(err)
			}
			if left := w.group.Instances(); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	})
	t.Run("kept", func(t *testing.T) {
		inGroupWorld(t, s, grouptest.Config{}, nil, func(t *testing.T, w *groupWorld) {
			wait(time.Minute)
			idleSince := w.pool.Status().Machines[0].IdleSince
			w.stop(false)
			wait(time.Minute)
			w.start()
			wait(time.Minute)
			w.has(0, 3, 3)
			if w.group.Made() != 3 || !w.pool.Status().Machines[0].IdleSince.Equal(idleSince) {
				t.Errorf("%d made; %+v", w.group.Made(), w.pool.Status().Machines[0])
			}
			l := w.acquire()
			if m := w.use(l, 1); w.hosts.cleaned(m.Name) == 0 {
				t.Error("not cleaned before it serves again")
			}
			l.Release(false)
			wait(time.Minute)
			w.settledGroup()
		})
	})
}

// TestStrangers: instances that nobody has are shown, and go after the grace time.
func TestStrangers(t *testing.T) {
	inGroupWorld(t, scaler{capacity: 1, max: 10, idle: 1, idleTime: time.Hour}, grouptest.Config{}, func(w *groupWorld) {
		w.group.Add()
		time.Sleep(time.Minute)
	}, func(t *testing.T, w *groupWorld) {
		wait(2 * time.Minute)
		orphans := w.pool.Status().Orphans
		if len(orphans) != 1 || orphans[0].Instance.Name != group.Unclaimed("i-000001") || orphans[0].Removal.IsZero() {
			t.Errorf("orphans %+v", orphans)
		}
		w.has(0, 1, 1)
		wait(40 * time.Minute)
		w.settledGroup()
	})
}
