package main

import (
	"testing"
	"time"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSuite holds the driver, natively and as the module that ships, to the contract of drivers.
func TestSuite(t *testing.T) {
	heard := drivertest.Listen(t)
	server := fakearm.Start(t)
	for name, tc := range map[string]struct {
		settings fakearm.Settings
		driver   func(*testing.T, *fakearm.Cloud) hostside.Driver
	}{
		"natively":                 {fakearm.Settings{}, func(*testing.T, *fakearm.Cloud) hostside.Driver { return nativeDriver }},
		"natively, slow, in pages": {fakearm.Settings{OpTime: 50 * time.Millisecond, PageSize: 8}, func(*testing.T, *fakearm.Cloud) hostside.Driver { return nativeDriver }},
		"as Wasm":                  {fakearm.Settings{OpTime: 50 * time.Millisecond, Token: testToken}, asWasm},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.settings.Token == "" { // a token comes by the environment
				t.Parallel()
			}
			c := cloud(t, server, tc.settings)
			d := tc.driver(t, c)
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				s := subject(t, c, d)
				s.Heard = heard
				return s
			})
		})
	}
}

func subject(t *testing.T, c *fakearm.Cloud, d hostside.Driver) drivertest.Subject {
	return drivertest.Subject{
		Driver: d, Options: options(t, c), Invalid: options(t, c, "azure-size=Standard_no_such"), Calls: c.Calls, Secrets: []string{testToken}, Settle: 30 * time.Second,
		Switches: true, Checks: true,
		Leftovers: func(o abi.Owner) []string { return c.Leftovers(o.ID) },
		Inject:    func(f drivertest.Fault) error { return c.Fail(string(f)) },
		Faults:    []drivertest.Fault{drivertest.LostRemove, drivertest.HalfMade, drivertest.Junk, drivertest.Silent},
		Says: map[drivertest.Fault]drivertest.Said{
			drivertest.StockOut:    {Code: "AllocationFailed", Words: "do not have sufficient capacity for the requested VM size"},
			drivertest.OverQuota:   {Code: "OperationNotAllowed", Words: "exceeding approved Total Regional Cores quota"},
			drivertest.RateLimited: {Code: "TooManyRequests", Words: "The request is being throttled"},
			drivertest.Denied:      {Code: "ExpiredAuthenticationToken", Words: "The access token expiry UTC time"},
			drivertest.Broken:      {Code: "ServerTimeout", Words: "The request timed out"},
		},
		Put: func(name string, s abi.Status) error {
			return c.Put(name, map[abi.Status]string{abi.StatusStopped: "deallocated", abi.StatusUnknown: "unknown", abi.StatusCreating: "starting"}[s])
		},
		States: []abi.Status{abi.StatusStopped, abi.StatusUnknown, abi.StatusCreating, abi.StatusGone},
	}
}
