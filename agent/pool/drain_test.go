package pool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// refused is a provider that has its bad day.
var refused = &abi.Error{Kind: abi.Transient, Message: "try again later"}

// said keeps the lines of a log, as JSON.
type said struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// find returns the fields of the first line with a message, nil when it was never said.
func (s *said) find(t *testing.T, message string) map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["msg"] == message {
			return fields
		}
	}
	return nil
}

// listen makes the pool's log, at every level, readable.
func (w *world) listen() *said {
	s := &said{}
	w.opts.Log = slog.New(slog.NewJSONHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return s
}

// TestEbb has a pool that is to end without haste: it grows for jobs in hand alone, and keeps or removes what is idle.
func TestEbb(t *testing.T) {
	for _, tt := range []struct {
		name       string
		remove     bool
		idle, left int // after a minute, and after the job
	}{{"idle machines stay", false, 2, 3}, {"idle machines go", true, 0, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, abi.RunnerSettings{IdleCount: 2, IdleTimeS: 60}, func(t *testing.T, w *world) {
				wait(time.Minute)
				l := w.acquire()
				w.use(l, 1)
				wait(time.Minute)
				w.counts(2, 1, 3)
				w.pool.Ebb(tt.remove)
				wait(10 * time.Minute)
				w.counts(tt.idle, 1, 1+tt.idle)
				l.Release(false)
				wait(time.Minute)
				w.counts(tt.left, 0, tt.left)
				for _, m := range w.names() {
					w.cloud.Kill(m)
				}
				wait(10 * time.Minute)
				w.counts(0, 0, 0) // and none is replaced

				waits, err := w.pool.AcquireForJob(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				w.use(waits, 2)
				w.counts(0, 1, 1) // a job in hand still gets its machine
				waits.Release(false)
			})
		})
	}
}

// TestStopRemoving has removals fail as often as told: each machine has its tries, at their pauses, and what is left is kept.
func TestStopRemoving(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fails  int // of the removals, over all machines
		left   int
		within time.Duration
	}{
		{"all goes well", 0, 0, time.Second},
		{"the last try succeeds", 6, 0, 20 * time.Second}, // 5 s and 10 s after the tries before
		{"the tries are used up", -1, 2, 20 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, abi.RunnerSettings{IdleCount: 2})
				log := w.listen()
				w.start()
				wait(time.Minute)
				if tt.fails != 0 {
					w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: tt.fails, Error: refused})
				}
				began := time.Now()
				d := pool.Drain{Gate: make(chan struct{}, 1), MaxRetries: 3, RetryBackoff: 5 * time.Second}
				if tt.fails < 0 {
					d.MaxRetries = 2
				}
				err := w.pool.StopRemoving(t.Context(), d)
				if (err != nil) != (tt.left > 0) {
					t.Error(err)
				}
				if took := time.Since(began); took > tt.within+10*time.Second {
					t.Errorf("it took %s", took)
				}
				if got := len(w.cloud.Machines()); got != tt.left {
					t.Errorf("%d machines are left", got)
				}
				end := log.find(t, "Machine pool drain completed")
				if end["success"] != float64(2-tt.left) || end["failed"] != float64(tt.left) || end["total"] != float64(2) {
					t.Errorf("the end: %v", end)
				}
				if gaveUp := log.find(t, "Failed to drain machine after all retries"); (gaveUp != nil) != (tt.left > 0) {
					t.Errorf("given up: %v", gaveUp)
				}
				if done := log.find(t, "Machine drained successfully"); (done != nil) != (tt.left == 0) {
					t.Errorf("drained: %v", done)
				}
				w.journal.Close()
				w.cloud.Heal() // the next start goes on with it
				w.start()
				w.stop(true)
				if left := w.cloud.Machines(); len(left) > 0 {
					t.Errorf("after the next start: %v", left)
				}
			})
		})
	}
}

// TestDrainTimesOut has the time run out before the machines are gone.
func TestDrainTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 1})
		log := w.listen()
		w.start()
		wait(time.Minute)
		w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: -1, Error: refused})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := w.pool.StopRemoving(ctx, pool.Drain{}); err == nil {
			t.Error("no error")
		}
		if log.find(t, "Drain operation cancelled or timed out") == nil {
			t.Error("nobody was told")
		}
		w.journal.Close()
		w.cloud.Heal()
		w.start()
		w.stop(true)
	})
}
