package main

import (
	"testing"
	"time"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSuite holds the driver, natively and as the module that ships, to the contract of drivers.
func TestSuite(t *testing.T) {
	heard := drivertest.Listen(t)
	natively := func(*testing.T, *fakeec2.Cloud) hostside.Driver { return nativeDriver }
	for name, tc := range map[string]struct {
		settings fakeec2.Settings
		driver   func(*testing.T, *fakeec2.Cloud) hostside.Driver
		more     []string
	}{
		"natively":                {fakeec2.Settings{Region: "eu-west-1"}, natively, nil},
		"natively, spot in pages": {fakeec2.Settings{Region: "eu-west-2", PageSize: 5}, natively, []string{"amazonec2-request-spot-instance"}},
		"as Wasm":                 {fakeec2.Settings{Region: "eu-west-3", AccessKey: testKey}, asWasm, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tc.settings)
			d := tc.driver(t, c)
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				s := subject(t, c, d, tc.more...)
				s.Heard = heard
				return s
			})
		})
	}
}

func subject(t *testing.T, c *fakeec2.Cloud, d hostside.Driver, more ...string) drivertest.Subject {
	states := []abi.Status{abi.StatusStopped, abi.StatusUnknown, abi.StatusCreating, abi.StatusGone}
	if len(more) > 0 { // spot instances that stop are taken back
		states[0] = abi.StatusInterrupted
	}
	return drivertest.Subject{
		Driver: d, Options: options(t, c, more...), Invalid: options(t, c, append(more, "amazonec2-instance-type=no-such-type")...),
		Switches: len(more) == 0, Fixed: len(more) > 0, Console: "Linux version", Checks: true, // AWS stops no spot instance of ours
		Calls: c.Calls, Secrets: []string{testKey, testSecret}, Settle: 20 * time.Second,
		Leftovers: func(o abi.Owner) []string { return c.Leftovers(o.ID) },
		Inject:    func(f drivertest.Fault) error { return c.Fail(string(f)) },
		Faults:    []drivertest.Fault{drivertest.LostRemove, drivertest.HalfMade, drivertest.Junk, drivertest.Silent},
		Says: map[drivertest.Fault]drivertest.Said{
			drivertest.StockOut:    {Code: "InsufficientInstanceCapacity", Words: "do not have sufficient t2.micro capacity"},
			drivertest.OverQuota:   {Code: "VcpuLimitExceeded", Words: "current vCPU limit of 32"},
			drivertest.RateLimited: {Code: "RequestLimitExceeded", Words: "Request limit exceeded"},
			drivertest.Denied:      {Code: "AuthFailure", Words: "not able to validate the provided access credentials"},
			drivertest.Broken:      {Code: "InternalError", Words: "An internal error has occurred"},
		},
		Put:    c.Put,
		States: states,
	}
}
