package pool_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/feed"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSequences lives each vector of the sequences and bounds in virtual time.
func TestSequences(t *testing.T) {
	lives := map[string]func(*testing.T, *world, *specvectors.Expectation){
		"S1": liveWithoutJobs, "S2": liveOnDemand, "S3": liveWithoutJob, "S4": liveOneJobMachines, "S5": liveAfterRestart,
		"S6": liveWithoutCreations, "S7": liveWithoutRemovals, "S8": liveWithFeed, "S9": liveBrokenEngine, "S10": liveDeadMachine,
		"B1": liveDocumentedPeak, "B2": liveGrowthRate, "B3": liveLimitOnDemand, "B4": liveLimitAndIdle,
	}
	specvectors.Run(t, specvectors.Sequences, specvectors.Pool, func(t *testing.T, v specvectors.Vector, want *specvectors.Expectation) {
		live := lives[v.ID]
		if live == nil {
			t.Fatal("nobody runs it")
		}
		before := func(w *world) {
			if v.ID == "S6" {
				w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Times: -1, Error: fake.OverQuota()})
			}
		}
		inPreparedWorld(t, v.Config.Settings(), before, func(t *testing.T, w *world) { live(t, w, want) })
	})
}

func liveWithoutJobs(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(2 * time.Hour)
	want.Is(t, "made", w.cloud.Made())
	want.Is(t, "idle after 2 h", w.pool.Status().Counts.Idle)
}

func liveOnDemand(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Minute)
	l := w.acquire()
	wait(time.Minute)
	want.Is(t, "made before the job", w.cloud.Made())
	w.use(l, 1)
	wait(5 * time.Minute)
	want.Is(t, "made", w.cloud.Made())
	l.Release(false)
	wait(600 * time.Second)
	want.Is(t, "there 600 s after", len(w.cloud.Machines()))
	wait(2 * time.Second)
	want.Is(t, "there 602 s after", len(w.cloud.Machines()))
}

func liveWithoutJob(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Minute)
	before := w.pool.Status().Machines
	l := w.acquire()
	wait(50 * time.Second)
	l.Release(false)
	after := w.pool.Status()
	want.Is(t, "idle", after.Counts.Idle)
	want.Is(t, "idle clock moved", slices.ContainsFunc(after.Machines, func(m fleet.Machine) bool {
		return !m.IdleSince.Equal(before[slices.IndexFunc(before, func(b fleet.Machine) bool { return b.Name == m.Name })].IdleSince)
	}))
}

func liveOneJobMachines(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Minute)
	l := w.acquire()
	m := w.use(l, 1)
	wait(time.Minute)
	l.Release(false)
	wait(time.Minute)
	want.Is(t, "removed", w.reasonOf(m.Name))
	want.Is(t, "idle afterwards", w.pool.Status().Counts.Idle)
	want.Is(t, "made", w.cloud.Made())
}

func liveAfterRestart(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Minute)
	name := w.names()[0]
	w.stop(false)
	w.start()
	jobs := 0
	for job := int64(1); job <= 5; job++ {
		wait(time.Minute)
		l := w.acquire()
		if w.use(l, job).Name == name {
			jobs++
		}
		l.Release(false)
		if w.reasonOf(name) == "" {
			continue
		}
		break
	}
	want.Is(t, "jobs on it", jobs)
}

func liveWithoutCreations(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Hour + time.Second) // a try falls on the hour
	first := w.cloud.Calls(fake.OpCreate)
	want.Is(t, "tries in the first hour", first)
	wait(time.Hour)
	want.Is(t, "tries in the next hour", w.cloud.Calls(fake.OpCreate)-first)
	w.cloud.Heal()
	wait(time.Hour)
	want.Is(t, "machines an hour after it works again", w.pool.Status().Counts.Idle)
}

func liveWithoutRemovals(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Minute)
	w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: -1, Error: &abi.Error{Kind: abi.Transient, Message: "no"}})
	w.acquire().Release(true)
	tries := 0
	for w.pool.Status().Counts.Stuck == 0 && tries < 100 {
		wait(time.Second)
		tries = w.cloud.Calls(fake.OpRemove)
	}
	want.Is(t, "stuck after tries", tries)
	wait(time.Hour - time.Since(epoch()))
	before := w.cloud.Calls(fake.OpRemove)
	wait(time.Hour)
	want.Is(t, "tries in the second hour", w.cloud.Calls(fake.OpRemove)-before)
	w.cloud.Heal()
	wait(6 * time.Minute)
	want.Is(t, "there in the end", w.pool.Status().Counts.Stuck > 0)
	w.settled()
}

// liveWithFeed has jobs without end waiting at the coordinator.
func liveWithFeed(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Minute)
	var running, next atomic.Int64
	end := make(chan struct{})
	runner := feed.Runner{
		Key: "r", Name: "r", Client: requester(func() *coordinator.Job { return &coordinator.Job{ID: next.Add(1)} }), Provider: provider{w.pool},
		Handler: func(_ context.Context, j *coordinator.Job, l feed.Lease) {
			defer l.Release()
			w.use(l.(held).Lease, j.ID)
			running.Add(1)
			<-end
		},
	}
	f := feed.New(feed.Options{})
	f.Start(t.Context())
	for _, step := range []struct {
		name       string
		concurrent int
	}{{"jobs with 3", 3}, {"jobs with 2", 2}, {"jobs with 4", 4}} {
		f.Configure(feed.Settings{Concurrent: step.concurrent, Runners: []feed.Runner{runner}})
		wait(time.Minute)
		want.Is(t, step.name, int(running.Load()))
	}
	f.Drain()
	close(end)
	f.Wait()
}

