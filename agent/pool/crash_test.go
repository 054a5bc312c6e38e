package pool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// faultyJournal refuses writes until it is healed.
type faultyJournal struct {
	pool.Journal
	mu  sync.Mutex
	err error
}

func (j *faultyJournal) Save(m fleet.Machine) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	return j.Journal.Save(m)
}

func (j *faultyJournal) heal() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = nil
}

// process is an agent's process as the outside world sees it: its journal writes and driver calls. It dies before or after any of
// them; what it does then reaches nobody.
type process struct {
	disk  pool.Journal
	log   *journal.Journal // what is no machine's
	cloud driver.Driver

	mu    sync.Mutex
	dies  int  // at this point; each call has two, before it takes effect and after
	point int  // reached
	dead  bool // no effect from now on
}

var errDead = errors.New("the process is dead")

// at runs effect unless the process is dead or dies before it.
func (p *process) at(effect func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reach() {
		return errDead
	}
	err := effect()
	if p.reach() {
		return errDead
	}
	return err
}

func (p *process) reach() bool {
	if p.point++; p.point == p.dies {
		p.dead = true
	}
	return p.dead
}

func (p *process) Save(m fleet.Machine) error { return p.at(func() error { return p.disk.Save(m) }) }
func (p *process) Remove(name string) error   { return p.at(func() error { return p.disk.Remove(name) }) }
func (p *process) Has(name string) bool       { return p.disk.Has(name) }
func (p *process) Load() ([]fleet.Machine, []journal.Problem, error) {
	return p.disk.Load()
}

// calls are the process's calls to the provider.
type calls struct{ *process }

func (c calls) Create(ctx context.Context, req abi.CreateRequest) (i abi.Instance, err error) {
	err = c.at(func() error {
		i, err = c.cloud.Create(ctx, req)
		return err
	})
	return i, err
}

func (c calls) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	c.mu.Lock()
	dead := c.dead
	c.mu.Unlock()
	if dead {
		return abi.ListResult{}, errDead
	}
	return c.cloud.List(ctx, req)
}

func (c calls) Remove(ctx context.Context, req abi.RemoveRequest) error {
	return c.at(func() error { return c.cloud.Remove(ctx, req) })
}

func (p *process) NoteCreate(runner string, at time.Time) error {
	return p.at(func() error { return p.log.NoteCreate(runner, at) })
}

func (p *process) NotePlace(place fleet.Place) error {
	return p.at(func() error { return p.log.NotePlace(place) })
}

func (p *process) SetSetbacks(runner string, s fleet.Setbacks) error {
	return p.at(func() error { return p.log.SetSetbacks(runner, s) })
}

func (p *process) Setbacks(runner string) (fleet.Setbacks, error) { return p.log.Setbacks(runner) }

// freeze is what the supervisor does for the operator: it writes the freeze down, and then it holds.
func (p *process) freeze(w *world, f fleet.Freeze) {
	if p.at(func() error { return p.log.SetFreeze(f) }) == nil {
		w.opts.Shared.SetFreeze(f)
		w.pool.Sync()
	}
}

// spare is how many writes a day may have more than another one, as when two that come at once are one: its last points are then those that the other
// one does not have.
const spare = 8

// TestCrash kills the agent at every journal write and driver call of a day's work, one after the other, and starts it again: when
// it has settled, cloud and journal hold the same machines, and all of them serve.
func TestCrash(t *testing.T) {
	for _, day := range []struct {
		name string
		work func(*world, *process)
		most int // points at least
	}{{"work", work, 90}, {"trouble", trouble, 120}} {
		t.Run(day.name, func(t *testing.T) {
			points := 0
			synctest.Test(t, func(t *testing.T) { points = crash(t, day.work, 0) })
			if points < day.most {
				t.Errorf("the day has %d points only", points)
			}
			for dies := 1; dies <= points; dies++ {
				t.Run(fmt.Sprintf("point %d", dies), func(t *testing.T) {
					t.Parallel()
					reached := 0
					for try := 0; try < 20 && reached < dies && !t.Failed(); try++ { // a day may have a write more or less than another one
						synctest.Test(t, func(t *testing.T) { reached = crash(t, day.work, dies) })
					}
					if reached < dies && dies <= points-spare {
						t.Errorf("the process ended with its point %d each time", reached)
					}
				})
			}
		})
	}
}

