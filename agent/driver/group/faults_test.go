package group_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/group/grouptest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestIncreases: whatever becomes of an increase, machines get at most one instance each, and the group never makes more than machines
// were asked for.
func TestIncreases(t *testing.T) {
	quota := &driver.Error{Driver: "fake", Op: "create", Info: abi.Error{Kind: abi.Quota, Message: "no vCPUs left"}}
	running := func(n int) string { return fmt.Sprintf("running i-%06d", n) }
	for _, tt := range []struct {
		name  string
		c     grouptest.Config
		fault grouptest.Fault
		after time.Duration
		want  map[string]string
		kind  abi.ErrorKind // of those that are gone
		made  int
		asked int
	}{
		{name: "granted bit by bit", fault: grouptest.Fault{Op: grouptest.OpIncrease, Times: 2, Grant: 1}, after: time.Minute,
			want: map[string]string{"a": running(1), "b": running(2), "c": running(3)}, made: 3, asked: 3},
		{name: "none granted at first", fault: grouptest.Fault{Op: grouptest.OpIncrease, Times: 2, Refuse: true}, after: time.Minute,
			want: map[string]string{"a": running(1), "b": running(2), "c": running(3)}, made: 3, asked: 3},
		{name: "the answer is lost", fault: grouptest.Fault{Op: grouptest.OpIncrease, Lost: true}, after: time.Minute,
			want: map[string]string{"a": running(1), "b": running(2), "c": running(3)}, made: 3, asked: 1},
		{name: "the answer is lost, and only one was granted", fault: grouptest.Fault{Op: grouptest.OpIncrease, Lost: true, Grant: 1}, after: 2 * time.Minute,
			want: map[string]string{"a": running(1), "b": "gone", "c": "gone"}, kind: abi.Transient, made: 1, asked: 1},
		{name: "nobody knows, and nothing was done", fault: grouptest.Fault{Op: grouptest.OpIncrease, Err: errors.New("broken pipe")}, after: 2 * time.Minute,
			want: map[string]string{"a": "gone", "b": "gone", "c": "gone"}, kind: abi.Transient, asked: 1},
		{name: "refused", fault: grouptest.Fault{Op: grouptest.OpIncrease, Err: quota}, after: 5 * time.Second,
			want: map[string]string{"a": "gone", "b": "gone", "c": "gone"}, kind: abi.Quota, asked: 1},
		{name: "granted and never seen", c: grouptest.Config{ShowTime: time.Hour}, after: 20 * time.Minute,
			want: map[string]string{"a": "gone", "b": "gone", "c": "gone"}, kind: abi.Capacity, made: 3, asked: 1},
		{name: "more granted than asked for", fault: grouptest.Fault{Op: grouptest.OpIncrease, Lie: 7}, after: time.Minute,
			want: map[string]string{"a": running(1), "b": running(2), "c": running(3)}, made: 3, asked: 1},
		{name: "no list, no increase", fault: grouptest.Fault{Op: grouptest.OpList, Times: 2, Lost: true}, after: 3 * time.Second,
			want: map[string]string{"a": "creating", "b": "creating", "c": "creating"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.c
			c.BootTime = 20 * time.Second
			inWorld(t, c, group.Options{}, func(t *testing.T, w *world) {
				if err := w.d.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if tt.fault.Op != "" {
					w.g.Inject(tt.fault)
				}
				w.create("a", "b", "c")
				w.poll(tt.after)
				if w.g.Made() != tt.made {
					t.Errorf("%d made, want %d", w.g.Made(), tt.made)
				}
				w.calls(grouptest.OpIncrease, tt.asked)
				if tt.fault.Op == grouptest.OpList {
					time.Sleep(3 * time.Second)
				}
				w.wants(tt.want)
				for name, i := range w.list() {
					if i.Status == abi.StatusGone && (i.Error == nil || i.Error.Kind != tt.kind) {
						t.Errorf("%s has failed: %+v, want %s", name, i.Error, tt.kind)
					}
				}
				for name := range tt.want {
					w.remove(name, "")
				}
			})
		})
	}
}

