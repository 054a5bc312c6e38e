package group_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/group/grouptest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a driver on a group in memory. Time is virtual.
type world struct {
	t *testing.T
	g *grouptest.Group
	d *group.Driver
	o group.Options
}

func inWorld(t *testing.T, c grouptest.Config, o group.Options, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, g: grouptest.New(c), o: o}
		w.restart(nil)
		test(t, w)
		w.close()
	})
}

// restart puts a new driver in the place of the one before, if any, that knows what a journal knows.
func (w *world) restart(machines []fleet.Machine) {
	if w.d != nil {
		w.close()
	}
	w.o.Group, w.o.Machines = w.g, machines
	w.d = group.New(w.o)
}

func (w *world) close() {
	if err := w.d.Close(w.t.Context()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) create(names ...string) {
	w.t.Helper()
	for _, name := range names {
		i, err := w.d.Create(w.t.Context(), abi.CreateRequest{Name: name})
		if err != nil || i.Name != name || i.Status != abi.StatusCreating {
			w.t.Errorf("create %s: %+v, %v", name, i, err)
		}
	}
}

// list returns what there is, by the machine's name.
func (w *world) list() map[string]abi.Instance {
	w.t.Helper()
	r, err := w.d.List(w.t.Context(), abi.ListRequest{})
	if err != nil || !r.Complete {
		w.t.Fatalf("list: %+v, %v", r, err)
	}
	out := map[string]abi.Instance{}
	for _, i := range r.Instances {
		if _, twice := out[i.Name]; twice {
			w.t.Fatalf("%s is listed twice", i.Name)
		}
		out[i.Name] = i
	}
	return out
}

// statuses is list, in short: the machine's status and instance.
func (w *world) statuses() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for name, i := range w.list() {
		out[name] = strings.TrimSpace(string(i.Status) + " " + i.ID)
	}
	return out
}

func (w *world) wants(want map[string]string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.statuses()); diff != "" {
		w.t.Errorf("list (-want +got):\n%s", diff)
	}
}

// poll lists in the pool's rhythm while something changes, for so long.
func (w *world) poll(d time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(2 * time.Second)
		w.d.List(w.t.Context(), abi.ListRequest{})
	}
}

// remove has a machine removed as the pool does, until it is gone, and returns how long that took.
func (w *world) remove(name, id string) time.Duration {
	w.t.Helper()
	began := time.Now()
	for time.Since(began) < time.Hour {
		err := w.d.Remove(w.t.Context(), abi.RemoveRequest{Name: name, ID: id})
		if err == nil {
			return time.Since(began)
		}
		again := time.Minute
		if u := (*driver.UnderWay)(nil); errors.As(err, &u) {
			again = u.Again
		}
		time.Sleep(again)
	}
	w.t.Fatalf("%s is not gone", name)
	return 0
}

func (w *world) calls(op string, want int) {
	w.t.Helper()
	if got := w.g.Calls(op); got != want {
		w.t.Errorf("%d calls of %s, want %d", got, op, want)
	}
}

var quick = grouptest.Config{BootTime: 20 * time.Second, DeleteTime: 10 * time.Second}

// TestChange: what a reload changes holds from then on, for what there is too.
func TestChange(t *testing.T) {
	c := quick
	c.MaxSize = 4
	inWorld(t, c, group.Options{Settings: group.Settings{Max: 1}}, func(t *testing.T, w *world) {
		w.create("a", "b", "c", "d", "e")
		made := func(s group.Settings, want int) {
			t.Helper()
			w.d.Change(s)
			w.poll(time.Minute)
			if got := w.g.Made(); got != want {
				t.Errorf("with %+v there are %d instances, want %d", s, got, want)
			}
		}
		made(group.Settings{Max: 1}, 1)
		made(group.Settings{Max: 3}, 3)
		made(group.Settings{Max: 2}, 3)
		made(group.Settings{Max: 9, External: true}, 4) // the group's own maximum
		addresses := map[string]string{}
		for name, i := range w.list() {
			addresses[name] = i.Address
		}
		if diff := cmp.Diff(map[string]string{"a": "192.0.2.1", "b": "192.0.2.1", "c": "192.0.2.1", "d": "198.51.100.1", "e": ""}, addresses); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
		w.remove("e", "")
		w.d.Change(group.Settings{Update: 20 * time.Second})
		w.poll(time.Minute)
		before := w.g.Calls(grouptest.OpList)
		w.poll(time.Minute)
		if n := w.g.Calls(grouptest.OpList) - before; n < 5 || n > 7 { // half the interval: see List
			t.Errorf("%d lists in a minute", n)
		}
	})
}

