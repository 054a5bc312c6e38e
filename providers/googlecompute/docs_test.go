package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

var update = flag.Bool("update", false, "rewrite the page's table of options")

var pagePath = filepath.Join("..", "..", "docs", "drivers", "googlecompute.md")

// TestPage holds the driver's page to its description.
func TestPage(t *testing.T) {
	drivertest.GroupPage(t, pagePath, googlecompute{}.Describe().Options, *update)
}

// TestPermissions compares the role of the driver's page, and what its check asks about, with what the calls need that the driver makes in all that it
// does.
func TestPermissions(t *testing.T) {
	c := start(t, slow, func(g *fakegce.Group) { g.Autoscaler = "OFF" })
	c.AddGroup(fakegce.Group{Project: testProject, Location: "regions/us-central1", Name: testGroup, Autoscaler: "OFF"})
	for _, o := range []abi.Options{options(c), inRegion(c)} {
		if info, err := (googlecompute{}).Info(abi.GroupRequest{Options: o}); err != nil || len(info.Problems) > 0 {
			t.Errorf("%+v, %v", info, err)
		}
		increase(t, o, 1)
		names := awaitRunning(t, o, 1)
		if _, err := (googlecompute{}).Connect(request(o, names[0])); err != nil {
			t.Error(err)
		}
		decrease(t, o, names...)
	}
	needed, err := c.Permissions()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^- (\S+)$`).FindAllStringSubmatch(string(data), -1) {
		told = append(told, m[1])
	}
	slices.Sort(told)
	if diff := cmp.Diff(needed, told); diff != "" {
		t.Errorf("the role of %s and what the driver needs: %s", pagePath, diff)
	}
	check(t, options(c))
	if diff := cmp.Diff(needed, c.Tried()); diff != "" {
		t.Errorf("what the driver needs and what check asks about: %s", diff)
	}
	if diff := cmp.Diff(needed, slices.Sorted(slices.Values(needs.Names()))); diff != "" {
		t.Errorf("what the driver needs and its table: %s", diff)
	}
}

// check returns what the driver says of each permission.
func check(t *testing.T, o abi.Options) map[string]abi.PermissionResult {
	t.Helper()
	all, err := googlecompute{}.Check(abi.CheckRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]abi.PermissionResult{}
	for _, p := range all {
		if found[p.Name] != "" || p.Purpose == "" || p.Result != abi.PermissionGranted && (p.Without == "" || p.Message == "" || p.Fix == "") {
			t.Errorf("%+v", p)
		}
		found[p.Name] = p.Result
	}
	return found
}

// TestCheck takes one permission after another away, and changes nothing.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{})
	for _, denied := range append(needs.Names(), "") {
		c.Grant()
		c.Deny(denied)
		for name, result := range check(t, options(c)) {
			want := abi.PermissionGranted
			if name == denied {
				if want = abi.PermissionDenied; name == mayActAs { // it may be granted on the one account
					want = abi.PermissionUnknown
				}
			}
			if result != want {
				t.Errorf("without %q: %s is %s, want %s", denied, name, result, want)
			}
		}
	}
	for method := range c.Record() {
		if method != "cloudresourcemanager.projects.testIamPermissions" {
			t.Errorf("a check called %s", method)
		}
	}
}

// TestCheckWithoutRights has the API switched off that tells what is allowed: the group is looked at, and the rest is unknown.
func TestCheckWithoutRights(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{})
	c.Deny("cloudresourcemanager.googleapis.com")
	for denied, want := range map[string]abi.PermissionResult{"": abi.PermissionGranted, maySeeGroup: abi.PermissionDenied} {
		c.Deny(denied)
		for name, result := range check(t, options(c)) {
			if name != maySeeGroup && result != abi.PermissionUnknown || name == maySeeGroup && denied != "" && result != want {
				t.Errorf("without %q: %s is %s", denied, name, result)
			}
		}
	}
	for fault, kind := range map[string]abi.ErrorKind{"auth": abi.Auth, "trouble": abi.Transient, "proxy page": abi.Transient} {
		fail(t, c, fault)
		if all, err := (googlecompute{}).Check(abi.CheckRequest{Options: options(c)}); !driver.Is(err, kind) {
			t.Errorf("%s: %+v, %v", fault, all, err)
		}
	}
}
