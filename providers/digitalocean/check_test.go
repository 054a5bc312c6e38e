package main

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakedo"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestCheck takes the scopes to read away, one after another. Those to make and to remove are never known.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, denied := range []string{"", maySee, maySeeKeys} {
		c := start(t, fakedo.Settings{})
		c.Deny(denied)
		all, err := nativeDriver.Check(t.Context(), abi.CheckRequest{ABI: abi.Version, Owner: testOwner, Options: options(t, c)})
		if err != nil || len(all) != len(needs.List) {
			t.Fatalf("%+v, %v", all, err)
		}
		for _, p := range all {
			want := abi.PermissionUnknown
			switch {
			case p.Name == denied:
				want = abi.PermissionDenied
			case p.Name == maySee, p.Name == maySeeKeys, p.Name == maySeeTags && denied != maySee:
				want = abi.PermissionGranted
			}
			if p.Result != want || p.Purpose == "" || want == abi.PermissionDenied && (p.Fix == "" || p.Without == "") {
				t.Errorf("without %q: %+v", denied, p)
			}
		}
	}
	c := start(t, fakedo.Settings{Token: "another"})
	if all, err := nativeDriver.Check(t.Context(), abi.CheckRequest{Options: options(t, c)}); driver.KindOf(err) != abi.Auth {
		t.Errorf("a wrong token: %+v, %v", all, err)
	}
}