// TestAdopt: what serves the group from now on says how large it may be, and must not serve another runner's.
func TestAdopt(t *testing.T) {
	registry := &group.Registry{}
	c := quick
	c.MaxSize = 9
	inWorld(t, c, group.Options{Registry: registry, Settings: group.Settings{Max: 5}}, func(t *testing.T, w *world) {
		other := group.New(group.Options{Name: "other", Runner: "other", Group: grouptest.New(grouptest.Config{ID: "others"}), Registry: registry})
		defer other.Close(t.Context())
		for _, d := range []*group.Driver{w.d, other} {
			if err := d.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for info, want := range map[group.Info]string{
			{ID: "others"}:               "the group others serves other already",
			{ID: "module's", MaxSize: 3}: "max_instances is 5 and the group module's may have 3",
		} {
			if err := w.d.Adopt(info); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", info, err, want)
			}
			if now, _ := w.d.Info(); now.ID != "fake/group" {
				t.Errorf("the group is %+v", now)
			}
		}
		err := w.d.Adopt(group.Info{ID: "module's", MaxSize: 7})
		if now, _ := w.d.Info(); err != nil || now.ID != "module's" || w.d.Stats().Max != 5 {
			t.Errorf("the group is %+v, of %d at most, %v", now, w.d.Stats().Max, err)
		}
		w.d.Change(group.Settings{Max: 8})
		if n := w.d.Stats().Max; n != 7 {
			t.Errorf("max_instances beyond what serves the group now: %d", n)
		}
	})
}

// TestDoubt: an instance that does not answer is asked about at once, and needs no six lists to count as gone; one that is listed again does.
func TestDoubt(t *testing.T) {
	inWorld(t, quick, group.Options{Settings: group.Settings{Update: time.Hour}}, func(t *testing.T, w *world) {
		w.create("a", "b")
		w.poll(time.Minute)
		w.wants(map[string]string{"a": "running i-000001", "b": "running i-000002"})
		w.d.Doubt("a")
		w.d.Doubt("nobody")
		time.Sleep(time.Minute)
		w.wants(map[string]string{"a": "running i-000001", "b": "running i-000002"}) // it is there
		w.g.Kill("i-000001")
		w.g.Kill("i-000002")
		time.Sleep(time.Minute)
		w.wants(map[string]string{"a": "running i-000001", "b": "running i-000002"}) // nobody has asked
		for range 2 {
			w.d.Doubt("a")
			time.Sleep(2 * time.Second)
			w.list()
		}
		w.wants(map[string]string{"a": "gone i-000001", "b": "running i-000002"})
		w.poll(time.Minute)
		w.wants(map[string]string{"a": "gone i-000001", "b": "gone i-000002"})
	})
}

