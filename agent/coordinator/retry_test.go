package coordinator

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/memnet"
)

func TestRetries(t *testing.T) {
	for _, tc := range []struct {
		name     string
		code     int
		attempts int
	}{
		{"overloaded", 503, 5}, {"rate limited", 429, 5}, {"timed out", 408, 5}, {"a failure", 500, 5}, {"beyond the list", 520, 5},
		{"not implemented", 501, 1}, {"loop detected", 508, 1}, {"refused", 400, 1}, {"not found", 404, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := &recorder{reply: status(tc.code)}
				c := newClient(t, Options{URL: "http://gitlab.test", Dial: memnet.Serve(t, rec).Dial})
				res, err := c.PatchTrace(t.Context(), aJob, []byte("piece"), 0, false)
				if tc.code != 404 && (err == nil || res.State != ReplyFailed) {
					t.Errorf("got %v, %v", res, err)
				}
				requests := rec.all()
				if len(requests) != tc.attempts {
					t.Errorf("%d attempts, want %d", len(requests), tc.attempts)
				}
				for _, r := range requests {
					if string(r.Body) != "piece" {
						t.Errorf("body %q", r.Body)
					}
				}
			})
		})
	}
}

func TestWait(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tc := range []struct {
		name     string
		head     map[string]string
		attempt  int
		from, to time.Duration
	}{
		{"nothing said", nil, 1, 50 * time.Millisecond, 100 * time.Millisecond},
		{"doubled", nil, 4, 400 * time.Millisecond, 800 * time.Millisecond},
		{"bounded", nil, 20, 30 * time.Second, time.Minute},
		{"seconds", map[string]string{"Retry-After": "7"}, 1, 7 * time.Second, 7 * time.Second},
		{"a date", map[string]string{"Retry-After": in(9 * time.Second)}, 1, 9 * time.Second, 9 * time.Second},
		{"a date gone by", map[string]string{"Retry-After": in(-time.Second)}, 1, 50 * time.Millisecond, 100 * time.Millisecond},
		{"reset time first", map[string]string{"RateLimit-ResetTime": in(30 * time.Second), "Retry-After": "7"}, 1, 30 * time.Second, 30 * time.Second},
		{"reset time gone by", map[string]string{"RateLimit-ResetTime": in(-time.Hour), "Retry-After": "7"}, 1, 7 * time.Second, 7 * time.Second},
		{"too long in seconds", map[string]string{"Retry-After": "86400"}, 1, maxToldWait, maxToldWait},
		{"too long to count", map[string]string{"Retry-After": "9223372036854775807"}, 1, maxToldWait, maxToldWait},
		{"too long as a date", map[string]string{"RateLimit-ResetTime": in(24 * time.Hour)}, 1, maxToldWait, maxToldWait},
		{"negative", map[string]string{"Retry-After": "-5"}, 1, 50 * time.Millisecond, 100 * time.Millisecond},
		{"nonsense", map[string]string{"Retry-After": "soon", "RateLimit-ResetTime": "later"}, 1, 50 * time.Millisecond, 100 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			for k, v := range tc.head {
				h.Set(k, v)
			}
			if got := untilRetry(h, tc.attempt, now); got < tc.from || got > tc.to {
				t.Errorf("%v, want %v to %v", got, tc.from, tc.to)
			}
		})
	}
}

// TestCancel ends a long poll and a wait between attempts by their context.
func TestCancel(t *testing.T) {
	for name, reply := range map[string]func(int, http.ResponseWriter, *http.Request){
		"in a long poll": func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"between tries":  status(503, "Retry-After: 60"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, Options{URL: "http://gitlab.test", Dial: memnet.Serve(t, &recorder{reply: reply}).Dial})
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(10*time.Second, cancel)
				began := time.Now()
				if _, err := c.RequestJob(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				if got := time.Since(began); got != 10*time.Second {
					t.Errorf("it took %v", got)
				}
			})
		})
	}
}

// TestConnectionMaxAge counts connections over an hour in which a job is asked for each 10 s.
func TestConnectionMaxAge(t *testing.T) {
	for _, tc := range []struct {
		name string
		age  time.Duration
		want int
	}{{"15 minutes by default", 0, 4}, {"as told", 30 * time.Minute, 2}, {"without end", -1, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network, conns := memnet.Serve(t, &recorder{reply: status(http.StatusNoContent)}), 0
				c := newClient(t, Options{URL: "http://gitlab.test", ConnectionMaxAge: tc.age,
					Dial: func(ctx context.Context, a, b string) (net.Conn, error) {
						conns++
						return network.Dial(ctx, a, b)
					}})
				for range 359 {
					if _, err := c.RequestJob(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Second)
				}
				if conns != tc.want {
					t.Errorf("%d connections, want %d", conns, tc.want)
				}
			})
		})
	}
}
