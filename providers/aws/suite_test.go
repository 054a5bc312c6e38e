package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeasg"
)

// faults are those of the suite in the fake's words.
var faults = map[drivertest.Fault]fakeasg.Fault{
	drivertest.Denied: fakeasg.Denied, drivertest.RateLimited: fakeasg.Throttled, drivertest.Junk: fakeasg.Junk,
	drivertest.LostCreate: fakeasg.Lost.Of("SetDesiredCapacity"),
}

// TestSuite holds the driver, as the module that ships, to the contract of groups.
func TestSuite(t *testing.T) {
	t.Parallel()
	c := fakeasg.Start(t, fakeasg.Settings{AccessKey: testKey, Max: 4, Boot: 50 * time.Millisecond, Ending: 50 * time.Millisecond})
	g := asWasm(t, c, config.Connector{})
	drivertest.RunGroup(t, func(t *testing.T) drivertest.GroupSubject {
		return drivertest.GroupSubject{
			Group: g, Live: func() int { return len(c.Live()) }, Settle: time.Minute,
			Inject: func(f drivertest.Fault) error {
				c.Heal()
				fault, ok := faults[f]
				if !ok && f != drivertest.None {
					return fmt.Errorf("the fake can't")
				}
				if ok {
					fault.Times = -1
					c.Inject(fault)
				}
				return nil
			},
			Faults: []drivertest.Fault{drivertest.Denied, drivertest.RateLimited, drivertest.Junk, drivertest.LostCreate},
		}
	})
}
