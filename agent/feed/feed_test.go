package feed

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurns(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.feed.Configure(Settings{Concurrent: 10, CheckInterval: 6 * time.Second, Runners: []Runner{
			b.runner("a", nil), b.runner("b", nil), b.runner("c", nil)}})
		pass(time.Minute + time.Second)
		first := map[string]time.Time{}
		var last time.Time
		for i, r := range b.requests {
			if i >= 3 && r.at.Sub(last) != 2*time.Second {
				t.Errorf("request %d came %v after the one before", i, r.at.Sub(last))
			}
			if prev, ok := first[r.token]; ok && i > 5 && r.at.Sub(prev) != 6*time.Second {
				t.Errorf("runner %s asked after %v", r.token, r.at.Sub(prev))
			}
			first[r.token], last = r.at, r.at
		}
		if b.asked("") != 3+30 {
			t.Errorf("%d requests in a minute", b.asked(""))
		}
		if b.released["a"] != b.asked("a") {
			t.Errorf("%d leases given back after %d requests", b.released["a"], b.asked("a"))
		}
	})
}

func TestSlots(t *testing.T) {
	for _, tc := range []struct {
		name       string
		concurrent int
		limits     [2]int
		want       [2]int // running after a while
	}{
		{"concurrent holds over all runners", 4, [2]int{}, [2]int{2, 2}},
		{"limit holds for one", 10, [2]int{3, 2}, [2]int{3, 2}},
		{"both", 4, [2]int{1, 0}, [2]int{1, 3}},
		{"less than one is one", 0, [2]int{1, 1}, [2]int{1, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.queue["a"], b.queue["b"] = 1000, 1000
				b.duration = 10 * time.Hour
				b.feed.Configure(Settings{Concurrent: tc.concurrent, Runners: []Runner{
					b.runner("a", func(r *Runner) { r.Limit = tc.limits[0] }), b.runner("b", func(r *Runner) { r.Limit = tc.limits[1] })}})
				pass(time.Hour)
				if got := [2]int{b.running("a"), b.running("b")}; got[0]+got[1] != tc.want[0]+tc.want[1] ||
					tc.limits != [2]int{} && got != tc.want && tc.concurrent > 0 {
					t.Errorf("running %v, want %v", got, tc.want)
				}
			})
		})
	}
}

// TestFairShare has two runners with long queues share the slots, though either alone would take them all.
func TestFairShare(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.queue["a"], b.queue["b"] = 1000, 1000
		b.uneven = true
		b.feed.Configure(Settings{Concurrent: 4, Runners: []Runner{b.runner("a", nil), b.runner("b", nil)}})
		pass(time.Hour)
		a, other := 1000-b.queue["a"], 1000-b.queue["b"]
		if a+other < 215 || a < other-20 || a > other+20 {
			t.Errorf("a got %d jobs, b %d", a, other)
		}
		if b.peak > 4 {
			t.Errorf("%d jobs at once", b.peak)
		}
	})
}

func TestNextJobAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name   string
		strict bool
		want   int // jobs after a second
	}{{"usually", false, 5}, {"not with strict_check_interval", true, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.queue["a"] = 5
				b.feed.Configure(Settings{Concurrent: 10, Runners: []Runner{
					b.runner("a", func(r *Runner) { r.StrictCheckInterval = tc.strict })}})
				pass(time.Second)
				if got := b.running("a"); got != tc.want {
					t.Errorf("%d jobs run", got)
				}
			})
		})
	}
}

// TestSlotFreed has the next job asked for in the moment that one ends.
// TestAlwaysOneRequestHeld has a coordinator that holds requests open: the next one follows at once, but not in a hurry when the coordinator
// does not hold them after all.
func TestAlwaysOneRequestHeld(t *testing.T) {
	for _, tc := range []struct {
		name   string
		poll   time.Duration
		says   bool
		strict bool
		least  int // requests in ten minutes
		most   int
	}{
		{"held, and said so", 50 * time.Second, true, false, 12, 13},
		{"held, by something else", 4 * time.Second, false, false, 99, 101}, // each turn that finds no request open
		{"said so, and not held", 0, true, false, 200, 620},
		{"held, with strict_check_interval", 50 * time.Second, true, true, 11, 12},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.poll, b.polled = tc.poll, tc.says
				b.feed.Configure(Settings{Concurrent: 10, Runners: []Runner{b.runner("a", func(r *Runner) { r.StrictCheckInterval = tc.strict })}})
				pass(10 * time.Minute)
				if n := b.asked(""); n < tc.least || n > tc.most {
					t.Errorf("%d requests in ten minutes, want %d to %d", n, tc.least, tc.most)
				}
			})
		})
	}
}