// crash lets the process die at a point of a day, or not at all at 0, and returns how many points it reached.
func crash(t *testing.T, day func(*world, *process), dies int) int {
	w := newWorld(t, abi.RunnerSettings{IdleCount: 2, Limit: 5, MaxBuilds: 2, IdleTimeS: 120})
	w.opts.Settings.Alternatives = []pool.Alternative{{Name: "zone b", Options: abi.Options{fake.OptZone: {"b"}}}}
	p := &process{cloud: w.cloud, dies: dies}
	grace := time.Duration(0)
	w.opts.OrphanGrace = &grace
	w.revive(p, calls{p})
	p.disk, p.log = w.journal, w.journal
	w.startOn(p)
	day(w, p)

	p.mu.Lock()
	points := p.point
	p.dead = true
	p.mu.Unlock()
	w.pool.Stop(t.Context(), false)
	w.journal.Close()

	again := &process{cloud: w.cloud}
	w.revive(again, w.cloud)
	again.disk, again.log = w.journal, w.journal
	w.startOn(again)
	again.freeze(w, fleet.Freeze{}) // what the operator ordered, he takes back
	for _, m := range w.pool.Status().Machines {
		if m.Cordoned {
			w.pool.Cordon(t.Context(), m.Name, false)
		}
	}
	wait(20 * time.Minute)
	w.counts(2, 0, 2)
	w.settled()
	l := w.acquire()
	w.use(l, 99)
	l.Release(false)
	w.stop(true)
	if left := w.cloud.Machines(); len(left) > 0 {
		t.Errorf("machines are left: %v", left)
	}
	return points
}

// revive opens the journal for a new process and gives the pool what the supervisor would from it.
func (w *world) revive(p *process, d driver.Driver) {
	w.t.Helper()
	j, err := journal.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	o := pool.SharedOptions{Log: p, Places: p}
	var noPlaces, noMachines error
	o.Left, noPlaces = j.Places()
	o.Machines, _, noMachines = j.Load()
	freeze, noFreeze := j.Freeze()
	noCreates := j.Creates(time.Now(), func(runner string, at time.Time) {
		o.Creates = append(o.Creates, pool.Create{Runner: runner, At: at})
	})
	if err := errors.Join(noPlaces, noMachines, noFreeze, noCreates); err != nil {
		w.t.Fatal(err)
	}
	w.journal, w.opts.Owner, w.opts.Setbacks, w.opts.Shared = j, j.Owner(), p, pool.NewShared(o)
	w.opts.Shared.SetFreeze(freeze)
	w.opts.Drivers = func(string) (driver.Driver, error) { return d, nil }
}

// work is a day: the pool fills, jobs run on machines until these are worn out, one machine breaks, and one ages.
func work(w *world, _ *process) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
	defer cancel()
	wait(time.Minute)
	var leases []*pool.Lease
	for job := range int64(3) {
		l, err := w.pool.AcquireForJob(ctx)
		if err != nil {
			return
		}
		leases = append(leases, l)
		l.Use(job + 1)
		wait(20 * time.Second)
	}
	wait(time.Minute)
	for i, l := range leases {
		l.Release(i == 0)
		wait(5 * time.Second)
	}
	if l, err := w.pool.Acquire(ctx); err == nil {
		l.Use(9)
		wait(10 * time.Second)
		l.Release(false)
	}
	wait(5 * time.Minute)
}

// trouble is another: a zone has no machines, a creation is not answered, the operator has machines cordoned, held and everything frozen, one
// can't be removed for a while, and an instance turns up that no journal knows.
func trouble(w *world, p *process) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute)
	defer cancel()
	one := func(do func(name string) error) { // the process may be dead by now: then nothing comes of it
		for _, m := range w.pool.Status().Machines {
			if m.State == fleet.Idle {
				_ = do(m.Name)
				return
			}
		}
	}
	w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Zone: "a", Times: -1, Error: fake.StockOut()})
	wait(time.Minute)
	w.cloud.Heal()

	w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Lost: true})
	one(func(name string) error { return w.pool.Cordon(ctx, name, true) })
	wait(time.Minute)
	for _, m := range w.pool.Status().Machines {
		if m.Cordoned {
			_ = w.pool.Cordon(ctx, m.Name, false)
		}
	}
	w.cloud.Heal()
	w.cloud.Inject(fake.Fault{Op: fake.OpRemove, Times: 4, Error: refused})
	one(func(name string) error {
		return w.pool.Hold(ctx, name, fleet.Hold{Until: time.Now().Add(time.Minute), Reason: "a look"})
	})
	wait(3 * time.Minute)

	p.freeze(w, fleet.Freeze{Since: time.Now(), Reason: "incident"})
	one(func(name string) error { return w.pool.Cordon(ctx, name, true) })
	wait(time.Minute)
	p.freeze(w, fleet.Freeze{})
	wait(time.Minute)

	_, _ = w.cloud.Create(w.t.Context(), abi.CreateRequest{Owner: abi.Owner{ID: w.opts.Owner}, Name: "runner-lost-1-0000000a"})
	wait(5 * time.Minute)
	w.cloud.Heal()
}

// TestCrashKeepsIdleMachines has the use of all that: an agent that died comes back to its warm machines.
func TestCrashKeepsIdleMachines(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 3, IdleTimeS: 600}, func(t *testing.T, w *world) {
		wait(time.Minute)
		l := w.acquire()
		used := w.use(l, 1)
		wait(time.Minute)
		idle := w.pool.Status().Counts.Idle
		w.stop(false) // the job's end is never told
		wait(time.Minute)
		w.start()
		wait(time.Second)
		w.counts(idle, 0, 3)
		if got := w.removals()["was used when the agent ended"]; got != 1 || w.journal.Has(used.Name) {
			t.Errorf("removals %v; the machine of the job that nobody knows must go", w.removals())
		}
		next := w.acquire()
		m := w.use(next, 2)
		if w.engines.cleaned(m.Name) != 1 {
			t.Error("the machine was not cleaned before it served again")
		}
		next.Release(false)
	})
}

