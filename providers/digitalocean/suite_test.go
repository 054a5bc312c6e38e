package main

import (
	"testing"
	"time"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakedo"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSuite holds the driver, natively and as the module that ships, to the contract of drivers.
func TestSuite(t *testing.T) {
	heard := drivertest.Listen(t)
	natively := func(*testing.T, *fakedo.Cloud) hostside.Driver { return nativeDriver }
	for name, tc := range map[string]struct {
		settings fakedo.Settings
		own      bool // with an SSH key of the operator's
		driver   func(*testing.T, *fakedo.Cloud) hostside.Driver
	}{
		"natively":                          {fakedo.Settings{}, false, natively},
		"natively, slow, in pages":          {fakedo.Settings{BootTime: 50 * time.Millisecond, PageSize: 3, KeyDelay: 2}, false, natively},
		"natively, with the operator's key": {fakedo.Settings{}, true, natively},
		"as Wasm":                           {fakedo.Settings{BootTime: 50 * time.Millisecond, Token: testToken}, false, asWasm},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tc.settings)
			d := tc.driver(t, c)
			o := options(t, c)
			if tc.own {
				o = options(t, c, "digitalocean-ssh-key-fingerprint="+c.AddKey("operator", testKey))
			}
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				s := subject(c, d, o)
				s.Heard = heard
				return s
			})
		})
	}
}

func subject(c *fakedo.Cloud, d hostside.Driver, o abi.Options) drivertest.Subject {
	invalid := abi.Options{}
	for name, values := range o {
		invalid[name] = values
	}
	invalid[optImage] = []string{"no-such-image"}
	return drivertest.Subject{
		Driver: d, Options: o, Invalid: invalid, Calls: c.Calls, Secrets: []string{testToken}, Settle: 20 * time.Second, Switches: true, Checks: true,
		Leftovers: func(o abi.Owner) []string { return c.Leftovers(o.ID) },
		Inject:    func(f drivertest.Fault) error { return c.Fail(string(f)) },
		Faults:    []drivertest.Fault{drivertest.LostRemove, drivertest.HalfMade, drivertest.Junk, drivertest.Silent},
		Says: map[drivertest.Fault]drivertest.Said{
			drivertest.StockOut:    {Code: "unprocessable_entity", Words: "Size is not available in this region"},
			drivertest.OverQuota:   {Code: "unprocessable_entity", Words: "will exceed your droplet limit"},
			drivertest.RateLimited: {Code: "too_many_requests", Words: "API Rate limit exceeded"},
			drivertest.Denied:      {Code: "unauthorized", Words: "Unable to authenticate you"},
			drivertest.Broken:      {Code: "server_error", Words: "Server Error"},
		},
		Put: func(name string, s abi.Status) error {
			return c.Put(name, map[abi.Status]string{abi.StatusStopped: "off", abi.StatusUnknown: "migrating", abi.StatusCreating: "new"}[s])
		},
		States: []abi.Status{abi.StatusStopped, abi.StatusUnknown, abi.StatusCreating, abi.StatusGone},
	}
}