func TestSlotFreed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.queue["a"] = 2
		b.duration = 10500 * time.Millisecond
		b.feed.Configure(Settings{Concurrent: 1, Runners: []Runner{b.runner("a", nil)}})
		pass(b.duration)
		if got := b.asked("a"); got != 2 || b.running("a") != 1 {
			t.Errorf("%d requests, %d running", got, b.running("a"))
		}
	})
}

func TestMachines(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.queue["a"] = 3
		b.machines["a"] = 0
		b.feed.Configure(Settings{Concurrent: 10, CheckInterval: time.Minute, Runners: []Runner{b.runner("a", nil), b.runner("b", nil)}})
		pass(10 * time.Second)
		if got := b.asked("a"); got != 0 {
			t.Fatalf("%d requests without a machine", got)
		}
		b.feed.Wake("b")
		synctest.Wait()
		if got := b.asked("b"); got != 1 {
			t.Errorf("%d requests of a runner that has machines", got)
		}
		b.do(func() { b.machines["a"] = 2 })
		b.feed.Wake("a")
		synctest.Wait()
		if got := b.running("a"); got != 2 {
			t.Errorf("%d jobs run in the moment that two machines became idle", got)
		}
		b.do(func() { b.machines["a"]++ })
		b.feed.Wake()
		synctest.Wait()
		if got := b.running("a"); got != 3 {
			t.Errorf("%d jobs run after the third machine", got)
		}
		if got := b.count(Failed); got != 0 {
			t.Errorf("%d failures told of", got)
		}
	})
}

func TestRequestConcurrency(t *testing.T) {
	for _, tc := range []struct {
		name     string
		requests int
		adaptive bool
		queue    int
		most     int
	}{
		{name: "one by default", requests: 0, most: 1},
		{name: "as many as told", requests: 3, most: 3},
		{name: "adaptive without jobs stays at one", requests: 3, adaptive: true, most: 1},
		{name: "adaptive grows with jobs", requests: 3, adaptive: true, queue: 100, most: 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.poll, b.duration = 50*time.Second, time.Second
				b.queue["a"] = tc.queue
				b.feed.Configure(Settings{Concurrent: 10, Runners: []Runner{b.runner("a", func(r *Runner) {
					r.RequestConcurrency, r.Adaptive = tc.requests, tc.adaptive
				})}})
				pass(2 * time.Minute)
				if got := b.most["a"]; got != tc.most {
					t.Errorf("%d requests at once, want %d", got, tc.most)
				}
			})
		})
	}
}

func TestAdaptive(t *testing.T) {
	r := newRunner()
	r.settings = Runner{RequestConcurrency: 10, Adaptive: true}
	for i, step := range []struct {
		factor  float64
		retried bool
		want    int
	}{
		{emptyFactor, false, 1}, {jobFactor, false, 2}, {jobFactor, false, 2}, {emptyFactor, false, 2}, {1, true, 1}, {jobFactor, true, 1},
	} {
		if r.adapt(step.factor, step.retried); r.requests() != step.want {
			t.Errorf("step %d: %d requests, want %d (%v)", i, r.requests(), step.want, r.moving)
		}
	}
	for range 100 {
		r.adapt(jobFactor, false)
	}
	if r.requests() != 10 {
		t.Errorf("%d requests after many jobs", r.requests())
	}
}

func TestHealth(t *testing.T) {
	for _, tc := range []struct {
		name     string
		status   int
		want     int // requests in 10 minutes
		disabled int
	}{
		{"a refused token disables", http.StatusForbidden, 3, 1},
		{"a conflict is no failure", http.StatusConflict, 200, 0},
		{"nor is a bad request", http.StatusBadRequest, 200, 0},
		{"nor an outage", http.StatusNotImplemented, 200, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.status["a"] = tc.status
				b.feed.Configure(Settings{Concurrent: 10, Runners: []Runner{b.runner("a", func(r *Runner) { r.UnhealthyInterval = time.Hour })}})
				pass(10*time.Minute - time.Second)
				if got := b.asked("a"); got != tc.want {
					t.Errorf("%d requests, want %d", got, tc.want)
				}
				if got := b.count(Disabled); got != tc.disabled {
					t.Errorf("disabled %d times", got)
				}
				if got := b.released["a"]; got != tc.want {
					t.Errorf("%d leases given back, want %d", got, tc.want)
				}
				b.do(func() { b.status["a"], b.queue["a"] = 0, 1 })
				pass(time.Hour)
				if b.queue["a"] != 0 || b.count(Enabled) != tc.disabled {
					t.Errorf("after an hour %d jobs are left, enabled %d times", b.queue["a"], b.count(Enabled))
				}
			})
		})
	}
}

