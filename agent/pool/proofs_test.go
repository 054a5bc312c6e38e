package pool_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// meter is a provider whose calls are measured.
type meter struct {
	driver.Driver
	mu        sync.Mutex // guards what follows
	at        []time.Time
	now, most int // removals under way, and at most
	spot      int // creations of spot machines
}

func (m *meter) call() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = append(m.at, time.Now())
}

// optSpot asks for a spot machine; the meter's provider has none while noSpot is set.
const optSpot = "fake-spot"

func (m *meter) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	m.call()
	if req.Options.Get(optSpot) == "true" {
		m.mu.Lock()
		m.spot++
		m.mu.Unlock()
		return abi.Instance{}, &driver.Error{Driver: "fake", Op: fake.OpCreate, Info: *fake.StockOut()}
	}
	return m.Driver.Create(ctx, req)
}

func (m *meter) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	m.call()
	return m.Driver.List(ctx, req)
}

func (m *meter) Remove(ctx context.Context, req abi.RemoveRequest) error {
	m.call()
	m.mu.Lock()
	m.now++
	m.most = max(m.most, m.now)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.now--
	}()
	return m.Driver.Remove(ctx, req)
}

// measure puts a meter before the world's provider.
func (w *world) measure() *meter {
	m := &meter{Driver: w.cloud}
	w.opts.Drivers = func(string) (driver.Driver, error) { return m, nil }
	return m
}

