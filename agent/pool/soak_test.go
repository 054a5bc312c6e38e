package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/soak"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestGuardRailsForLong lets a live pool live for 10,000 ticks of virtual time in a random world: jobs come and go, lease and break
// machines; the provider refuses, loses answers, hides machines, is slow and lets machines die; settings change, people remove, cordon and
// hold machines and freeze all, the agent starts again, by another clock too. No guard rail breaks, no machine with a job is touched, and none is lost.
func TestGuardRailsForLong(t *testing.T) {
	soak.Run(t, func(t *testing.T, r *rand.Rand) {
		cryptotest.SetGlobalRandom(t, r.Uint64())       // machines' names
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // what is ready at the same instant runs in the same order, mostly
		synctest.Test(t, func(t *testing.T) {
			w := newSoakWorld(t, r)
			defer func() { w.pool.Stop(t.Context(), false) }() // when a check failed
			for tick := range soak.Ticks {
				w.chance()
				wait(time.Duration(200+r.IntN(1600)) * time.Millisecond)
				w.check()
				if t.Failed() {
					t.Fatalf("in tick %d, after %s", tick, time.Since(epoch()))
				}
			}
			w.settle()
		})
	})
}

// soakWorld is a world on a journal in memory, with the jobs that run in it.
type soakWorld struct {
	*world
	r        *rand.Rand
	journal  *memoryJournal
	jobs     []*soakJob
	lastJob  int64
	served   int
	seen     int             // events that were looked at
	killed   map[string]bool // machines that the world took away
	foreign  []string        // machines of another owner
	operator operator
}

// soakJob is one job with its lease. Only the world's goroutine reads it, but for the machine, which comes through got.
type soakJob struct {
	id      int64 // 0: none came yet
	lease   *pool.Lease
	got     chan gotten
	machine string // "" until it runs
	ticks   int    // until it ends
}

type gotten struct {
	machine string
	err     error
}

func newSoakWorld(t *testing.T, r *rand.Rand) *soakWorld {
	w := &soakWorld{world: newWorld(t, abi.RunnerSettings{}), r: r, killed: map[string]bool{}}
	w.journal = &memoryJournal{machines: map[string]fleet.Machine{}}
	w.opts.Owner = "0123456789abcdef"
	w.opts.Jitter = rand.New(rand.NewPCG(r.Uint64(), 0)).Float64 // the loop's own
	w.opts.Settings = w.settings()
	w.opts.Setbacks = w.journal
	w.engines.apart = true
	w.operator = operator{held: map[string]time.Time{}, cordoned: map[string]bool{}}
	w.opts.Drivers = func(string) (driver.Driver, error) { return watched{w.cloud, w}, nil }
	w.start()
	for _, name := range []string{"runner-other-1", "runner-other-2"} {
		if _, err := w.cloud.Create(t.Context(), abi.CreateRequest{Owner: abi.Owner{ID: "zzzzzzzzzzzzzzzz"}, Name: name}); err != nil {
			t.Fatal(err)
		}
		w.foreign = append(w.foreign, name)
	}
	return w
}

func (w *soakWorld) settings() pool.Settings {
	s := w.opts.Settings
	s.Runner = abi.RunnerSettings{
		Name: "test", ShortToken: "abcdefghi", IdleTimeS: int64(w.r.IntN(300)), MaxBuilds: w.r.IntN(6), MaxGrowthRate: w.r.IntN(6),
		IdleCountMin: w.r.IntN(4),
	}
	if w.r.IntN(4) > 0 {
		s.Runner.IdleCount = w.r.IntN(12)
	}
	if w.r.IntN(3) > 0 {
		s.Runner.Limit = 1 + w.r.IntN(20)
	}
	if w.r.IntN(3) == 0 {
		s.Runner.IdleScaleFactor = w.r.Float64() * 3
	}
	s.Ceilings = fleet.Ceilings{}
	if w.r.IntN(3) == 0 {
		s.Ceilings = fleet.Ceilings{
			MaxMachines: w.r.IntN(25), MaxCreatesPerHour: w.r.IntN(1 + w.r.IntN(200)), MaxMachineAge: time.Duration(w.r.IntN(7200)) * time.Second,
		}
	}
	s.Alternatives = nil
	if w.r.IntN(3) == 0 {
		s.Alternatives = []pool.Alternative{
			{Name: "zone b", Options: abi.Options{fake.OptZone: {"b"}}}, {Name: "zone c", Options: abi.Options{fake.OptZone: {"c"}}},
		}
	}
	return s
}