func TestHealthIsClearedByAReload(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.status["a"] = http.StatusForbidden
		settings := Settings{Concurrent: 1, Runners: []Runner{b.runner("a", nil)}}
		b.feed.Configure(settings)
		pass(time.Minute)
		b.do(func() { b.status["a"], b.queue["a"] = 0, 1 })
		b.feed.Configure(settings)
		pass(5 * time.Second)
		if got := b.running("a"); got != 1 {
			t.Errorf("%d jobs run", got)
		}
	})
}

func TestReconfigure(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.queue["a"], b.queue["b"] = 1000, 1000
		b.duration = 10 * time.Minute
		a, other := b.runner("a", nil), b.runner("b", nil)
		set := func(concurrent int, runners ...Runner) {
			b.feed.Configure(Settings{Concurrent: concurrent, Runners: runners})
			synctest.Wait()
		}
		expect := func(what string, inA, inB int) {
			t.Helper()
			if b.running("a") != inA || b.running("b") != inB {
				t.Errorf("%s: %d and %d jobs run, want %d and %d", what, b.running("a"), b.running("b"), inA, inB)
			}
		}
		set(2, a)
		expect("two slots", 2, 0)
		set(5, a)
		expect("more slots are used at once", 5, 0)
		set(1, a)
		expect("fewer stop no job", 5, 0)
		pass(b.duration)
		expect("and are reached as jobs end", 1, 0)
		set(3, a, other)
		pass(10 * time.Second)
		if b.running("a")+b.running("b") != 3 || b.running("b") == 0 {
			t.Errorf("a new runner: %d and %d jobs run", b.running("a"), b.running("b"))
		}
		b.feed.Remove("b")
		b.do(func() { b.queue["a"] = 0 })
		asked := b.asked("b")
		pass(b.duration)
		expect("a removed runner's jobs end and none follows", 0, 0)
		if b.asked("b") != asked {
			t.Error("a removed runner has asked")
		}
	})
}

// TestRemoveEndsTheRequest takes a runner out while it waits in a long poll.
func TestRemoveEndsTheRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.poll = time.Hour
		b.feed.Configure(Settings{Concurrent: 1, Runners: []Runner{b.runner("a", nil), b.runner("b", nil)}})
		pass(time.Minute)
		if b.open["a"] != 1 || b.open["b"] != 0 {
			t.Fatalf("%d and %d requests are open", b.open["a"], b.open["b"])
		}
		b.feed.Configure(Settings{Concurrent: 1, Runners: []Runner{b.runner("b", nil)}})
		synctest.Wait()
		if b.open["a"] != 0 || b.open["b"] != 1 || b.released["a"] != 1 {
			t.Errorf("%d and %d requests are open, %d leases given back", b.open["a"], b.open["b"], b.released["a"])
		}
	})
}

// TestJobOfTheLastRequest has the coordinator give out a job just as its runner goes, or all do.
func TestJobOfTheLastRequest(t *testing.T) {
	for name, leave := range map[string]func(*Feed){
		"removed": func(f *Feed) { f.Remove("a") },
		"drained": func(f *Feed) { f.Drain() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.think = linger - time.Millisecond
				b.queue["a"] = 1
				b.feed.Configure(Settings{Concurrent: 1, Runners: []Runner{b.runner("a", nil)}})
				pass(time.Millisecond)
				b.do(func() {
					if b.open["a"] != 1 {
						t.Errorf("%d requests are open", b.open["a"])
					}
				})
				leave(b.feed)
				pass(linger)
				if n := b.running("a"); n != 1 {
					t.Errorf("%d jobs run", n)
				}
				pass(b.duration)
				if n, asked := b.count(Ended), b.asked("a"); n != 1 || asked != 1 {
					t.Errorf("%d jobs have ended after %d requests", n, asked)
				}
			})
		})
	}
}

func TestDrain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.poll = time.Hour
		b.queue["a"] = 2
		b.feed.Configure(Settings{Concurrent: 10, Runners: []Runner{b.runner("a", nil)}})
		pass(linger)
		if b.running("a") != 2 || b.open["a"] != 1 {
			t.Fatalf("%d jobs, %d requests", b.running("a"), b.open["a"])
		}
		b.feed.Drain()
		synctest.Wait()
		if b.running("a") != 2 || b.open["a"] != 0 {
			t.Errorf("after the drain %d jobs, %d requests", b.running("a"), b.open["a"])
		}
		b.do(func() { b.queue["a"] = 2 })
		began := time.Now()
		b.feed.Configure(Settings{Concurrent: 20, Runners: []Runner{b.runner("a", nil), b.runner("b", nil)}})
		b.feed.Wait()
		synctest.Wait()
		if got, want := time.Since(began), b.duration-linger; got != want {
			t.Errorf("the feed ended after %v, want %v", got, want)
		}
		if b.queue["a"] != 2 || b.count(Ended) != 2 {
			t.Errorf("%d jobs left, %d ended", b.queue["a"], b.count(Ended))
		}
	})
}

