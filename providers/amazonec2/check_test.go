package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
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
		if _, twice := byName[p.Name]; twice || p.Purpose == "" || p.Result != abi.PermissionGranted && (p.Without == "" || p.Message == "") ||
			p.Result == abi.PermissionDenied && p.Fix == "" {
			t.Errorf("%+v", p)
		}
		byName[p.Name] = p
	}
	return byName
}

// everything are options that take all that the driver can need.
var everything = []string{"amazonec2-request-spot-instance", "amazonec2-iam-instance-profile=ci", "amazonec2-ami=099720109477/ubuntu/*xenial*"}

// TestCheck takes one right after another away, and has nothing made.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := start(t, fakeec2.Settings{Region: "ap-south-1"})
	all := options(t, c, everything...)
	zone := options(t, c, append(everything, "amazonec2-zone=z")...) // has no default subnet
	for name, p := range check(t, all) {
		if unknown := name == mayTerminate || name == mayOpen; unknown != (p.Result == abi.PermissionUnknown) || p.Result == abi.PermissionDenied {
			t.Errorf("with all rights: %+v", p)
		}
	}
	for _, need := range needs.List {
		if need.Name == mayParameters {
			continue // it shows in a dry run with such an image, which the real call has too
		}
		o := all
		switch need.Name {
		case maySeeVPC:
			o = zone
		case mayMakeGroup:
			o = options(t, c, append(everything, "amazonec2-security-group=missing")...)
		case mayOpen, mayTerminate: // there must be something to try it on
			create(t, "check-1", all)
			o = options(t, c, append(everything, "amazonec2-open-port=8080")...)
		}
		c.Deny(strings.TrimPrefix(need.Name, "ec2:"))
		found := check(t, o)
		c.Deny()
		if p := found[need.Name]; p.Result != abi.PermissionDenied || strings.Contains(p.Message, "Encoded") {
			t.Errorf("without %s: %+v", need.Name, p)
		}
		for name, p := range found {
			if name != need.Name && p.Result == abi.PermissionDenied {
				t.Errorf("without %s, %s is denied too: %+v", need.Name, name, p)
			}
		}
	}
	remove(t, all, "check-1")
	record := c.Record()
	for action, want := range map[string]int{ // those of the two creations, which are one machine, and of its removal
		"RunInstances": 2, "ImportKeyPair": 2, "CreateSecurityGroup": 1, "TerminateInstances": 1, "DeleteKeyPair": 1, "CancelSpotInstanceRequests": 1,
	} {
		if record[action] != want {
			t.Errorf("%d real %s, want %d", record[action], action, want)
		}
	}
}

// TestCheckFails tells a credential that is refused from one that lacks rights.
func TestCheckFails(t *testing.T) {
	t.Parallel()
	c := start(t, fakeec2.Settings{Region: "ap-south-2"})
	for _, fault := range []string{"auth", "trouble", "junk"} {
		if err := c.Fail(fault); err != nil {
			t.Fatal(err)
		}
		all, err := nativeDriver.Check(t.Context(), abi.CheckRequest{ABI: abi.Version, Owner: testOwner, Options: options(t, c)})
		if err == nil || (fault == "auth") != (driver.KindOf(err) == abi.Auth) {
			t.Errorf("%s: %+v, %v", fault, all, err)
		}
	}
}

// triedBy are the permissions that the driver's check tries, and those that its page tells.
func triedBy(t *testing.T, c *fakeec2.Cloud) []string {
	t.Helper()
	check(t, options(t, c, everything...))
	check(t, options(t, c, "amazonec2-zone=z"))
	return c.Tried()
}

// samePermissions compares what is needed with what check tries and with the table.
func samePermissions(t *testing.T, c *fakeec2.Cloud, needed []string) {
	t.Helper()
	if diff := cmp.Diff(needed, triedBy(t, c)); diff != "" {
		t.Errorf("what the driver needs and what check tries: %s", diff)
	}
	table := slices.DeleteFunc(needs.Names(), func(name string) bool { return name == mayParameters }) // for images of AWS's parameters alone
	slices.Sort(table)
	if diff := cmp.Diff(needed, table); diff != "" {
		t.Errorf("what the driver needs and its table: %s", diff)
	}
}