// chance lets things happen.
func (w *soakWorld) chance() {
	if w.r.IntN(3) == 0 {
		w.arrive()
	}
	w.proceed()
	switch w.r.IntN(40) {
	case 0, 1, 2:
		w.fault()
	case 3:
		w.cloud.Heal()
	case 4, 5:
		w.disaster()
	}
	switch w.r.IntN(400) {
	case 0, 1, 2:
		synctest.Wait()
		w.change()
	case 3, 4:
		if name := w.any(); name != "" {
			ctx, cancel := context.WithCancel(w.t.Context())
			cancel()
			w.pool.RemoveMachine(ctx, name) // one in use is refused; the removal goes on without us
		}
	case 5:
		w.restart()
	case 6, 7:
		synctest.Wait()
		w.keep(w.any())
	case 10, 11:
		synctest.Wait()
		w.freeze()
	case 9:
		w.pool.SetCare(pool.Care{
			Probe: time.Duration(w.r.IntN(60)-1) * time.Second, CreateTimeout: time.Duration(1+w.r.IntN(30)) * time.Minute,
			AcquireTimeout: time.Duration(1+w.r.IntN(10)) * time.Minute,
		})
	case 8:
		wait(time.Duration(w.r.IntN(3600)) * time.Second) // a quiet hour
	}
	synctest.Wait()
}

// any returns one of the pool's machines, or "".
func (w *soakWorld) any() string {
	machines := w.pool.Status().Machines
	if len(machines) == 0 {
		return ""
	}
	return machines[w.r.IntN(len(machines))].Name
}

// keep has the operator keep a machine from jobs, or from removal, or let go of it.
func (w *soakWorld) keep(name string) {
	if name == "" {
		return
	}
	w.look() // at what happened before
	on, until := w.r.IntN(2) == 0, time.Now().Add(time.Duration(w.r.IntN(3600))*time.Second)
	err := w.pool.Cordon(w.t.Context(), name, on)
	if err == nil {
		w.operator.cordoned[name] = on
	}
	if err == nil && w.r.IntN(2) == 0 {
		if err = w.pool.Hold(w.t.Context(), name, fleet.Hold{Until: until}); err == nil {
			w.operator.held[name] = until
		}
	}
	if m := machineOf(w.world, name); err != nil && m.Name != "" && m.State != fleet.Removing {
		w.t.Errorf("%s is not kept: %v", name, err)
	}
}

