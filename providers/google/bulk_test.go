package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestBulk compares what stands in the cloud after a bulk insert with that of a plain one: the same machine, but for its disk's name.
func TestBulk(t *testing.T) {
	t.Parallel()
	list := []string{"google-accelerator=type=nvidia-tesla-t4,count=1", "google-subnetwork=ci", "google-label=team:ci", "google-disk-size=50"}
	c := start(t, slow)
	create(t, "m1", options(t, c, list...))
	create(t, "m2", options(t, c, append(slices.Clone(inBulk), list...)...))
	find(t, options(t, c), "m1", runs)
	find(t, options(t, c), "m2", runs)
	known := drivertest.NewKnown(map[string]string{
		"id|name|selfLink|creationTimestamp": "each has its own", `networkInterfaces\.0\.(networkIP|accessConfigs\.0\.natIP)`: "each has its own",
		`disks\.0\.initializeParams\.diskName`: "Google gives it the machine's",
	})
	known.Check(t, drivertest.Differences(t, c.Instance(testProject, testZone, "m1"), c.Instance(testProject, testZone, "m2")))
	known.Unused(t)
}

// TestBulkPlaces has machines in the zones that are allowed, and of the first choice that there is.
func TestBulkPlaces(t *testing.T) {
	t.Parallel()
	flex := []string{"google-flex-selection=machine-type=n2-standard-4", "google-flex-selection=machine-type=e2-standard-4,disk-type=pd-balanced"}
	for name, tc := range map[string]struct {
		list       []string
		exhausted  []string
		zone       string
		machine    string
		disk       string
		bulkInsert int
	}{
		"any zone":          {nil, nil, "us-central1-a", "n1-standard-1", "pd-standard", 1},
		"a zone denied":     {[]string{"google-location-zone=us-central1-a:DENY"}, nil, "us-central1-b", "n1-standard-1", "pd-standard", 1},
		"a zone allowed":    {[]string{"google-location-zone=us-central1-b"}, nil, "us-central1-b", "n1-standard-1", "pd-standard", 1},
		"the first choice":  {flex, nil, "us-central1-a", "n2-standard-4", "pd-standard", 1},
		"the second choice": {flex, []string{"n2-standard-4"}, "us-central1-a", "e2-standard-4", "pd-balanced", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, slow)
			for _, machineType := range tc.exhausted {
				c.Exhaust(machineType)
			}
			o := options(t, c, append(slices.Clone(inBulk), tc.list...)...)
			first, second := create(t, "m1", o), create(t, "m1", o)
			if first.ID != second.ID {
				t.Errorf("a second call made %s, the first %s", second.ID, first.ID)
			}
			made, _ := json.Marshal(c.Instance(testProject, tc.zone, "m1"))
			for _, want := range []string{"machineTypes/" + tc.machine + `"`, "diskTypes/" + tc.disk + `"`} {
				if !strings.Contains(string(made), want) {
					t.Errorf("the machine in %s is %s, want %s", tc.zone, made, want)
				}
			}
			if n := c.Record()["compute.regionInstances.bulkInsert"]; n != 2*tc.bulkInsert {
				t.Errorf("%d bulk inserts in two calls, want %d", n, 2*tc.bulkInsert)
			}
		})
	}
}

// TestBulkFails has each failure known by the end of the call, with its own kind and not that of the cloud's summary.
func TestBulkFails(t *testing.T) {
	t.Parallel()
	flex := []string{"google-flex-selection=machine-type=n2-standard-4", "google-flex-selection=machine-type=e2-standard-4"}
	for fault, tc := range map[string]struct {
		says  string
		tries int // of bulk inserts
	}{
		"stock-out":         {"capacity: create m1: the zone 'projects/p/zones/us-central1-a' does not have enough", 2},
		"stock-out at once": {"capacity: create m1: the zone does not have enough", 2},
		"quota":             {"quota: create m1: quota 'CPUS' exceeded", 1},
		"quota at once":     {"quota: create m1: quota 'CPUS' exceeded", 1},
		"half-made":         {"internal error", 1},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			c := start(t, slow)
			o := options(t, c, append(slices.Clone(inBulk), flex...)...)
			if err := c.Fail(fault); err != nil {
				t.Fatal(err)
			}
			_, err := nativeDriver.Create(t.Context(), request("m1", o))
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tc.says)) {
				t.Errorf("got %v, want %s", err, tc.says)
			}
			if n := c.Record()["compute.regionInstances.bulkInsert"]; n != tc.tries {
				t.Errorf("%d bulk inserts, want %d", n, tc.tries)
			}
		})
	}
}

// TestBulkSlow returns from an operation that takes its time, and finds the machine later.
func TestBulkSlow(t *testing.T) {
	t.Parallel()
	c := start(t, slow)
	o := options(t, c, inBulk...)
	if err := c.Fail("slow operations"); err != nil {
		t.Fatal(err)
	}
	if made := create(t, "m1", o); made.Status != abi.StatusCreating || made.ID == "" {
		t.Errorf("got %+v", made)
	}
	find(t, o, "m1", runs)
}

// TestBulkTaken leaves a machine alone that another owner has.
func TestBulkTaken(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{})
	o := options(t, c, inBulk...)
	theirs := request("m1", o)
	theirs.Owner.ID = "zyxwvuts98765432"
	if _, err := nativeDriver.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	if _, err := nativeDriver.Create(t.Context(), request("m1", o)); err == nil || !strings.Contains(err.Error(), "conflict: there is an instance m1 in us-central1-a that this agent did not make") {
		t.Errorf("got %v", err)
	}
}
