package main

import (
	"maps"
	"testing"
	"time"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakehcloud"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSuite holds the driver, natively and as the module that ships, to the contract of drivers.
func TestSuite(t *testing.T) {
	heard := drivertest.Listen(t)
	natively := func(*testing.T, *fakehcloud.Cloud) hostside.Driver { return nativeDriver }
	slow := fakehcloud.Settings{BootTime: 50 * time.Millisecond, DeleteTime: 50 * time.Millisecond, PageSize: 3}
	for name, tc := range map[string]struct {
		settings fakehcloud.Settings
		own      bool // with an SSH key of the operator's
		driver   func(*testing.T, *fakehcloud.Cloud) hostside.Driver
	}{
		"natively":                          {fakehcloud.Settings{}, false, natively},
		"natively, slow, in pages":          {slow, false, natively},
		"natively, with the operator's key": {fakehcloud.Settings{}, true, natively},
		"as Wasm":                           {fakehcloud.Settings{BootTime: slow.BootTime, Token: testToken}, false, asWasm},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tc.settings)
			d := tc.driver(t, c)
			o := options(t, c)
			if tc.own {
				o = options(t, c, keyOption(c.AddKey("operator", testKey, nil)))
			}
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				s := subject(c, d, o)
				s.Heard = heard
				return s
			})
		})
	}
}

func subject(c *fakehcloud.Cloud, d hostside.Driver, o abi.Options) drivertest.Subject {
	invalid := maps.Clone(o)
	invalid[optImage] = []string{"no-such-image"}
	return drivertest.Subject{
		Driver: d, Options: o, Invalid: invalid, Calls: c.Calls, Secrets: []string{testToken}, Settle: 20 * time.Second, Switches: true, Checks: true,
		Leftovers: func(o abi.Owner) []string { return c.Leftovers(o.ID) },
		Inject:    func(f drivertest.Fault) error { return c.Fail(string(f)) },
		Faults:    []drivertest.Fault{drivertest.LostRemove, drivertest.HalfMade, drivertest.Junk, drivertest.Silent},
		Says: map[drivertest.Fault]drivertest.Said{
			drivertest.StockOut:    {Code: "resource_unavailable", Words: "error during placement"},
			drivertest.OverQuota:   {Code: "resource_limit_exceeded", Words: "server limit reached"},
			drivertest.RateLimited: {Code: "rate_limit_exceeded", Words: "API Rate limit exceeded"},
			drivertest.Denied:      {Code: "unauthorized", Words: "Unable to authenticate you"},
			drivertest.Broken:      {Code: "maintenance", Words: "Server Error"},
		},
		Put: func(name string, s abi.Status) error {
			return c.Put(name, map[abi.Status]string{abi.StatusStopped: "off", abi.StatusUnknown: "migrating", abi.StatusCreating: "starting"}[s])
		},
		States: []abi.Status{abi.StatusStopped, abi.StatusUnknown, abi.StatusCreating, abi.StatusGone},
	}
}
