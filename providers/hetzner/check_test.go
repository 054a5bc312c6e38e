package main

import (
	"slices"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakehcloud"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestCheck has a token that may read, and one that may not even that. Whether it may write is never known.
func TestCheck(t *testing.T) {
	t.Parallel()
	for denied, want := range map[string]abi.PermissionResult{"": abi.PermissionGranted, mayRead: abi.PermissionDenied} {
		c := start(t, fakehcloud.Settings{})
		c.Deny(denied)
		all, err := nativeDriver.Check(t.Context(), abi.CheckRequest{ABI: abi.Version, Owner: testOwner, Options: options(t, c)})
		if err != nil || len(all) != 2 || all[0].Result != want || all[1].Result != abi.PermissionUnknown {
			t.Errorf("without %q: %+v, %v", denied, all, err)
		}
		if scopes := c.Scopes(); slices.Contains(scopes, mayWrite) {
			t.Errorf("a check took %v", scopes)
		}
	}
	c := start(t, fakehcloud.Settings{Token: "another"})
	if all, err := nativeDriver.Check(t.Context(), abi.CheckRequest{Options: options(t, c)}); driver.KindOf(err) != abi.Auth {
		t.Errorf("a wrong token: %+v, %v", all, err)
	}
}
