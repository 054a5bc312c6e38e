package fakecloud_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestDriverSuite holds the example driver, as Wasm, and with it the cloud, to the contract of drivers.
func TestDriverSuite(t *testing.T) {
	for name, settings := range map[string]fakecloud.Settings{
		"at once":            {Zones: []string{"a"}},
		"slow, in two pages": {Zones: []string{"a"}, BootMS: 300, PageSize: 2},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, fakecloud.Options{Settings: settings})
			d := load(t, c)
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				invalid := options(c)
				invalid["fakecloud-zone"] = []string{"z"}
				return drivertest.Subject{
					Driver: d, Options: options(c), Invalid: invalid,
					Leftovers: func(abi.Owner) []string { return names(c) },
					Inject:    func(f drivertest.Fault) error { return c.Fail(string(f)) },
					Faults:    []drivertest.Fault{drivertest.LostRemove, drivertest.HalfMade, drivertest.Junk, drivertest.Silent},
					Put:       func(name string, s abi.Status) error { return c.Put(name, string(s)) },
					States:    []abi.Status{abi.StatusStopped, abi.StatusInterrupted, abi.StatusGone},
					Says:      drivertest.Sayings(fakecloud.Says),
					Calls:     c.Calls,
				}
			})
		})
	}
}

var owner = abi.Owner{ID: "abcdefgh01234567", Runner: "build/1"}

func create(t *testing.T, d driver.Driver, c *fakecloud.Cloud, name string) error {
	t.Helper()
	_, err := d.Create(t.Context(), abi.CreateRequest{Owner: owner, Name: name, Options: options(c)})
	return err
}

func TestFaultsHitWhatTheyAreFor(t *testing.T) {
	c := start(t, fakecloud.Options{})
	d := load(t, c)
	for name, tc := range map[string]struct {
		fault fakecloud.Fault
		fails []bool // the creations, one after the other
	}{
		"once":         {fakecloud.StockOut(), []bool{true, false}},
		"twice":        {fakecloud.Fault{Op: fakecloud.OpCreate, Times: 2, Status: 503}, []bool{true, true, false}},
		"the second":   {fakecloud.Fault{Op: fakecloud.OpCreate, After: 1, Status: 503}, []bool{false, true, false}},
		"until healed": {fakecloud.Fault{Times: -1, Status: 503}, []bool{true, true, true}},
		"its zone":     {fakecloud.Fault{Op: fakecloud.OpCreate, Zone: "a", Status: 503}, []bool{true}},
		"other zone":   {fakecloud.Fault{Op: fakecloud.OpCreate, Zone: "b", Status: 503}, []bool{false}},
		"other type":   {fakecloud.Fault{Op: fakecloud.OpCreate, Type: "large", Status: 503}, []bool{false}},
		"spot alone":   {fakecloud.Fault{Op: fakecloud.OpCreate, Spot: true, Status: 503}, []bool{false}},
		"other call":   {fakecloud.Fault{Op: fakecloud.OpList, Status: 503}, []bool{false}},
		"other name":   {fakecloud.Fault{Name: "x", Status: 503}, []bool{false}},
		"only slow":    {fakecloud.Fault{DelayMS: 20}, []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Heal()
			c.Inject(tc.fault)
			for n, fails := range tc.fails {
				err := create(t, d, c, fmt.Sprintf("m-%d", len(c.Ledger(0))))
				if (err != nil) != fails {
					t.Errorf("creation %d: %v", n+1, err)
				}
			}
		})
	}
}

func TestListsThatAreNotComplete(t *testing.T) {
	c := start(t, fakecloud.Options{Settings: fakecloud.Settings{PageSize: 2}})
	d := load(t, c)
	for n := range 5 {
		if err := create(t, d, c, fmt.Sprintf("m-%d", n)); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		fault    fakecloud.Fault
		shown    int
		complete bool
	}{
		"all is well":         {fakecloud.Fault{Op: fakecloud.OpCreate}, 5, true},
		"a zone is away":      {fakecloud.Fault{Op: fakecloud.OpList, Hide: 1}, 4, false},
		"a later page breaks": {fakecloud.Fault{Op: fakecloud.OpList, After: 1, Status: http.StatusInternalServerError}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.Heal()
			c.Inject(tc.fault)
			res, err := d.List(t.Context(), abi.ListRequest{Owner: owner, Options: options(c)})
			if err != nil || len(res.Instances) != tc.shown || res.Complete != tc.complete {
				t.Errorf("%d machines, complete %t, %v; want %d, %t", len(res.Instances), res.Complete, err, tc.shown, tc.complete)
			}
		})
	}
	c.Inject(fakecloud.Broken())
	if _, err := d.List(t.Context(), abi.ListRequest{Owner: owner, Options: options(c)}); !errors.Is(err, driver.ErrTransient) {
		t.Errorf("the first page breaks: %v", err)
	}
}

func TestStatuses(t *testing.T) {
	c := start(t, fakecloud.Options{Settings: fakecloud.Settings{RemoveMS: 3_600_000}})
	d := load(t, c)
	if err := create(t, d, c, "m"); err != nil {
		t.Fatal(err)
	}
	see := func(want abi.Status) {
		t.Helper()
		res, err := d.List(t.Context(), abi.ListRequest{Owner: owner, Options: options(c)})
		if err != nil || len(res.Instances) != 1 || res.Instances[0].Status != want {
			t.Errorf("%+v, %v; want %s", res.Instances, err, want)
		}
	}
	see(abi.StatusRunning)
	for _, tc := range []struct {
		act  fakecloud.Act
		want abi.Status
	}{
		{fakecloud.Stop, abi.StatusStopped}, {fakecloud.Revive, abi.StatusRunning}, {fakecloud.Mute, abi.StatusRunning},
		{fakecloud.Interrupt, abi.StatusInterrupted},
	} {
		if err := c.Act("m", tc.act, time.Hour); err != nil {
			t.Fatal(err)
		}
		see(tc.want)
	}
	if err := d.Remove(t.Context(), abi.RemoveRequest{Owner: owner, Name: "m", Options: options(c)}); err != nil {
		t.Fatal(err)
	}
	see(abi.StatusGone)
	if err := create(t, d, c, "m"); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("create while it is deleted: %v; want conflict", err)
	}
}
