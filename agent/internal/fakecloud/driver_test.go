package fakecloud_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
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
				return drivertest.Subject{Driver: d, Options: options(c), Invalid: invalid, Leftovers: func(*testing.T, abi.Owner) []string {
					return names(c)
				}}
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

func TestFaultsReachTheHostByKind(t *testing.T) {
	c := start(t, fakecloud.Options{})
	d := load(t, c)
	lost := fakecloud.Fault{Op: fakecloud.OpCreate, Lost: true}
	for name, tc := range map[string]struct {
		fault fakecloud.Fault
		want  error
		after int // seconds that the host is told to wait
		made  bool
	}{
		"stock-out":   {fakecloud.StockOut(), driver.ErrCapacity, 0, false},
		"quota":       {fakecloud.OverQuota(), driver.ErrQuota, 0, false},
		"rate limit":  {fakecloud.RateLimited(7 * time.Second), driver.ErrRateLimited, 7, false},
		"auth":        {fakecloud.Denied(), driver.ErrAuth, 0, false},
		"trouble":     {fakecloud.Broken(), driver.ErrTransient, 0, false},
		"lost reply":  {lost, driver.ErrTransient, 0, true},
		"other zone":  {fakecloud.Fault{Op: fakecloud.OpCreate, Zone: "b", Status: 503}, nil, 0, true},
		"spot alone":  {fakecloud.Fault{Op: fakecloud.OpCreate, Spot: true, Status: 503}, nil, 0, true},
		"second call": {fakecloud.Fault{Op: fakecloud.OpCreate, After: 1, Status: 503}, nil, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.Heal()
			c.Inject(tc.fault)
			machine := fmt.Sprintf("m-%d", len(c.Ledger(0)))
			err := create(t, d, c, machine)
			if !errors.Is(err, tc.want) {
				t.Errorf("create: %v, want %v", err, tc.want)
			}
			var e *driver.Error
			if errors.As(err, &e); e != nil && e.Info.RetryAfterS != tc.after {
				t.Errorf("told to wait %d s, want %d", e.Info.RetryAfterS, tc.after)
			}
			if made := slices.Contains(names(c), machine); made != tc.made {
				t.Errorf("made is %t", made)
			}
			c.Heal()
			if err := create(t, d, c, machine); err != nil {
				t.Errorf("the second try: %v", err)
			}
			if twice := c.Summary().Twice; len(twice) > 0 {
				t.Errorf("made twice: %v", twice)
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