// TestLateInstancesServeOthers: what shows up after its machine was given up goes to the next one, and no more is asked for.
func TestLateInstancesServeOthers(t *testing.T) {
	c := quick
	c.ShowTime = time.Minute
	inWorld(t, c, group.Options{}, func(t *testing.T, w *world) {
		w.create("given-up")
		w.poll(10 * time.Second)
		if err := w.d.Remove(t.Context(), abi.RemoveRequest{Name: "given-up"}); err == nil {
			t.Error("its instance may still show up")
		}
		w.create("next")
		w.remove("given-up", "")
		w.poll(2 * time.Minute)
		w.wants(map[string]string{"next": "running i-000001"})
		w.calls(grouptest.OpIncrease, 1)
	})
}

// TestLateInstancesAreDeleted: what shows up after its machine was given up and that no other one waits for is deleted, before the machine
// counts as removed.
func TestLateInstancesAreDeleted(t *testing.T) {
	c := quick
	c.ShowTime = time.Minute
	inWorld(t, c, group.Options{}, func(t *testing.T, w *world) {
		w.create("given-up")
		w.poll(10 * time.Second)
		if took := w.remove("given-up", ""); took < 45*time.Second || took > 3*time.Minute {
			t.Errorf("took %s", took)
		}
		w.wants(map[string]string{})
		if len(w.g.Instances()) > 0 || w.g.Made() != 1 {
			t.Errorf("left: %+v", w.g.Instances())
		}
	})
}

// TestInstancesThatGo: what lists say of a machine's instance when it ends by itself.
func TestInstancesThatGo(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(w *world)
		want string
	}{
		{"missing once", func(w *world) {
			w.g.Inject(grouptest.Fault{Op: grouptest.OpList, Hide: []string{"i-000001"}})
			w.poll(4 * time.Second)
		}, "running i-000001"},
		{"missing five times, and back", func(w *world) {
			w.g.Inject(grouptest.Fault{Op: grouptest.OpList, Hide: []string{"i-000001"}, Times: 5})
			w.poll(2 * time.Minute)
		}, "running i-000001"},
		{"missing six times", func(w *world) {
			w.g.Kill("i-000001")
			w.poll(10 * time.Minute)
		}, "gone i-000001"},
		{"lists that fail count for nothing", func(w *world) {
			w.g.Inject(grouptest.Fault{Op: grouptest.OpList, Err: errors.New("no"), Times: 20})
			w.poll(30 * time.Minute)
		}, "running i-000001"},
		{"taken back", func(w *world) {
			w.g.Reclaim("i-000001")
			w.poll(2 * time.Second)
			time.Sleep(time.Minute) // until the next list of a fleet in which nothing changes
		}, "gone i-000001"},
		{"shown as being deleted", func(w *world) {
			w.g.Show("i-000001", group.Deleting)
			w.poll(time.Minute)
		}, "interrupted i-000001"},
		{"deleted", func(w *world) {
			w.g.Show("i-000001", group.Deleted)
			w.poll(10 * time.Minute)
			w.g.Kill("i-000001")
		}, "gone i-000001"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, quick, group.Options{Settings: group.Settings{Update: 4 * time.Second}}, func(t *testing.T, w *world) {
				w.create("one")
				w.poll(40 * time.Second)
				tt.do(w)
				w.wants(map[string]string{"one": tt.want})
				w.g.Heal()
				w.g.Show("i-000001", "")
				w.remove("one", "i-000001")
				if len(w.g.Instances()) > 0 {
					t.Errorf("left: %+v", w.g.Instances())
				}
			})
		})
	}
}

