package main

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
)

// TestSuite holds the driver, as the module that ships, to the contract of groups.
func TestSuite(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change   func(*fakegce.Group)
		location string
		options  []string
	}{
		"in a zone":   {func(*fakegce.Group) {}, "zones/" + testZone, nil},
		"in a region": {regional, "regions/us-central1", []string{optZone, "", optRegion, "us-central1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := slow
			settings.Token = testToken
			c := start(t, settings, tc.change)
			g := asWasm(t, c, tc.options...)
			drivertest.RunGroup(t, func(t *testing.T) drivertest.GroupSubject {
				return drivertest.GroupSubject{
					Group: g, Inject: func(f drivertest.Fault) error { return c.Fail(string(f)) },
					Faults: []drivertest.Fault{drivertest.Denied, drivertest.RateLimited, drivertest.Junk, drivertest.LostCreate},
					Live: func() int {
						_, target := c.Members(testProject, tc.location, testGroup)
						return target
					},
				}
			})
		})
	}
}
