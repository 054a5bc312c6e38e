package fake_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/fake"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestSuite(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivertest.Subject {
		cloud := fake.New(fake.Config{Zones: []string{"a", "b"}})
		return drivertest.Subject{
			Driver: cloud, Options: abi.Options{fake.OptZone: {"a"}}, Invalid: abi.Options{fake.OptZone: {"z"}},
			Inject: func(f drivertest.Fault) error { return cloud.Fail(string(f)) }, Faults: []drivertest.Fault{drivertest.LostRemove},
			Says: map[drivertest.Fault]drivertest.Said{
				drivertest.StockOut: {Code: fake.StockOut().Code, Words: fake.StockOut().Message}, drivertest.OverQuota: {Code: fake.OverQuota().Code, Words: fake.OverQuota().Message},
			},
			Put:    func(name string, s abi.Status) error { cloud.SetStatus(name, s); return nil },
			States: []abi.Status{abi.StatusStopped, abi.StatusInterrupted, abi.StatusUnknown, abi.StatusGone},
			Leftovers: func(abi.Owner) (left []string) {
				for _, m := range cloud.Machines() {
					left = append(left, m.Name)
				}
				return left
			},
		}
	})
}

var owner = abi.Owner{ID: "owner1"}

func create(c *fake.Cloud, t *testing.T, name, zone string) error {
	_, err := c.Create(t.Context(), abi.CreateRequest{Owner: owner, Name: name, Options: abi.Options{fake.OptZone: {zone}}})
	return err
}

func TestMachinesNeedTimeToBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake.New(fake.Config{BootTime: 30 * time.Second})
		if err := create(c, t, "m1", "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30*time.Second - 1)
		if got := c.Machines()[0].Status; got != abi.StatusCreating {
			t.Errorf("before the boot: %s", got)
		}
		time.Sleep(1)
		if got := c.Machines()[0].Status; got != abi.StatusRunning {
			t.Errorf("after the boot: %s", got)
		}
		c.SetStatus("m1", abi.StatusInterrupted)
		if got := c.Machines()[0].Status; got != abi.StatusInterrupted {
			t.Errorf("after a preemption: %s", got)
		}
	})
}

func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fake.Fault
		want  error
		made  int // machines that there are after one create in zone a
	}{
		"stock-out":         {fake.Fault{Op: fake.OpCreate, Error: fake.StockOut()}, driver.ErrCapacity, 0},
		"quota":             {fake.Fault{Op: fake.OpCreate, Error: fake.OverQuota()}, driver.ErrQuota, 0},
		"rate limit":        {fake.Fault{Error: fake.RateLimited(time.Minute)}, driver.ErrRateLimited, 0},
		"lost reply":        {fake.Fault{Op: fake.OpCreate, Lost: true}, driver.ErrTransient, 1},
		"of another zone":   {fake.Fault{Zone: "b", Error: fake.StockOut()}, nil, 1},
		"of another name":   {fake.Fault{Name: "m2", Error: fake.StockOut()}, nil, 1},
		"of another call":   {fake.Fault{Op: fake.OpList, Error: fake.OverQuota()}, nil, 1},
		"only slow":         {fake.Fault{Op: fake.OpCreate, Delay: time.Second}, nil, 1},
		"slow, then at end": {fake.Fault{Op: fake.OpCreate, Delay: time.Second, Error: fake.OverQuota()}, driver.ErrQuota, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fake.New(fake.Config{})
				c.Inject(tc.fault)
				start := time.Now()
				if err := create(c, t, "m1", "a"); !errors.Is(err, tc.want) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
				if took := time.Since(start); took != tc.fault.Delay {
					t.Errorf("took %v, want %v", took, tc.fault.Delay)
				}
				if got := len(c.Machines()); got != tc.made {
					t.Errorf("%d machines, want %d", got, tc.made)
				}
			})
		})
	}
}

func TestFaultsEnd(t *testing.T) {
	c := fake.New(fake.Config{Quota: 1})
	c.Inject(fake.Fault{Op: fake.OpCreate, Times: 2, Error: fake.StockOut()})
	for range 2 {
		if err := create(c, t, "m1", "a"); !errors.Is(err, driver.ErrCapacity) {
			t.Fatalf("got %v", err)
		}
	}
	if err := create(c, t, "m1", "a"); err != nil {
		t.Fatal(err)
	}
	if err := create(c, t, "m2", "a"); !errors.Is(err, driver.ErrQuota) {
		t.Errorf("beyond the quota: %v", err)
	}
	c.Inject(fake.Fault{Times: -1, Error: fake.StockOut()})
	for range 5 {
		if err := create(c, t, "m1", "a"); err == nil {
			t.Error("a fault without end ended")
		}
	}
	c.Heal()
	if err := create(c, t, "m1", "a"); err != nil {
		t.Error(err)
	}
	if c.Calls(fake.OpCreate) != 10 || c.Made() != 1 {
		t.Errorf("%d calls, %d made", c.Calls(fake.OpCreate), c.Made())
	}
}

func TestPartialList(t *testing.T) {
	c := fake.New(fake.Config{})
	for _, name := range []string{"m1", "m2", "m3"} {
		if err := create(c, t, name, "a"); err != nil {
			t.Fatal(err)
		}
	}
	c.Inject(fake.Fault{Op: fake.OpList, Hide: 2})
	names := func() (names []string, complete bool) {
		res, err := c.List(t.Context(), abi.ListRequest{Owner: owner})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range res.Instances {
			names = append(names, i.Name)
		}
		return names, res.Complete
	}
	if got, complete := names(); complete || !slices.Equal(got, []string{"m1"}) {
		t.Errorf("partial list: %v, complete %v", got, complete)
	}
	if !c.Kill("m2") || c.Kill("m9") {
		t.Error("Kill does not tell whether there was a machine")
	}
	if got, complete := names(); !complete || !slices.Equal(got, []string{"m1", "m3"}) {
		t.Errorf("after one died: %v, complete %v", got, complete)
	}
}