func TestRemoval(t *testing.T) {
	inWorld(t, quick, group.Options{}, func(t *testing.T, w *world) {
		w.create("a", "b", "c", "waiting")
		w.remove("waiting", "") // before anything was asked for
		w.poll(30 * time.Second)
		for _, name := range []string{"a", "b"} {
			err := w.d.Remove(t.Context(), abi.RemoveRequest{Name: name})
			if u := (*driver.UnderWay)(nil); !errors.As(err, &u) || u.Again <= 0 || u.Error() == "" {
				t.Errorf("remove %s: %v", name, err)
			}
		}
		time.Sleep(2 * time.Second)
		for _, name := range []string{"a", "b"} {
			if took := w.remove(name, ""); took > 20*time.Second {
				t.Errorf("%s took %s", name, took)
			}
		}
		w.calls(grouptest.OpDecrease, 1)
		w.wants(map[string]string{"c": "running i-000003"})
		w.remove("a", "i-000001") // gone already
		w.remove("never-heard-of", "")
		w.wants(map[string]string{"c": "running i-000003"})
	})
}

func TestRemovalWithoutEffect(t *testing.T) {
	refused := &driver.Error{Driver: "fake", Op: "remove", Info: abi.Error{Kind: abi.Auth, Message: "not allowed"}}
	for _, tt := range []struct {
		name     string
		fault    grouptest.Fault
		from, to time.Duration // how long it takes
	}{
		{"taken on and nothing done", grouptest.Fault{Op: grouptest.OpDecrease, Ignore: true}, time.Minute, 90 * time.Second},
		{"not taken on", grouptest.Fault{Op: grouptest.OpDecrease, Skip: []string{"i-000001"}}, time.Minute, 3 * time.Minute},
		{"refused", grouptest.Fault{Op: grouptest.OpDecrease, Err: refused}, time.Minute, 3 * time.Minute},
		{"the answer is lost", grouptest.Fault{Op: grouptest.OpDecrease, Lost: true}, 0, 2 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, quick, group.Options{}, func(t *testing.T, w *world) {
				w.create("one", "two")
				w.poll(30 * time.Second)
				w.g.Inject(tt.fault)
				if took := w.remove("one", ""); took < tt.from || took > tt.to {
					t.Errorf("took %s, want %s to %s", took, tt.from, tt.to)
				}
				w.wants(map[string]string{"two": "running i-000002"})
			})
		})
	}
}

// TestRefusedRemovalIsTold: whoever removes learns why it does not go on, so that a human does.
func TestRefusedRemovalIsTold(t *testing.T) {
	inWorld(t, quick, group.Options{}, func(t *testing.T, w *world) {
		w.create("one")
		w.poll(30 * time.Second)
		w.g.Inject(grouptest.Fault{Op: grouptest.OpDecrease, Times: -1, Err: &driver.Error{Driver: "aws", Op: "remove", Info: abi.Error{Kind: abi.Auth, Message: "not allowed"}}})
		w.d.Remove(t.Context(), abi.RemoveRequest{Name: "one"})
		time.Sleep(2 * time.Second)
		if err := w.d.Remove(t.Context(), abi.RemoveRequest{Name: "one"}); !errors.Is(err, driver.ErrAuth) {
			t.Errorf("%v", err)
		}
		w.g.Heal()
	})
}

func machine(name, id string, s fleet.State) fleet.Machine {
	return fleet.Machine{Name: name, State: s, Instance: abi.Instance{Name: name, ID: id, Address: "192.0.2.9"}}
}