// another starts a pool of another runner beside the world's.
func (w *world) another(name string) *pool.Pool {
	w.t.Helper()
	o := w.opts
	o.Key, o.Settings.Runner.Name = name+"/abcdefghi", name
	p, err := pool.New(o)
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// TestBurstsShareOneBudget has 200 jobs come to two runners of one account at once: at no time are there more calls, of all kinds and both pools
// together, than the account's budget has, and none of the runners waits for the other's end.
func TestBurstsShareOneBudget(t *testing.T) {
	const perSecond, burst, jobs = 5, 10, 100 // of each runner
	rates := func(string) pool.Rates { return pool.Rates{Calls: pool.Rate{PerSecond: perSecond, Burst: burst}} }
	var m *meter
	inSharedWorld(t, abi.RunnerSettings{IdleTimeS: 600, MaxBuilds: 1}, pool.SharedOptions{Rates: rates}, func(w *world) { m = w.measure() },
		func(t *testing.T, w *world) {
			second := w.another("second")
			wait(time.Minute)
			served := make(chan string, 2*jobs)
			begun := time.Now()
			for runner, p := range []*pool.Pool{w.pool, second} {
				for n := range jobs {
					go func() {
						l, err := p.AcquireForJob(context.WithoutCancel(t.Context()))
						if err == nil {
							defer l.Release(false)
							err = l.Use(int64(n + 1))
						}
						if err == nil {
							_, _, err = l.Machine(context.WithoutCancel(t.Context()))
						}
						if err != nil {
							t.Errorf("runner %d, job %d: %v", runner, n+1, err)
						}
						served <- fmt.Sprint(runner)
					}()
				}
			}
			half := map[string]int{}
			for len(served) < 2*jobs && time.Since(begun) < time.Hour {
				wait(time.Second)
				if len(half) == 0 && len(served) >= jobs {
					for range len(served) {
						runner := <-served
						half[runner]++
						defer func() { served <- runner }() // it is counted all the same
					}
					break
				}
			}
			if half["0"] < jobs/4 || half["1"] < jobs/4 {
				t.Errorf("of the first jobs that had a machine, each runner has %v", half)
			}
			wait(10 * time.Minute)
			if made := w.cloud.Made(); made != 2*jobs {
				t.Errorf("%d machines were made for %d jobs", made, 2*jobs)
			}
			if a := w.opts.Shared.Accounts(); len(a) != 1 || a[0].Calls["create"] != 2*jobs {
				t.Errorf("accounts %+v", a)
			}
			if err := second.Stop(t.Context(), true); err != nil {
				t.Error(err)
			}
			m.within(t, perSecond, burst)
		})
}

// within checks that no span of time has more calls than a budget allows.
func (m *meter) within(t *testing.T, perSecond float64, burst int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortFunc(m.at, time.Time.Compare)
	for first := range m.at {
		for last := first; last < len(m.at); last++ {
			span := m.at[last].Sub(m.at[first])
			if n := last - first + 1; float64(n) > float64(burst)+span.Seconds()*perSecond+1e-6 {
				t.Fatalf("%d calls within %s, %s after the first of %d", n, span, m.at[first].Sub(m.at[0]), len(m.at))
			}
		}
	}
}

// TestSpotThenOnDemand has spot machines as the first choice and on-demand ones as the alternative: what the provider has none of is passed over
// for three minutes, to the second, and then tried again.
func TestSpotThenOnDemand(t *testing.T) {
	for _, tt := range []struct {
		after time.Duration // the stock-out
		tried int           // spot machines, then
	}{{2*time.Minute + 59*time.Second, 0}, {3*time.Minute + time.Second, 1}} {
		t.Run(tt.after.String(), func(t *testing.T) {
			var m *meter
			describe := func(string) []abi.Option { return []abi.Option{{Name: optSpot, Role: abi.RoleSpot}} }
			inSharedWorld(t, abi.RunnerSettings{}, pool.SharedOptions{Describe: describe}, func(w *world) {
				m = w.measure()
				w.opts.Settings.Options[optSpot] = []string{"true"}
				w.opts.Settings.Alternatives = []pool.Alternative{{Name: "on demand", Options: abi.Options{optSpot: {"false"}}}}
			}, func(t *testing.T, w *world) {
				wait(time.Second)
				began := time.Now()
				job := func(id int64) {
					l, err := w.pool.AcquireForJob(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if m := w.use(l, id); m.Options.Get(optSpot) != "false" {
						t.Errorf("job %d got a machine with %v", id, m.Options)
					}
					l.Release(true)
				}
				job(1)
				if m.spot != 1 {
					t.Errorf("%d spot machines were asked for before the other one, want 1", m.spot)
				}
				wait(tt.after - time.Since(began))
				job(2)
				if got := m.spot - 1; got != tt.tried {
					t.Errorf("%s after the stock-out %d spot machines were asked for, want %d", tt.after, got, tt.tried)
				}
			})
		})
	}
}

// TestTwoReasonsAtOnce has creations that fail for two reasons at the same time: each has its own back-off, the longer pause holds, and the first
// machine that becomes ready ends both.
func TestTwoReasonsAtOnce(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 2}, func(t *testing.T, w *world) {
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Error: fake.OverQuota()})
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Error: &abi.Error{Kind: abi.Transient, Message: "hiccup"}})
		wait(time.Millisecond)
		s := w.pool.Status()
		if s.Breaker != pool.BreakerOpen || len(s.Backoffs) != 2 {
			t.Fatalf("breaker %s, %+v", s.Breaker, s.Backoffs)
		}
		long, short := s.Backoffs[0], s.Backoffs[1]
		if long.Kind != abi.Quota || short.Kind != abi.Transient || long.Failures != 1 || short.Failures != 1 {
			t.Errorf("%+v and %+v, want one failure of each", long, short)
		}
		if a, b := time.Until(long.Until).Round(time.Second), time.Until(short.Until).Round(time.Second); a != time.Minute || b != time.Second {
			t.Errorf("pauses of %s and %s", a, b)
		}
		wait(59 * time.Second)
		if n := w.cloud.Calls(fake.OpCreate); n != 2 {
			t.Errorf("%d creations before the longer pause is over", n)
		}
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Error: &abi.Error{Kind: abi.Transient, Message: "hiccup"}})
		wait(2 * time.Second) // half open: one is tried, and fails for the other reason
		s = w.pool.Status()
		if n := w.cloud.Calls(fake.OpCreate); n != 3 || len(s.Backoffs) != 2 {
			t.Fatalf("%d creations, %+v", n, s.Backoffs)
		}
		for _, b := range s.Backoffs {
			if want := map[abi.ErrorKind]int{abi.Quota: 1, abi.Transient: 2}[b.Kind]; b.Failures != want {
				t.Errorf("%+v, want %d failures", b, want)
			}
		}
		wait(3 * time.Minute)
		w.counts(2, 0, 2)
		if s := w.pool.Status(); s.Breaker != pool.BreakerClosed || len(s.Backoffs) > 0 {
			t.Errorf("breaker %s, %+v after a success", s.Breaker, s.Backoffs)
		}
	})
}