// requester is a coordinator that always has a job.
type requester func() *coordinator.Job

func (r requester) RequestJob(context.Context) (*coordinator.Job, error) { return r(), nil }

// provider gives the feed leases of a pool.
type provider struct{ *pool.Pool }

func (p provider) Acquire(ctx context.Context) (feed.Lease, error) {
	l, err := p.Pool.Acquire(ctx)
	if err != nil {
		return nil, feed.ErrNoCapacity
	}
	return held{l}, nil
}

type held struct{ *pool.Lease }

func (h held) Release() { h.Lease.Release(false) }

func liveBrokenEngine(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Minute)
	l := w.acquire()
	broken := w.use(l, 1)
	l.Release(true)
	next, err := w.pool.AcquireForJob(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.use(next, 1)
	holds := 0
	for _, m := range w.pool.Status().Machines {
		if m.JobID == 1 || m.State == fleet.Acquired {
			holds++
		}
	}
	want.Is(t, "machines held by the job", holds)
	want.Is(t, "removed", w.reasonOf(broken.Name))
	wait(time.Minute)
	want.Is(t, "machines", w.pool.Status().Counts.Total)
	next.Release(false)
}

func liveDeadMachine(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Minute)
	dead := slices.Max(w.names())        // of the same age: the name decides which is taken
	w.acquire().Release(false)           // it answers
	wait(3*time.Minute + 10*time.Second) // between two probes
	w.engines.breakDown(dead)
	l := w.acquire()
	m := w.use(l, 1)
	want.Is(t, "job runs", m.Name != dead)
	want.Is(t, "removed", w.reasonOf(dead))
	synctest.Wait()
	want.Is(t, "dead one there", slices.Contains(w.names(), dead))
	l.Release(false)
}

// liveDocumentedPeak has as many jobs as there are workers.
func liveDocumentedPeak(t *testing.T, w *world, want *specvectors.Expectation) {
	leases := w.jobs(20)
	wait(time.Minute)
	c := w.pool.Status().Counts
	want.Is(t, "used", c.Used)
	want.Is(t, "idle", c.Idle)
	want.Is(t, "machines", c.Total)
	release(leases)
}

func liveGrowthRate(t *testing.T, w *world, want *specvectors.Expectation) {
	leases := w.jobs(5)
	wait(2 * time.Minute)
	c := w.pool.Status().Counts
	want.Is(t, "used", c.Used)
	want.Is(t, "idle", c.Idle)
	creating, most := map[string]bool{}, 0
	w.mu.Lock()
	for _, e := range w.events {
		if m := e.Machine; m != nil && m.State == fleet.Creating {
			creating[m.Name] = true
			most = max(most, len(creating))
		} else if m != nil {
			delete(creating, m.Name)
		}
	}
	w.mu.Unlock()
	want.Is(t, "most being created", most)
	release(leases)
	want.Is(t, "idle after the jobs", w.pool.Status().Counts.Idle)
	wait(1802 * time.Second)
	want.Is(t, "idle after IdleTime", w.pool.Status().Counts.Idle)
}

func liveLimitOnDemand(t *testing.T, w *world, want *specvectors.Expectation) {
	wait(time.Second)
	var leases []*pool.Lease
	for {
		l, err := w.pool.Acquire(t.Context())
		if errors.Is(err, pool.ErrNoMachine) {
			break
		}
		leases = append(leases, l)
	}
	want.Is(t, "leases", len(leases))
	for i, l := range leases {
		w.use(l, int64(i+1))
	}
	leases[0].Release(true) // its machine goes, and the job wants another
	again, err := w.pool.AcquireForJob(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.use(again, 1)
	want.Is(t, "most machines", w.most())
	release(append(leases, again))
}

func liveLimitAndIdle(t *testing.T, w *world, want *specvectors.Expectation) {
	leases := w.jobs(20)
	wait(time.Minute)
	want.Is(t, "used", w.pool.Status().Counts.Used)
	want.Is(t, "most machines", w.most())
	release(leases)
}

// jobs starts n jobs as soon as there are machines for them.
func (w *world) jobs(n int) []*pool.Lease {
	w.t.Helper()
	var leases []*pool.Lease
	for give := 0; len(leases) < n && give < 600; give++ {
		l, err := w.pool.Acquire(w.t.Context())
		if err != nil {
			wait(time.Second)
			continue
		}
		w.use(l, int64(len(leases)+1))
		leases = append(leases, l)
	}
	if len(leases) < n {
		w.t.Fatalf("%d jobs run after ten minutes, want %d", len(leases), n)
	}
	return leases
}

func release(leases []*pool.Lease) {
	for _, l := range leases {
		l.Release(false)
	}
}

// reasonOf returns why a machine was removed, or "".
func (w *world) reasonOf(name string) string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if m := e.Machine; m != nil && m.Name == name && m.State == fleet.Removing && m.From != fleet.Removing {
			return m.Reason
		}
	}
	return ""
}

// most returns how many machines there were at once, by the events.
func (w *world) most() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	there, most := map[string]bool{}, 0
	for _, e := range w.events {
		if m := e.Machine; m != nil && m.Gone {
			delete(there, m.Name)
		} else if m != nil {
			there[m.Name] = true
			most = max(most, len(there))
		}
	}
	return most
}