// TestRestart: the journal says which instance is whose; what nobody has is listed as such, is never given to a machine, and can be removed. One for
// each machine that had none yet goes by itself: it came when nobody was there to take it.
func TestRestart(t *testing.T) {
	inWorld(t, quick, group.Options{}, func(t *testing.T, w *world) {
		w.create("a", "b", "c", "lost")
		w.poll(30 * time.Second)
		w.restart([]fleet.Machine{machine("a", "i-000001", fleet.Used), machine("b", "i-000002", fleet.Idle), machine("c", "", fleet.Creating), machine("old", "i-000009", fleet.Idle)})
		w.wants(map[string]string{"a": "running i-000001", "b": "running i-000002", "old": "running i-000009",
			group.Unclaimed("i-000003"): "running i-000003", group.Unclaimed("i-000004"): "running i-000004"})
		if i := w.list()["a"]; i.Address != "192.0.2.9" {
			t.Errorf("the address is not the journal's: %+v", i)
		}
		w.create("d")
		w.poll(30 * time.Second)
		w.wants(map[string]string{"a": "running i-000001", "b": "running i-000002", "old": "gone i-000009",
			group.Unclaimed("i-000004"): "running i-000004", "d": "running i-000005"})
		w.remove("c", "") // nobody knows what it had
		w.remove("old", "i-000009")
		w.remove(group.Unclaimed("i-000004"), "i-000004")
		w.wants(map[string]string{"a": "running i-000001", "b": "running i-000002", "d": "running i-000005"})
	})
}

// TestLostClaimOfANewInstance: an instance that is still being made was nobody's yet, so the next machine may have it.
func TestLostClaimOfANewInstance(t *testing.T) {
	inWorld(t, quick, group.Options{}, func(t *testing.T, w *world) {
		w.create("a")
		w.poll(4 * time.Second)
		w.restart(nil)
		w.create("b")
		w.poll(30 * time.Second)
		w.wants(map[string]string{"b": "running i-000001"})
		if w.g.Made() != 1 {
			t.Errorf("%d made", w.g.Made())
		}
	})
}

// TestOneInstanceTwoRecords: an id was given again before the record of the machine that had it first was gone.
func TestOneInstanceTwoRecords(t *testing.T) {
	for name, machines := range map[string][]fleet.Machine{
		"the old record first": {machine("old", "host-1", fleet.Removing), machine("new", "host-1", fleet.Idle)},
		"the new record first": {machine("new", "host-1", fleet.Idle), machine("old", "host-1", fleet.Removing)},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, grouptest.Config{Static: true}, group.Options{}, func(t *testing.T, w *world) {
				w.g.Add()
				w.restart(machines)
				w.remove("old", "host-1")
				w.wants(map[string]string{"new": "running host-1"})
				w.calls(grouptest.OpDecrease, 0)
			})
		})
	}
}

// TestSameHostsAgain: a group may give an instance's id again. A list that lags behind shows a deleted instance too, for a while, which nobody
// gets.
func TestSameHostsAgain(t *testing.T) {
	inWorld(t, grouptest.Config{Static: true, BootTime: 4 * time.Second}, group.Options{}, func(t *testing.T, w *world) {
		w.create("one")
		w.poll(10 * time.Second)
		w.remove("one", "")
		w.create("two")
		w.poll(20 * time.Second)
		w.wants(map[string]string{"two": "running host-1"})
		if w.g.Made() != 2 {
			t.Errorf("%d made", w.g.Made())
		}
	})
}

// TestCutOffIncrease: an instance that came when the agent that had asked for it was gone takes no place of the maximum for long, and none goes that
// nobody had asked for.
func TestCutOffIncrease(t *testing.T) {
	inWorld(t, quick, group.Options{Settings: group.Settings{Max: 3}}, func(t *testing.T, w *world) {
		w.create("a", "b", "c")
		w.poll(time.Minute)
		w.restart([]fleet.Machine{machine("a", "i-000001", fleet.Idle), machine("b", "", fleet.Creating)})
		w.remove("b", "")
		w.create("d")
		w.poll(5 * time.Minute)
		all := w.statuses()
		if all["a"] != "running i-000001" || all["d"] != "running i-000004" {
			t.Errorf("there are %v; want d to have an instance of its own", all)
		}
		if len(all) != 3 || w.g.Made() != 4 { // the other one may be anybody's
			t.Errorf("%d instances were made, and there are %v; want one of the two that nobody has removed", w.g.Made(), all)
		}
	})
}