// TestDrainConcurrency has two pools that end together: no more removals are under way at once than shutdown_drain allows over both.
func TestDrainConcurrency(t *testing.T) {
	for _, concurrency := range []int{1, 3} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, abi.RunnerSettings{IdleCount: 4})
				m := w.measure()
				w.start()
				second := w.another("second")
				wait(time.Minute)
				w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: -1, Delay: 5 * time.Second})
				d := pool.Drain{Gate: make(chan struct{}, concurrency), MaxRetries: 3, RetryBackoff: time.Second}
				began := time.Now()
				var both sync.WaitGroup
				for _, p := range []*pool.Pool{w.pool, second} {
					both.Go(func() {
						if err := p.StopRemoving(t.Context(), d); err != nil {
							t.Error(err)
						}
					})
				}
				both.Wait()
				rounds := time.Duration((8 + concurrency - 1) / concurrency)
				if took := time.Since(began); m.most != concurrency || took < rounds*5*time.Second || took > rounds*5*time.Second+10*time.Second {
					t.Errorf("%d removals at once, in %s", m.most, took)
				}
				if left := w.cloud.Machines(); len(left) > 0 {
					t.Errorf("left: %v", left)
				}
				w.journal.Close()
			})
		})
	}
}

// TestAgesOutliveRestart has idle machines whose agent is away for a while: their idle time, age and use count are those of before, so that they
// go when they would have gone.
func TestAgesOutliveRestart(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit func(s *pool.Settings) // that ends a machine's life
		ends  func(m fleet.Machine) time.Time
	}{
		{"IdleTime", func(s *pool.Settings) { s.Runner.IdleCount, s.Runner.IdleTimeS = 0, 1200 },
			func(m fleet.Machine) time.Time { return m.IdleSince.Add(20 * time.Minute) }},
		{"max_machine_age", func(s *pool.Settings) { s.Runner.IdleTimeS, s.Ceilings.MaxMachineAge = 86400, 30*time.Minute },
			func(m fleet.Machine) time.Time { return m.CreatedAt.Add(30 * time.Minute) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, abi.RunnerSettings{IdleCount: 1, IdleTimeS: 86400}, func(t *testing.T, w *world) {
				wait(time.Minute)
				l := w.acquire()
				w.use(l, 1)
				wait(3 * time.Minute)
				l.Release(false)
				wait(time.Minute)
				find := func() fleet.Machine {
					machines := w.pool.Status().Machines
					i := slices.IndexFunc(machines, func(m fleet.Machine) bool { return m.UsedCount == 1 })
					if i < 0 {
						return fleet.Machine{}
					}
					return machines[i]
				}
				before := find()
				w.stop(false)
				wait(4 * time.Minute)
				tt.limit(&w.opts.Settings)
				w.start()
				wait(time.Second)
				after := find()
				if after.Name != before.Name || !after.CreatedAt.Equal(before.CreatedAt) || !after.IdleSince.Equal(before.IdleSince) {
					t.Fatalf("it is %+v, and was %+v", after, before)
				}
				end := tt.ends(before)
				wait(time.Until(end) - time.Second)
				if !w.journal.Has(before.Name) {
					t.Errorf("it went before its time, %s", end)
				}
				wait(4 * time.Second)
				if w.journal.Has(before.Name) {
					t.Errorf("it is still there %s after its time", time.Since(end))
				}
				s := w.opts.Settings
				s.Runner.IdleCount, s.Ceilings = 0, fleet.Ceilings{}
				if err := w.pool.Reconfigure(s); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
