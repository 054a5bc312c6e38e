package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// check returns what the driver says of each permission.
func check(t *testing.T, o abi.Options) map[string]abi.Permission {
	t.Helper()
	all, err := nativeDriver.Check(t.Context(), abi.CheckRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]abi.Permission{}
	for _, p := range all {
		if _, twice := byName[p.Name]; twice || p.Purpose == "" || p.Result != abi.PermissionGranted && (p.Without == "" || p.Message == "" || p.Fix == "") {
			t.Errorf("%+v", p)
		}
		byName[p.Name] = p
	}
	return byName
}

// TestCheck takes one permission after another away, and has nothing made.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{})
	all := []abi.Options{
		options(t, c, "google-address=static-1"),
		options(t, c, inBulk...),
		options(t, c, "google-address=static-1", "google-subnetwork=projects/host-1/regions/us-central1/subnetworks/ci", "google-network=projects/host-1/global/networks/ci"),
	}
	for _, denied := range append(needs.Names(), "") {
		c.Grant()
		c.Deny(denied)
		for i, o := range all {
			found := check(t, o)
			if want := len(needs.List) - 1; len(found) != want { // an address does not go with bulk inserts
				t.Errorf("options %d: %d permissions, want %d", i, len(found), want)
			}
			for name, p := range found {
				if (p.Result == abi.PermissionDenied) != (name == denied) {
					t.Errorf("without %s, options %d: %+v", denied, i, p)
				}
			}
		}
	}
	for method := range c.Record() {
		if method != "cloudresourcemanager.projects.testIamPermissions" && method != "compute.subnetworks.testIamPermissions" {
			t.Errorf("a check called %s", method)
		}
	}
}

// TestCheckAsksForNoMore leaves out what the options have no use for.
func TestCheckAsksForNoMore(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{})
	found := check(t, options(t, c, "google-skip-firewall-create", "google-use-internal-ip-only", "google-no-service-account"))
	for _, name := range []string{maySetAccount, mayUseExternal, maySeeAddress, mayChangeNetwork, firewallPrefix + "get", firewallPrefix + "create", firewallPrefix + "update"} {
		if p, ok := found[name]; ok {
			t.Errorf("%+v", p)
		}
	}
}

// TestCheckWithoutRights has the API switched off that tells what is allowed: lists are read, and the rest is unknown.
func TestCheckWithoutRights(t *testing.T) {
	t.Parallel()
	c := start(t, fakegce.Settings{})
	c.Deny("cloudresourcemanager.googleapis.com")
	c.Deny(maySeeDisks)
	for name, p := range check(t, options(t, c)) {
		want := abi.PermissionUnknown
		switch name {
		case maySeeInstances, maySeeOperations:
			want = abi.PermissionGranted
		case maySeeDisks:
			want = abi.PermissionDenied
		}
		if p.Result != want {
			t.Errorf("%+v, want %s", p, want)
		}
	}
	for fault, kind := range map[string]abi.ErrorKind{"auth": abi.Auth, "trouble": abi.Transient, "proxy page": abi.Transient} {
		if err := c.Fail(fault); err != nil {
			t.Fatal(err)
		}
		all, err := nativeDriver.Check(t.Context(), abi.CheckRequest{ABI: abi.Version, Owner: testOwner, Options: options(t, c)})
		if driver.KindOf(err) != kind || err == nil {
			t.Errorf("%s: %+v, %v", fault, all, err)
		}
	}
}

// samePermissions compares what is needed with what check asks about and with the table.
func samePermissions(t *testing.T, c *fakegce.Cloud, needed []string) {
	t.Helper()
	check(t, options(t, c, "google-address=static-1"))
	check(t, options(t, c, inBulk...))
	if diff := cmp.Diff(needed, c.Tried()); diff != "" {
		t.Errorf("what the driver needs and what check asks about: %s", diff)
	}
	if diff := cmp.Diff(needed, slices.Sorted(slices.Values(needs.Names()))); diff != "" {
		t.Errorf("what the driver needs and its table: %s", diff)
	}
}
