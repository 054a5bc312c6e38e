package pool_test

import (
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestCareChanges gives a pool other times while it lives: each is in force at once, for the machines that are there too.
func TestCareChanges(t *testing.T) {
	off := pool.Care{Probe: -1}
	for _, tt := range []struct {
		name          string
		prepare       func(w *world)
		care          pool.Care
		wait          time.Duration
		before, after func(w *world) bool
	}{
		{
			name: "probes", care: pool.Care{Probe: 10 * time.Second}, wait: time.Minute,
			prepare: func(w *world) { w.engines.breakDown(w.names()[0]) },
			before:  func(w *world) bool { return w.removals()["machine is unavailable"] == 0 },
			after:   func(w *world) bool { return w.removals()["machine is unavailable"] == 1 },
		},
		{
			name: "grace of orphans", care: pool.Care{Probe: -1, OrphanGrace: new(time.Duration)}, wait: 2 * time.Minute,
			prepare: func(w *world) {
				owner := abi.Owner{ID: w.journal.Owner()}
				if _, err := w.cloud.Create(w.t.Context(), abi.CreateRequest{Owner: owner, Name: "runner-old-1-0000000a"}); err != nil {
					w.t.Fatal(err)
				}
			},
			before: func(w *world) bool { return len(w.pool.Status().Orphans) == 1 && len(w.names()) == 2 },
			after:  func(w *world) bool { return len(w.pool.Status().Orphans) == 0 && len(w.names()) == 1 },
		},
		{
			name: "reservations", care: pool.Care{Probe: -1, AcquireTimeout: time.Minute}, wait: 2 * time.Second,
			prepare: func(w *world) { w.acquire() },
			before:  func(w *world) bool { return w.pool.Status().Counts.Acquired == 1 },
			after:   func(w *world) bool { return w.pool.Status().Counts.Idle == 1 },
		},
		{
			name: "creations", care: pool.Care{Probe: -1, CreateTimeout: time.Minute}, wait: 2 * time.Second,
			prepare: func(w *world) {
				w.engines.set(func() { w.engines.hang = 10 * time.Minute })
				w.pool.RemoveMachine(w.t.Context(), w.names()[0])
			},
			before: func(w *world) bool { return w.overdue()["creating"] == 0 && w.pool.Status().Counts.Creating == 1 },
			after:  func(w *world) bool { return w.overdue()["creating"] == 1 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inPreparedWorld(t, abi.RunnerSettings{IdleCount: 1}, func(w *world) { w.opts.Care = off }, func(t *testing.T, w *world) {
				wait(time.Minute)
				tt.prepare(w)
				wait(5 * time.Minute)
				if !tt.before(w) {
					t.Fatalf("before: %+v", w.pool.Status().Counts)
				}
				w.pool.SetCare(tt.care)
				wait(tt.wait)
				if !tt.after(w) {
					t.Errorf("after: %+v, orphans %+v, removals %v", w.pool.Status().Counts, w.pool.Status().Orphans, w.removals())
				}
				w.engines.set(func() { w.engines.hang = 0 })
				wait(10 * time.Minute)
			})
		})
	}
}
