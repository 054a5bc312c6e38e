package trace

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

var success = Outcome{State: coordinator.JobSuccess}

// pass lets virtual time go by, and all that falls into it be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestFirstBytesGoSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		tr := start(t, s, nil)
		began := time.Now()
		tr.Stdout(StreamJob).Write([]byte("one\n"))
		pass(100 * time.Millisecond)
		tr.Stdout(StreamJob).Write([]byte("two\n"))
		pass(150 * time.Millisecond)
		if got := s.text(); got != "one\ntwo\n" {
			t.Fatalf("after 250 ms the coordinator has %q", got)
		}
		if at := s.calls[0].at.Sub(began); at != gather {
			t.Errorf("the first piece came after %v", at)
		}
		tr.Stdout(StreamJob).Write([]byte("three\n"))
		pass(firstInterval)
		if got := s.calls[1].at.Sub(s.calls[0].at); got != firstInterval {
			t.Errorf("the second piece came %v after the first", got)
		}
		if err := tr.Finish(t.Context(), success); err != nil {
			t.Fatal(err)
		}
		s.complete(t)
	})
}

func TestPace(t *testing.T) {
	for _, tc := range []struct {
		name     string
		interval string
		want     time.Duration
	}{
		{"the coordinator's interval", "60", time.Minute},
		{"capped", "86400", maxInterval},
		{"nonsense is ignored", "soon", firstInterval},
		{"so is zero", "0", firstInterval},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var times []time.Time
				s := &server{onPatch: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("X-GitLab-Trace-Update-Interval", tc.interval)
					times = append(times, time.Now())
					return false
				}}
				tr := start(t, s, nil)
				for range 2 {
					tr.Println("line")
					pass(maxInterval + time.Second)
				}
				for range 40 {
					tr.Println("line")
					pass(tc.want / 20)
				}
				if err := tr.Finish(t.Context(), success); err != nil {
					t.Fatal(err)
				}
				if got := times[3].Sub(times[2]); got != tc.want {
					t.Errorf("pieces %v apart, want %v", got, tc.want)
				}
				s.complete(t)
			})
		})
	}
}

func TestTouchWhenSilent(t *testing.T) {
	for _, tc := range []struct {
		name     string
		interval string
		dynamic  bool
		want     time.Duration
	}{
		{"watched", "3", false, 3 * time.Second},
		{"the coordinator's interval", "20", false, 20 * time.Second},
		{"half a minute at most", "60", false, 30 * time.Second},
		{"dynamic", "60", true, 240 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				canceled := make(chan time.Time, 2)
				s := &server{
					onPatch: answer(map[int][]string{1: {"202", "X-GitLab-Trace-Update-Interval: " + tc.interval}}),
					onPut:   answer(map[int][]string{1: {"200", "Job-Status: canceling"}, 2: {"200", "Job-Status: canceling"}}),
				}
				tr := start(t, s, func(o *Options) {
					o.DynamicForceSend = tc.dynamic
					o.OnCancel = func() { canceled <- time.Now() }
					o.OnAbort = func() { t.Error("aborted") }
				})
				tr.Println("line")
				pass(gather)
				began := time.Now()
				if got := (<-canceled).Sub(began); got != tc.want {
					t.Errorf("the cancel was heard after %v, want %v", got, tc.want)
				}
				pass(10 * time.Minute)
				if len(canceled) > 0 {
					t.Error("canceled twice")
				}
				if err := tr.Finish(t.Context(), Outcome{State: coordinator.JobFailed, FailureReason: coordinator.JobCanceled}); err != nil {
					t.Fatal(err)
				}
				if s.final["failure_reason"] != "unknown_failure" {
					t.Errorf("failure reason %v", s.final["failure_reason"])
				}
			})
		})
	}
}