func TestBurstIsOneIncrease(t *testing.T) {
	inWorld(t, quick, group.Options{}, func(t *testing.T, w *world) {
		for n := range 300 {
			w.create(fmt.Sprintf("m%03d", n))
		}
		w.poll(30 * time.Second)
		w.calls(grouptest.OpIncrease, 1)
		for n := range 300 {
			name := fmt.Sprintf("m%03d", n)
			i := w.list()[name]
			if want := fmt.Sprintf("i-%06d", n+1); i.ID != want || i.Status != abi.StatusRunning || i.Address != "192.0.2.1" {
				t.Fatalf("%s has %+v, want %s: who waits longest gets the oldest", name, i, want)
			}
		}
		if s := w.d.Stats(); s.Running != 300 || s.Creates != 300 || s.Pending != 0 || s.Requested != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAddress(t *testing.T) {
	both := group.Connection{InternalAddr: "10.0.0.1", ExternalAddr: "203.0.113.1"}
	for _, tt := range []struct {
		name     string
		c        group.Connection
		external bool
		want     string
	}{
		{"internal", both, false, "10.0.0.1"},
		{"external preferred", both, true, "203.0.113.1"},
		{"only an internal one", group.Connection{InternalAddr: "10.0.0.1"}, true, "10.0.0.1"},
		{"only an external one", group.Connection{ExternalAddr: "203.0.113.1"}, false, "203.0.113.1"},
		{"none", group.Connection{}, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.Address(tt.external); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestAddressIsAskedForAgain(t *testing.T) {
	inWorld(t, quick, group.Options{Settings: group.Settings{External: true}}, func(t *testing.T, w *world) {
		w.g.Inject(grouptest.Fault{Op: grouptest.OpConnect, Times: 3, Err: errors.New("it has no address yet")})
		w.create("one")
		w.poll(24 * time.Second)
		if i := w.list()["one"]; i.Status != abi.StatusRunning || i.Address != "" {
			t.Errorf("before it can be told: %+v", i)
		}
		w.poll(10 * time.Second)
		if i := w.list()["one"]; i.Address != "198.51.100.1" {
			t.Errorf("after: %+v", i)
		}
	})
}

func TestGroupThatCannotServe(t *testing.T) {
	for _, tt := range []struct {
		name  string
		c     grouptest.Config
		o     group.Options
		fault grouptest.Fault
		kind  abi.ErrorKind
		want  string
	}{
		{name: "A26: more than the group allows", c: grouptest.Config{MaxSize: 10}, o: group.Options{Settings: group.Settings{Max: 20}}, kind: abi.Invalid,
			want: "group: start: invalid: max_instances is 20 and the group fake/group may have 10 instances at most; lower max_instances, or raise the group's own maximum"},
		{name: "no answer", fault: grouptest.Fault{Op: grouptest.OpInfo, Err: errors.New("the plug-in died")}, kind: abi.Transient, want: "group: start: transient: the plug-in died"},
		{name: "refused", fault: grouptest.Fault{Op: grouptest.OpInfo, Err: &driver.Error{Driver: "aws", Op: "start", Info: abi.Error{Kind: abi.Auth, Message: "no credentials"}}},
			kind: abi.Auth, want: "aws: start: auth: no credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, tt.c, tt.o, func(t *testing.T, w *world) {
				if tt.fault.Op != "" {
					tt.fault.Times = -1
					w.g.Inject(tt.fault)
				}
				err := w.d.Start(t.Context())
				if err == nil || err.Error() != tt.want || driver.KindOf(err) != tt.kind {
					t.Errorf("start: %v, want %s", err, tt.want)
				}
				if _, err := w.d.Create(t.Context(), abi.CreateRequest{Name: "one"}); driver.KindOf(err) != tt.kind || err == nil {
					t.Errorf("create: %v", err)
				}
				if _, err := w.d.List(t.Context(), abi.ListRequest{}); err == nil {
					t.Error("list has no error")
				}
				w.calls(grouptest.OpIncrease, 0)
				if tt.fault.Op == "" {
					return
				}
				w.g.Heal()
				time.Sleep(3 * time.Second)
				w.create("one")
				if info, ok := w.d.Info(); !ok || info.ID != "fake/group" {
					t.Errorf("info after it is well: %+v, %v", info, ok)
				}
			})
		})
	}
}

// TestMaximum: no more are asked for than there is room, whatever is in the group, and what waits gets its instance when others have gone.
func TestMaximum(t *testing.T) {
	for name, o := range map[string]group.Options{"max_instances": {Settings: group.Settings{Max: 5}}, "the group's own": {}} {
		t.Run(name, func(t *testing.T) {
			c := quick
			c.MaxSize = 5
			inWorld(t, c, o, func(t *testing.T, w *world) {
				stranger := w.g.Add()
				time.Sleep(time.Minute) // it runs when the driver sees it first, so it is somebody's
				w.poll(4 * time.Second)
				w.create("a", "b", "c", "d", "e", "f")
				w.poll(30 * time.Second)
				if w.g.Made() != 5 || w.g.Most() != 5 {
					t.Errorf("%d made, %d at once; want 4 beside the stranger", w.g.Made(), w.g.Most())
				}
				if got := w.statuses(); got["d"] == "creating" || got["e"] != "creating" || got[group.Unclaimed(stranger)] == "" {
					t.Errorf("%v", got)
				}
				w.remove("a", "")
				w.poll(30 * time.Second)
				if got := w.statuses(); got["e"] == "creating" || got["f"] != "creating" || w.g.Most() != 5 {
					t.Errorf("after one has gone: %v, %d at once", got, w.g.Most())
				}
			})
		})
	}
}

func TestCreateIsIdempotent(t *testing.T) {
	inWorld(t, quick, group.Options{}, func(t *testing.T, w *world) {
		w.create("one", "one")
		w.poll(4 * time.Second)
		w.create("one")
		w.poll(30 * time.Second)
		if i, err := w.d.Create(t.Context(), abi.CreateRequest{Name: "one"}); err != nil || i.Status != abi.StatusRunning || i.ID != "i-000001" {
			t.Errorf("%+v, %v", i, err)
		}
		if w.g.Made() != 1 {
			t.Errorf("%d instances", w.g.Made())
		}
		for _, name := range []string{"", group.Unclaimed("i-000001")} {
			if _, err := w.d.Create(t.Context(), abi.CreateRequest{Name: name}); !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("create %q: %v", name, err)
			}
		}
	})
}

// TestRhythm: while nothing changes the group is asked once per update_interval, however often somebody lists.
func TestRhythm(t *testing.T) {
	inWorld(t, quick, group.Options{Settings: group.Settings{Update: 30 * time.Second}}, func(t *testing.T, w *world) {
		w.create("one")
		w.poll(time.Minute)
		before := w.g.Calls(grouptest.OpList)
		w.poll(10 * time.Minute)
		if n := w.g.Calls(grouptest.OpList) - before; n < 20 || n > 41 {
			t.Errorf("%d lists in ten minutes without changes", n)
		}
		before = w.g.Calls(grouptest.OpList)
		w.create("two")
		time.Sleep(time.Second)
		for range 8 {
			go w.d.List(context.WithoutCancel(t.Context()), abi.ListRequest{})
		}
		synctest.Wait()
		if n := w.g.Calls(grouptest.OpList) - before; n != 1 {
			t.Errorf("%d lists for eight callers at once", n)
		}
	})
}

func TestRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r group.Registry
		g := grouptest.New(grouptest.Config{})
		one := group.New(group.Options{Group: g, Runner: "one", Registry: &r})
		two := group.New(group.Options{Group: g, Runner: "two", Registry: &r})
		if err := one.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := two.Start(t.Context())
		if !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "the group fake/group serves one already") {
			t.Errorf("a second runner on the group: %v", err)
		}
		one.Close(t.Context())
		if err := two.Start(t.Context()); err != nil {
			t.Errorf("after the first has ended: %v", err)
		}
		two.Close(t.Context())
	})
}

// TestCloseCutsOff: a group that hangs holds nobody up who ends the driver.
func TestCloseCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := grouptest.New(quick)
		g.Inject(grouptest.Fault{Op: grouptest.OpList, Delay: time.Hour})
		d := group.New(group.Options{Group: g, CallTimeout: 2 * time.Hour})
		listed := make(chan error, 1)
		go func() {
			_, err := d.List(context.WithoutCancel(t.Context()), abi.ListRequest{})
			listed <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := d.Close(ctx); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("close took %s: %v", time.Since(began), err)
		}
		if err := <-listed; err == nil {
			t.Error("the list that was cut off has no error")
		}
		if _, err := d.List(t.Context(), abi.ListRequest{}); err == nil {
			t.Error("a closed driver lists")
		}
	})
}