func TestStop(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		f := New(Options{})
		f.Wait() // not started: nothing to wait for
		ctx, cancel := context.WithCancel(t.Context())
		f.Start(ctx)
		b.queue["a"] = 1
		f.Configure(Settings{Concurrent: 10, Runners: []Runner{b.runner("a", nil)}})
		pass(time.Second)
		began := time.Now()
		cancel()
		f.Wait()
		synctest.Wait()
		if got := time.Since(began); got != 0 || b.running("a") != 0 {
			t.Errorf("the feed ended after %v with %d jobs", got, b.running("a"))
		}
		if b.released["a"] != b.asked("a") {
			t.Errorf("%d leases given back after %d requests", b.released["a"], b.asked("a"))
		}
	})
}

// TestTold has each turn told of, with how it ended or what stood against it, and the figures to go with it.
func TestTold(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(*bench, *Settings)
		why     Why // of the last turn without a request; "" is none
		kind    EventKind
	}{
		{"no job", func(*bench, *Settings) {}, "", Empty},
		{"no slot", func(b *bench, s *Settings) { b.queue["a"], s.Concurrent = 9, 1 }, NoSlot, Received},
		{"limit", func(b *bench, s *Settings) { b.queue["a"], s.Runners[0].Limit = 9, 1 }, AtLimit, Received},
		{"a poll is open", func(b *bench, _ *Settings) { b.poll = time.Hour }, Requests, ""},
		{"no machine", func(b *bench, _ *Settings) { b.machines["a"] = 0 }, NoMachine, ""},
		{"refused", func(b *bench, _ *Settings) { b.status["a"] = http.StatusForbidden }, NotWell, Unhealthy},
		{"an outage", func(b *bench, _ *Settings) { b.status["a"] = http.StatusNotImplemented }, "", Failed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.duration = 10 * time.Hour
				s := Settings{Concurrent: 10, Runners: []Runner{b.runner("a", nil)}}
				tc.prepare(b, &s)
				b.feed.Configure(s)
				pass(time.Minute)
				if n := b.count(Turn); n < 19 || n > 21 {
					t.Errorf("%d turns in a minute", n)
				}
				if b.why != tc.why {
					t.Errorf("the last turn came to nothing for %q, want %q", b.why, tc.why)
				}
				if tc.kind != "" && b.count(tc.kind) == 0 {
					t.Errorf("%s was never told", tc.kind)
				}
				f := b.feed.Figures()
				want := RunnerFigures{
					Key: "a", Running: b.running("a"), Asking: b.open["a"], HardLimit: 1, AdaptiveLimit: 1, UsedLimit: 1,
					Disabled: tc.why == NotWell, Starved: tc.why == NoMachine,
				}
				if f.Slots != s.Concurrent || len(f.Runners) != 1 || f.Runners[0] != want {
					t.Errorf("figures %+v, want %+v", f, want)
				}
			})
		})
	}
}

// TestTooManyRequests has a coordinator that is overloaded asked less: its Retry-After is kept to, and the adaptive limit falls.
func TestTooManyRequests(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		inBubble(t, func(t *testing.T, b *bench) {
			b.status["a"], b.retryAfter = status, 30
			b.feed.Configure(Settings{Concurrent: 10, Runners: []Runner{b.runner("a", func(r *Runner) { r.RequestConcurrency, r.Adaptive = 4, true })}})
			pass(10 * time.Minute)
			// Five attempts, 30 s apart, then the next turn.
			if got := b.asked("a"); got < 20 || got > 26 {
				t.Errorf("status %d: %d requests in 10 minutes", status, got)
			}
			if b.count(Disabled) != 0 || b.count(Failed) == 0 {
				t.Errorf("status %d: disabled %d times, failed %d times", status, b.count(Disabled), b.count(Failed))
			}
			b.do(func() { b.status["a"], b.queue["a"] = 0, 1 })
			pass(time.Minute)
			if b.running("a") != 1 {
				t.Errorf("status %d: no job once it answers", status)
			}
		})
	}
}
