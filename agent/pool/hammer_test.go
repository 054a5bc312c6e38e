package pool_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestHammerLeases has sixty workers that take, use, break and cancel leases on a provider that fails now and then. No machine
// serves two jobs at once, no limit is passed, and nothing is left.
func TestHammerLeases(t *testing.T) {
	const workers, rounds, limit = 60, 15, 20
	inWorld(t, abi.RunnerSettings{IdleCount: 5, Limit: limit, MaxBuilds: 4, IdleTimeS: 30}, func(t *testing.T, w *world) {
		for range 10 {
			w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Error: &abi.Error{Kind: abi.Transient, Message: "hiccup"}})
			w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Lost: true})
			w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Lost: true})
			w.cloud.Inject(fake.Fault{Op: fake.OpList, Hide: 3})
		}
		var (
			mu     sync.Mutex
			inUse  = map[string]int64{}
			served atomic.Int64
			all    sync.WaitGroup
		)
		for worker := range workers {
			all.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(worker)))
				for round := range rounds {
					time.Sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
					acquire := w.pool.Acquire
					if r.IntN(3) == 0 {
						acquire = w.pool.AcquireForJob
					}
					l, err := acquire(t.Context())
					if errors.Is(err, pool.ErrNoMachine) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					if r.IntN(5) == 0 { // no job came
						l.Release(false)
						continue
					}
					job := int64(worker*rounds + round + 1)
					if err := l.Use(job); err != nil {
						t.Error(err)
					}
					m, _, err := l.Machine(t.Context())
					if err != nil { // creations failed; the job is told
						l.Release(false)
						continue
					}
					mu.Lock()
					if other := inUse[m.Name]; other != 0 {
						t.Errorf("%s serves jobs %d and %d", m.Name, other, job)
					}
					inUse[m.Name] = job
					mu.Unlock()
					time.Sleep(time.Duration(r.IntN(30_000)) * time.Millisecond)
					if now := machineOf(w, m.Name); now.State != fleet.Used || now.JobID != job {
						t.Errorf("job %d runs on %+v", job, now)
					}
					mu.Lock()
					delete(inUse, m.Name)
					mu.Unlock()
					served.Add(1)
					l.Release(r.IntN(10) == 0)
				}
			})
		}
		stop := make(chan struct{})
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
				}
				if c := w.pool.Status().Counts; c.Total > limit || len(w.cloud.Machines()) > limit {
					t.Errorf("%+v passes the limit of %d", c, limit)
				}
			}
		}()
		all.Wait()
		close(stop)
		<-watched
		t.Logf("%d jobs on %d machines", served.Load(), w.cloud.Made())
		if served.Load() < workers {
			t.Errorf("%d jobs were served only", served.Load())
		}
		wait(10 * time.Minute)
		w.counts(5, 0, 5)
		w.settled()
	})
}

func machineOf(w *world, name string) fleet.Machine {
	for _, m := range w.pool.Status().Machines {
		if m.Name == name {
			return m
		}
	}
	return fleet.Machine{}
}