// TestOrphans has instances under our tag that the journal does not know, and others that are none of ours.
func TestOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 1})
		w.start()
		create := func(owner, name string) {
			_, err := w.cloud.Create(t.Context(), abi.CreateRequest{Owner: abi.Owner{ID: owner}, Name: name})
			if err != nil {
				t.Fatal(err)
			}
		}
		create(w.journal.Owner(), "runner-old-1-0000000a")
		create(w.journal.Owner(), "runner-neighbour-1-0000000b")
		create(w.journal.Owner(), "../../etc")
		create("zzzzzzzzzzzzzzzz", "runner-other-1-0000000c")
		neighbour := fleet.Machine{Name: "runner-neighbour-1-0000000b", Runner: "other/runner", Driver: "fake", State: fleet.Idle}
		if err := w.journal.Save(neighbour); err != nil {
			t.Fatal(err)
		}
		wait(29 * time.Minute)
		orphans := w.pool.Status().Orphans
		if len(orphans) != 2 || orphans[1].Instance.Name != "runner-old-1-0000000a" {
			t.Errorf("suspected: %+v", orphans)
		}
		if len(w.cloud.Machines()) != 5 {
			t.Errorf("machines %v before the grace time is over", w.names())
		}
		wait(3 * time.Minute)
		names := map[string]bool{}
		for _, name := range w.names() {
			names[name] = true
		}
		if names["runner-old-1-0000000a"] {
			t.Error("the orphan is still there")
		}
		for _, name := range []string{"runner-neighbour-1-0000000b", "runner-other-1-0000000c", "../../etc"} {
			if !names[name] {
				t.Errorf("%s was removed", name)
			}
		}
		w.stop(true)
	})
}

// TestLateInstance has a creation that was given up and goes through after all: the instance is ours and goes without grace.
func TestLateInstance(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Error: &abi.Error{Kind: abi.Transient, Message: "timeout"}})
		wait(time.Second)
		w.mu.Lock()
		i := slices.IndexFunc(w.events, func(e fleet.Event) bool { return e.Machine != nil })
		late := w.events[i].Machine.Name
		w.mu.Unlock()
		w.cloud.Create(t.Context(), abi.CreateRequest{Owner: abi.Owner{ID: w.journal.Owner()}, Name: late})
		wait(2 * time.Minute)
		w.counts(1, 0, 1)
		w.settled()
	})
}

// TestUnreadableEntry has the journal's record of a machine spoiled while no agent ran: the instance is kept and shown, and goes when
// the operator says so.
func TestUnreadableEntry(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		wait(time.Minute)
		name := w.names()[0]
		w.stop(false)
		record := filepath.Join(w.dir, "store", "machines", name, "millwright.json")
		if err := os.WriteFile(record, []byte(`{"version": 1, "driv`), 0o600); err != nil {
			t.Fatal(err)
		}
		w.start()
		wait(2 * time.Hour)
		if !slices.Contains(w.names(), name) {
			t.Fatalf("%s was removed", name)
		}
		orphans := w.pool.Status().Orphans
		if len(orphans) != 1 || orphans[0].Instance.Name != name || !strings.Contains(orphans[0].Note, "millwright.json") || !orphans[0].Removal.IsZero() {
			t.Errorf("orphans %+v", orphans)
		}
		w.counts(1, 0, 1) // another one does the work
		if err := w.pool.Reap(t.Context(), name); err != nil {
			t.Error(err)
		}
		wait(time.Second)
		w.settled()
	})
}

// TestOldPlacesAreWatched changes driver and options: what was given up with the old ones may still turn up there.
func TestOldPlacesAreWatched(t *testing.T) {
	inWorld(t, abi.RunnerSettings{IdleCount: 1}, func(t *testing.T, w *world) {
		w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Error: &abi.Error{Kind: abi.Transient, Message: "timeout"}})
		wait(time.Second)
		s := w.opts.Settings
		s.Driver, s.Options = "other", abi.Options{fake.OptZone: {"b"}}
		if err := w.pool.Reconfigure(s); err != nil {
			t.Fatal(err)
		}
		wait(10 * time.Minute)
		var zones []string
		for _, place := range w.pool.Places() {
			zones = append(zones, place.Driver+" "+place.Options.Get(fake.OptZone))
		}
		slices.Sort(zones)
		if !slices.Equal(zones, []string{"fake a", "other b"}) {
			t.Errorf("after ten minutes it looks at %v", zones)
		}
		wait(time.Hour)
		if places := w.pool.Places(); len(places) != 1 || places[0].Driver != "other" {
			t.Errorf("after an hour it looks at %v", places)
		}
	})
}
