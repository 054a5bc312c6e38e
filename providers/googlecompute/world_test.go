package main

import (
	"slices"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	testProject = "project-1"
	testZone    = "us-central1-a"
	testGroup   = "builders"
	testKey     = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKEYOFTHEAGENT"
)

// patience is for a machine on which much else goes on.
const patience = 3 * time.Minute

var testOwner = abi.Owner{ID: "abcdefgh01234567", Runner: "runner-1"}

// slow is a cloud that takes its time.
var slow = fakegce.Settings{OpTime: 20 * time.Millisecond, BootTime: 50 * time.Millisecond}

// start returns a cloud of the test's own with a group in a zone, to which every request is as Google's discovery document says.
func start(t *testing.T, s fakegce.Settings, change ...func(*fakegce.Group)) *fakegce.Cloud {
	t.Helper()
	c, err := fakegce.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, wrong := range c.Wrong() {
			t.Errorf("Google would refuse this request: %s", wrong)
		}
	})
	g := fakegce.Group{Project: testProject, Location: "zones/" + testZone, Name: testGroup}
	for _, f := range change {
		f(&g)
	}
	c.AddGroup(g)
	return c
}

// options name the group that start makes, and others over them.
func options(c *fakegce.Cloud, more ...string) abi.Options {
	o := abi.Options{optName: {testGroup}, optProject: {testProject}, optZone: {testZone}, optEndpoint: {c.URL()}}
	for i := 0; i+1 < len(more); i += 2 {
		if o[more[i]] = []string{more[i+1]}; more[i+1] == "" {
			delete(o, more[i])
		}
	}
	return o
}

// regional is a group in all zones of a region, and inRegion are its options.
func regional(g *fakegce.Group) { g.Location = "regions/us-central1" }

func inRegion(c *fakegce.Cloud) abi.Options { return options(c, optZone, "", optRegion, "us-central1") }

// list returns the group's instances by name.
func list(t *testing.T, o abi.Options) map[string]abi.Instance {
	t.Helper()
	res, err := googlecompute{}.List(abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if err != nil || !res.Complete {
		t.Fatalf("%+v, %v", res, err)
	}
	all := map[string]abi.Instance{}
	for _, i := range res.Instances {
		all[i.Name] = i
	}
	return all
}

// await lists until ok, and returns the names, sorted.
func await(t *testing.T, o abi.Options, what string, ok func(map[string]abi.Instance) bool) []string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		all := list(t, o)
		if ok(all) {
			names := make([]string, 0, len(all))
			for name := range all {
				names = append(names, name)
			}
			slices.Sort(names)
			return names
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %+v", what, all)
		}
	}
}

// running waits for n instances that run.
func awaitRunning(t *testing.T, o abi.Options, n int) []string {
	t.Helper()
	return await(t, o, "instances that run", func(all map[string]abi.Instance) bool {
		for _, i := range all {
			if i.Status != abi.StatusRunning {
				return false
			}
		}
		return len(all) == n
	})
}

func increase(t *testing.T, o abi.Options, n int) {
	t.Helper()
	res, err := googlecompute{}.Increase(abi.IncreaseRequest{ABI: abi.Version, Owner: testOwner, Options: o, Count: n})
	if err != nil || res.Count != n {
		t.Fatalf("increase by %d: %+v, %v", n, res, err)
	}
}

func decrease(t *testing.T, o abi.Options, names ...string) {
	t.Helper()
	res, err := googlecompute{}.Decrease(abi.DecreaseRequest{ABI: abi.Version, Owner: testOwner, Options: o, Instances: names})
	if err != nil || !slices.Equal(res.Instances, names) {
		t.Fatalf("decrease by %v: %+v, %v", names, res, err)
	}
}

func request(o abi.Options, instance string) abi.ConnectRequest {
	return abi.ConnectRequest{ABI: abi.Version, Owner: testOwner, Options: o, Instance: instance, Username: "runner", AuthorizedKey: testKey}
}

func fail(t *testing.T, c *fakegce.Cloud, fault string) {
	t.Helper()
	if err := c.Fail(fault); err != nil {
		t.Fatal(err)
	}
}
