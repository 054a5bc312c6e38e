package main

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Compute Engine takes 1,500 queries a minute of a project, counted for reads and for changes apart, and fewer of lists over all zones. The pool calls an
// account's driver 30 times at once and ten times a second, removes half as often.
// Source: Compute Engine documentation, "API rate quotas"; agent/pool, Rates.
const (
	mostQueries = 1500 // a minute, of reads and of changes
	mostCreates = 30 + 60*10
	mostRemoves = 10 + 60*5
)

// TestBurst counts what 200 machines take, and holds the fastest minute that a pool can have to Google's quotas.
func TestBurst(t *testing.T) {
	t.Parallel()
	const machines = 200
	c := start(t, fakegce.Settings{})
	o := options(t, c)
	create(t, "m0", o) // makes the firewall rule
	each := func(do func(name string) error) (reads, changes int) {
		before := c.Record()
		var wg sync.WaitGroup
		slots := make(chan struct{}, 8)
		for n := range machines {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if err := do("n" + strconv.Itoa(n)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for method, n := range c.Record() {
			if n -= before[method]; strings.HasSuffix(method, ".get") {
				reads += n
			} else {
				changes += n
			}
		}
		return reads, changes
	}
	minute := func(what string, most, reads, changes int) {
		if reads, changes = reads*most/machines, changes*most/machines; reads > mostQueries || changes > mostQueries {
			t.Errorf("%s: %d reads and %d changes in the fastest minute, want %d at most of each", what, reads, changes, mostQueries)
		}
	}
	reads, changes := each(func(name string) error {
		_, err := nativeDriver.Create(t.Context(), request(name, o))
		return err
	})
	minute("create", mostCreates, reads, changes)
	before := c.Calls()
	res, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if err != nil || len(res.Instances) != machines+1 {
		t.Fatalf("%d machines, %v", len(res.Instances), err)
	}
	if calls := c.Calls() - before; calls > 3 {
		t.Errorf("a list of %d machines takes %d calls, want 3 at most", machines, calls)
	}
	reads, changes = each(func(name string) error {
		return nativeDriver.Remove(t.Context(), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o, State: stateOf(testZone)})
	})
	minute("remove", mostRemoves, reads, changes)
	if left := c.Leftovers(testOwner.ID); len(left) > 2 { // m0 and its disk
		t.Errorf("left: %v", left)
	}
}