// TestReplies has the vectors of a coordinator that answers otherwise: what is sent after which reply.
func TestReplies(t *testing.T) {
	for _, tc := range []struct {
		name         string
		patches      map[int][]string
		puts         map[int][]string
		want         []string
		abort, fails bool
		damaged      bool // the coordinator's trace is not compared
	}{
		{name: "all well", want: []string{"PATCH 0-9", "PATCH 10-19", "PUT success"}},
		{name: "416 with a smaller range", patches: map[int][]string{2: {"416", "Range: 0-4"}},
			want: []string{"PATCH 0-9", "PATCH 10-19", "PATCH 4-19", "PATCH 10-19", "PUT success"}},
		{name: "416 without a range", patches: map[int][]string{2: {"416"}},
			want: []string{"PATCH 0-9", "PATCH 10-19", "PATCH 0-19", "PATCH 10-19", "PUT success"}},
		{name: "416 that claims more than there is", patches: map[int][]string{2: {"416", "Range: 0-999"}}, damaged: true,
			want: []string{"PATCH 0-9", "PATCH 10-19", "PUT success"}},
		{name: "a lost reply: the bytes had arrived", patches: map[int][]string{2: {"501"}},
			want: []string{"PATCH 0-9", "PATCH 10-19", "PATCH 10-19", "PUT success"}},
		{name: "202, 202, 200 to the final update", puts: map[int][]string{
			1: {"202", "X-GitLab-Trace-Update-Interval: 1"}, 2: {"202", "X-GitLab-Trace-Update-Interval: 2"}},
			want: []string{"PATCH 0-9", "PATCH 10-19", "PUT success", "PUT success", "PUT success"}},
		{name: "202 while canceling", puts: map[int][]string{1: {"202", "Job-Status: canceling"}},
			want: []string{"PATCH 0-9", "PATCH 10-19", "PUT success", "PUT success"}},
		{name: "404 to the final update", puts: map[int][]string{1: {"404"}}, abort: true,
			want: []string{"PATCH 0-9", "PATCH 10-19", "PUT success"}},
		{name: "404 to the last piece", patches: map[int][]string{2: {"404"}}, damaged: true,
			want: []string{"PATCH 0-9", "PATCH 10-19", "PUT success"}},
		{name: "403 to the first piece", patches: map[int][]string{1: {"403"}}, abort: true, damaged: true, want: []string{"PATCH 0-9"}},
		{name: "canceled at the first piece", patches: map[int][]string{1: {"202", "Job-Status: canceled"}}, abort: true, damaged: true,
			want: []string{"PATCH 0-9"}},
		{name: "500 all the time", puts: map[int][]string{1: {"501"}, 2: {"501"}, 3: {"501"}}, fails: true,
			want: []string{"PATCH 0-9", "PATCH 10-19", "PUT success", "PUT success", "PUT success"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{onPatch: answer(tc.patches), onPut: answer(tc.puts)}
				aborts := 0
				tr := start(t, s, func(o *Options) {
					o.FinalRetries = 3
					o.OnAbort = func() { aborts++ }
				})
				out := tr.Stdout(StreamJob)
				out.Write([]byte("0123456789"))
				pass(time.Second)
				out.Write([]byte("abcdefghij"))
				err := tr.Finish(t.Context(), success)
				if (err != nil) != tc.fails {
					t.Errorf("Finish: %v", err)
				}
				if diff := cmp.Diff(tc.want, s.seen()); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
				if tr.Aborted() != tc.abort {
					t.Errorf("Aborted() = %v", tr.Aborted())
				}
				if !tc.damaged && s.text() != "0123456789abcdefghij" {
					t.Errorf("the coordinator has %q", s.text())
				}
			})
		})
	}
}

