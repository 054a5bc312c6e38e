package main

import (
	"testing"
	"time"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSuite holds the driver, natively and as the module that ships, to the contract of drivers.
func TestSuite(t *testing.T) {
	heard := drivertest.Listen(t)
	for name, tc := range map[string]struct {
		settings fakegce.Settings
		driver   func(*testing.T, *fakegce.Cloud) hostside.Driver
		list     []string
	}{
		"natively":                 {fakegce.Settings{}, natively, nil},
		"natively, slow, in pages": {slow, natively, nil},
		"natively, in bulk":        {slow, natively, inBulk},
		"as Wasm":                  {fakegce.Settings{OpTime: slow.OpTime, BootTime: slow.BootTime, Token: testToken}, asWasm, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tc.settings)
			d := tc.driver(t, c)
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				s := subject(t, c, d, tc.list...)
				s.Heard = heard
				return s
			})
		})
	}
}

func natively(*testing.T, *fakegce.Cloud) hostside.Driver { return nativeDriver }

// inBulk has machines inserted into a region.
var inBulk = []string{"google-bulk-insert", "google-region=us-central1"}

var slow = fakegce.Settings{OpTime: 20 * time.Millisecond, BootTime: 50 * time.Millisecond, PageSize: 5}

func subject(t *testing.T, c *fakegce.Cloud, d hostside.Driver, list ...string) drivertest.Subject {
	invalid := options(t, c, list...)
	invalid[optMachineType] = []string{"no-such-type"}
	return drivertest.Subject{
		Driver: d, Options: options(t, c, list...), Invalid: invalid, Calls: c.Calls, Secrets: []string{testToken}, Settle: 20 * time.Second,
		Switches: true, Console: "Linux version", Checks: true,
		Leftovers: func(o abi.Owner) []string { return c.Leftovers(o.ID) },
		Inject:    func(f drivertest.Fault) error { return c.Fail(string(f)) },
		Faults:    []drivertest.Fault{drivertest.LostRemove, drivertest.HalfMade, drivertest.Junk, drivertest.Silent},
		Says: map[drivertest.Fault]drivertest.Said{
			drivertest.StockOut:    {Code: "ZONE_RESOURCE_POOL_EXHAUSTED", Words: "does not have enough resources available"},
			drivertest.OverQuota:   {Code: "QUOTA_EXCEEDED", Words: "Quota 'CPUS' exceeded"},
			drivertest.RateLimited: {Code: "rateLimitExceeded", Words: "Quota exceeded for quota metric 'Queries'"},
			drivertest.Denied:      {Code: "authError", Words: "Request had invalid authentication credentials"},
			drivertest.Broken:      {Code: "backendError", Words: "Backend Error"},
		},
		Put: func(name string, s abi.Status) error {
			return c.Put(name, map[abi.Status]string{abi.StatusStopped: "TERMINATED", abi.StatusUnknown: "REPAIRING", abi.StatusCreating: "STAGING"}[s])
		},
		States: []abi.Status{abi.StatusStopped, abi.StatusUnknown, abi.StatusCreating, abi.StatusGone},
	}
}