// arrive has a worker ask for a lease, most of the time because a job comes.
func (w *soakWorld) arrive() {
	acquire := w.pool.Acquire
	if w.r.IntN(5) == 0 {
		acquire = w.pool.AcquireForJob
	}
	l, err := acquire(w.t.Context())
	if errors.Is(err, pool.ErrNoMachine) {
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	j := &soakJob{lease: l, got: make(chan gotten, 1), ticks: w.r.IntN(60)}
	w.jobs = append(w.jobs, j)
	if w.r.IntN(4) == 0 {
		return // asks for long, or for nothing
	}
	w.begin(j)
}

// begin gives j a job and waits for its machine elsewhere.
func (w *soakWorld) begin(j *soakJob) {
	w.lastJob++
	j.id = w.lastJob
	go func() {
		if err := j.lease.Use(j.id); err != nil {
			j.got <- gotten{err: err}
			return
		}
		m, _, err := j.lease.Machine(w.t.Context())
		j.got <- gotten{m.Name, err}
	}()
}

// proceed moves each job on by a tick, and ends those whose time has come.
func (w *soakWorld) proceed() {
	w.jobs = slices.DeleteFunc(w.jobs, func(j *soakJob) bool {
		select {
		case g := <-j.got:
			if g.err != nil {
				j.lease.Release(false)
				return true
			}
			j.machine = g.machine
			w.served++
		default:
		}
		if j.id == 0 && w.r.IntN(20) == 0 {
			w.begin(j) // it came at last
		}
		if j.ticks--; j.ticks > 0 {
			return false
		}
		j.lease.Release(j.machine != "" && w.r.IntN(12) == 0)
		return true
	})
}

// fault makes a call to the provider, or several, go wrong.
func (w *soakWorld) fault() {
	kinds := []*abi.Error{
		{Kind: abi.Transient, Message: "hiccup"}, fake.StockOut(), fake.OverQuota(), fake.RateLimited(time.Duration(w.r.IntN(60)) * time.Second),
		{Kind: abi.Auth, Message: "the token is refused"}, {Kind: abi.Conflict, Message: "busy"},
	}
	f := fake.Fault{Times: 1 + w.r.IntN(4), Op: []string{fake.OpCreate, fake.OpList, fake.OpRemove}[w.r.IntN(3)]}
	switch w.r.IntN(4) {
	case 0:
		f.Error = kinds[w.r.IntN(len(kinds))]
		if f.Op == fake.OpCreate && w.r.IntN(2) == 0 {
			f.Zone = string("abc"[w.r.IntN(3)])
		}
	case 1:
		f.Lost = true
	case 2:
		f.Times, f.Delay = 1, time.Duration(w.r.Int64N(int64(90*time.Second)))
	case 3:
		f.Op, f.Hide = fake.OpList, 1+w.r.IntN(5)
	}
	w.cloud.Inject(f)
}

// disaster lets a machine die, stop or stop answering.
func (w *soakWorld) disaster() {
	name := w.any()
	if name == "" {
		return
	}
	w.killed[name] = true
	switch w.r.IntN(4) {
	case 0:
		w.cloud.Kill(name)
	case 1:
		w.cloud.SetStatus(name, abi.StatusInterrupted)
	case 2:
		w.cloud.SetStatus(name, abi.StatusStopped)
	case 3:
		w.engines.breakDown(name)
	}
}

// restart ends the agent as a crash of it would, as far as its jobs go, and starts the next one on its journal.
func (w *soakWorld) restart() {
	if err := w.pool.Stop(w.t.Context(), false); err != nil {
		w.t.Fatal(err)
	}
	for _, j := range w.jobs {
		if j.id != 0 && j.machine == "" {
			<-j.got
		}
	}
	w.jobs = nil
	w.operator.judge(w)
	if w.r.IntN(2) == 0 {
		w.moveClock()
	}
	w.start()
	synctest.Wait()
}

// check looks for what must never be.
func (w *soakWorld) check() {
	s := w.pool.Status()
	created := w.look()
	if s.Limits.Limit > 0 && created > 0 && s.Counts.Total > s.Limits.Limit {
		w.t.Errorf("%d machines were begun, and there are %d with limit %d", created, s.Counts.Total, s.Limits.Limit)
	}
	if most := w.opts.Settings.Ceilings.MaxMachines; most > 0 && created > 0 && s.Counts.Total > most {
		w.t.Errorf("%d machines were begun, and there are %d with max_machines %d", created, s.Counts.Total, most)
	}
	if s.Limits.MaxGrowthRate > 0 && created > 0 && s.Counts.Creating > s.Limits.MaxGrowthRate {
		w.t.Errorf("%d machines were begun, and %d are being created with MaxGrowthRate %d", created, s.Counts.Creating, s.Limits.MaxGrowthRate)
	}
	machines := map[string]fleet.Machine{}
	for _, m := range s.Machines {
		machines[m.Name] = m
	}
	serves := map[string]int64{}
	for _, j := range w.jobs {
		if j.machine == "" {
			continue
		}
		if m := machines[j.machine]; m.State != fleet.Used || m.JobID != j.id {
			w.t.Errorf("job %d runs on %s, which is %s for job %d: %q", j.id, j.machine, m.State, m.JobID, m.RemoveReason)
		}
		if other := serves[j.machine]; other != 0 {
			w.t.Errorf("%s serves jobs %d and %d", j.machine, other, j.id)
		}
		serves[j.machine] = j.id
	}
	w.checkCeilings(s)
	cloud := map[string]bool{}
	for _, m := range w.cloud.Machines() {
		cloud[m.Name] = true
		if m.Owner == w.opts.Owner && !w.journal.Has(m.Name) {
			w.t.Errorf("%s is at the provider and in no journal", m.Name)
		}
	}
	for name, job := range serves {
		if !cloud[name] && !w.killed[name] {
			w.t.Errorf("%s was taken from job %d", name, job)
		}
	}
	for _, name := range w.foreign {
		if !cloud[name] {
			w.t.Errorf("%s of another owner was removed", name)
		}
	}
}

// look goes through the events since the last look: it returns how many machines were begun, and reports those that were removed from a
// job that goes on.
func (w *soakWorld) look() (created int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events[w.seen:] {
		w.kept(e)
		if m := e.Machine; m != nil && m.From == "" && m.State == fleet.Creating {
			created++
		}
	}
	w.seen = len(w.events)
	return created
}

// settle lets everything end well: when the faults are over and the jobs have ended, all know the same machines, and none stays.
func (w *soakWorld) settle() {
	w.cloud.Heal()
	w.opts.Shared.SetFreeze(fleet.Freeze{})
	for len(w.jobs) > 0 {
		wait(time.Second)
		w.proceed()
	}
	for _, m := range w.pool.Status().Machines {
		if m.State != fleet.Removing && w.pool.Cordon(w.t.Context(), m.Name, false) == nil {
			w.operator.cordoned[m.Name] = false
			w.pool.EndHold(w.t.Context(), m.Name) // the clock may have put it off
		}
	}
	wait(2 * time.Hour) // holds end too
	inPool := w.pool.Status().Machines
	var ours []string
	for _, m := range w.cloud.Machines() {
		if m.Owner == w.opts.Owner {
			ours = append(ours, m.Name)
		}
	}
	journalled, _, _ := w.journal.Load()
	if len(ours) != len(inPool) || len(ours) != len(journalled) {
		w.t.Errorf("%d machines at the provider, %d in the pool, %d in the journal", len(ours), len(inPool), len(journalled))
	}
	if target := w.pool.Status().Decision.IdleTarget; len(inPool) < target && w.opts.Settings.Runner.Limit == 0 && w.opts.Settings.Ceilings == (fleet.Ceilings{}) {
		w.t.Errorf("%d machines two hours after all works again, want %d", len(inPool), target)
	}
	if err := w.pool.Stop(w.t.Context(), true); err != nil {
		w.t.Error(err)
	}
	if left := len(w.cloud.Machines()) - len(w.foreign); left != 0 {
		w.t.Errorf("%d machines are left", left)
	}
	w.t.Logf("%d jobs on %d machines in %s", w.served, w.cloud.Made(), time.Since(epoch()))
}