func TestTraceFoundInvalid(t *testing.T) {
	for _, tc := range []struct {
		name  string
		times int
		fails bool
		want  []string
	}{
		{"once", 1, false, []string{"PATCH 0-9", "PUT success", "PATCH 0-9", "PUT success"}},
		{"for ever", 100, true, []string{
			"PATCH 0-9", "PUT success", "PATCH 0-9", "PUT success", "PATCH 0-9", "PUT success", "PATCH 0-9", "PUT success"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(server)
				s.onPut = func(n int, w http.ResponseWriter, _ *http.Request) bool {
					if n > tc.times {
						return false
					}
					s.trace = nil // the lock is held
					w.WriteHeader(http.StatusPreconditionFailed)
					return true
				}
				tr := start(t, s, func(o *Options) { o.FinalRetries = 1 })
				tr.Stdout(StreamJob).Write([]byte("0123456789"))
				if err := tr.Finish(t.Context(), success); (err != nil) != tc.fails {
					t.Errorf("Finish: %v", err)
				}
				if diff := cmp.Diff(tc.want, s.seen()); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestBrokenRange has a coordinator that refuses every offset and never tells its own.
func TestBrokenRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{onPatch: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Range", "bytes 0")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		}}
		tr := start(t, s, func(o *Options) { o.FinalRetries = 2 })
		tr.Stdout(StreamJob).Write([]byte("0123456789"))
		if err := tr.Finish(t.Context(), success); err == nil {
			t.Error("no error")
		}
		if want := 2 * (maxRewinds + 1); s.patches != want || s.puts != 0 {
			t.Errorf("%d pieces and %d updates, want %d and none", s.patches, s.puts, want)
		}
	})
}

func TestFinishWaitsAsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{onPut: answer(map[int][]string{
			1: {"202", "X-GitLab-Trace-Update-Interval: 1"}, 2: {"202", "X-GitLab-Trace-Update-Interval: 8"}})}
		tr := start(t, s, nil)
		tr.Println("line")
		if err := tr.Finish(t.Context(), success); err != nil {
			t.Fatal(err)
		}
		var gaps []time.Duration
		for i := range s.calls[1:] {
			gaps = append(gaps, s.calls[i+1].at.Sub(s.calls[i].at))
		}
		if diff := cmp.Diff([]time.Duration{0, time.Second, 8 * time.Second}, gaps); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
	})
}

func TestFinishBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{onPut: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusNotImplemented)
			return true
		}}
		tr := start(t, s, nil)
		began := time.Now()
		err := tr.Finish(t.Context(), success)
		if err == nil || !strings.Contains(err.Error(), "job 7: final state success not delivered in 10 tries") {
			t.Errorf("error %v", err)
		}
		if got, want := time.Since(began), 511*time.Second; got != want {
			t.Errorf("it took %v, want %v", got, want)
		}
		if s.puts != 10 {
			t.Errorf("%d tries", s.puts)
		}
	})
}

func TestFinishEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{onPut: func(_ int, _ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}}
		tr := start(t, s, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := tr.Finish(ctx, success); err == nil {
			t.Error("no error")
		}
		if got := time.Since(began); got != 5*time.Second {
			t.Errorf("it took %v", got)
		}
	})
}

// TestSlowCoordinator writes much while the coordinator hangs: nobody waits and no byte is lost.
func TestSlowCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &server{onPatch: func(n int, _ http.ResponseWriter, _ *http.Request) bool {
			if n == 1 {
				<-release
			}
			return false
		}}
		tr := start(t, s, func(o *Options) { o.Limit = 8 << 20 })
		line := strings.Repeat("x", 1023) + "\n"
		began := time.Now()
		tr.Stdout(StreamJob).Write([]byte(line))
		pass(time.Second)
		for range 5000 {
			tr.Stdout(StreamJob).Write([]byte(line))
		}
		if got := time.Since(began); got != time.Second {
			t.Errorf("writing took %v", got)
		}
		close(release)
		if err := tr.Finish(t.Context(), success); err != nil {
			t.Fatal(err)
		}
		if got := s.text(); got != strings.Repeat(line, 5001) {
			t.Errorf("the coordinator has %d bytes", len(got))
		}
		s.complete(t)
	})
}

func TestNothingAfterFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		tr := start(t, s, nil)
		tr.Println("line")
		if err := tr.Finish(t.Context(), success); err != nil {
			t.Fatal(err)
		}
		size := tr.Size()
		tr.Println("late")
		tr.Stderr(StreamService).Write([]byte("late\n"))
		if tr.Size() != size {
			t.Error("something was taken after the end")
		}
		s.complete(t)
	})
}
