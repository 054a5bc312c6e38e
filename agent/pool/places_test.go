package pool_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// careWorld is an agent with one runner, or none, and the caretaker of the places of those that are no more.
type careWorld struct {
	*world
	caretaker *pool.Pool
}

// begin starts the agent on its journal: the caretaker, and the runner's pool unless the configuration has none.
func (w *careWorld) begin(runner bool) {
	w.t.Helper()
	j, err := journal.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	left, err := j.Places()
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal = j
	w.opts.Owner, w.opts.Shared = j.Owner(), pool.NewShared(pool.SharedOptions{Places: j, Left: left})
	o := w.opts
	o.Key, o.Caretaker, o.Decider, o.Journal = "no runner", true, nil, j
	o.Settings = pool.Settings{Runner: abi.RunnerSettings{Name: "no runner"}}
	if w.caretaker, err = pool.New(o); err != nil {
		w.t.Fatal(err)
	}
	if err := w.caretaker.Start(); err != nil {
		w.t.Fatal(err)
	}
	if runner {
		w.startOn(j)
	}
}

func (w *careWorld) finish() {
	w.t.Helper()
	if err := w.caretaker.Stop(w.t.Context(), true); err != nil {
		w.t.Error(err)
	}
	w.journal.Close()
}

// TestLateInstanceOfRetiredRunner has the last runner of its account leave the configuration, and only then a creation of its go through that
// timed out: the machine is found where the runner had its machines, over a restart too, and removed.
func TestLateInstanceOfRetiredRunner(t *testing.T) {
	for _, restart := range []bool{false, true} {
		for _, late := range []time.Duration{2 * time.Minute, 55 * time.Minute} {
			t.Run(fmt.Sprintf("after %s, restart %t", late, restart), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := &careWorld{world: newWorld(t, abi.RunnerSettings{IdleCount: 1})}
					w.cloud.Inject(fake.Fault{Op: fake.OpCreate, Lost: true, After: late})
					w.begin(true)
					wait(time.Millisecond)
					if err := w.pool.Retire(t.Context()); err != nil {
						t.Fatal(err)
					}
					machines, _, err := w.journal.Load()
					if len(machines) > 0 || err != nil || w.cloud.Calls(fake.OpCreate) != 1 {
						t.Fatalf("%v, %v, %d creations: the runner's only machine is not forgotten", machines, err, w.cloud.Calls(fake.OpCreate))
					}
					if restart {
						w.finish()
						w.begin(false)
					}
					wait(late + time.Minute)
					if orphans := w.caretaker.Status().Orphans; len(orphans) != 1 || len(w.names()) != 1 {
						t.Errorf("%v at the provider, orphans %+v: the late machine is not found", w.names(), orphans)
					}
					wait(32 * time.Minute) // of grace
					if names := w.names(); len(names) > 0 {
						t.Errorf("%v is left", names)
					}
					wait(2 * time.Hour)
					lists := w.cloud.Calls(fake.OpList)
					wait(time.Hour)
					if more := w.cloud.Calls(fake.OpList) - lists; more > 0 || len(w.caretaker.Places()) > 0 {
						t.Errorf("%d lists and %v hours after the last machine left", more, w.caretaker.Places())
					}
					w.finish()
				})
			})
		}
	}
}

// TestWatchedPlacesNeedNoCaretaker leaves places alone that a runner's pool looks at: what turns up there is its business.
func TestWatchedPlacesNeedNoCaretaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &careWorld{world: newWorld(t, abi.RunnerSettings{IdleCount: 1})}
		w.begin(true)
		wait(time.Minute)
		l := w.acquire()
		w.use(l, 1)
		l.Release(true)
		wait(time.Minute)
		if left, err := w.journal.Places(); len(left) != 1 || left[0].Driver != "fake" || err != nil {
			t.Errorf("noted %+v, %v", left, err)
		}
		if places := w.caretaker.Places(); len(places) > 0 {
			t.Errorf("two pools look at %v", places)
		}
		if err := w.pool.Retire(t.Context()); err != nil {
			t.Fatal(err)
		}
		wait(2 * time.Second)
		if places := w.caretaker.Places(); len(places) != 1 || places[0].Options.Get(fake.OptZone) != "a" {
			t.Errorf("after the runner left, the caretaker looks at %v", places)
		}
		w.finish()
	})
}

// noPlaces is a disk that has no room for places.
type noPlaces struct{ full atomic.Bool }

func (n *noPlaces) NotePlace(fleet.Place) error {
	if n.full.Load() {
		return errors.New("no space left on device")
	}
	return nil
}

// TestPlaceIsNotedFirst keeps a machine in the journal while the place that it was at can't be written down.
func TestPlaceIsNotedFirst(t *testing.T) {
	disk := &noPlaces{}
	disk.full.Store(true)
	inSharedWorld(t, abi.RunnerSettings{IdleCount: 1}, pool.SharedOptions{Places: disk}, nil, func(t *testing.T, w *world) {
		wait(time.Minute)
		name := w.names()[0]
		l := w.acquire()
		l.Release(true)
		wait(time.Minute)
		if !w.journal.Has(name) {
			t.Error("it is forgotten")
		}
		disk.full.Store(false)
		wait(5 * time.Minute)
		if w.journal.Has(name) {
			t.Error("it is never forgotten")
		}
	})
}
