package main

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func ask(t *testing.T, o abi.Options) ([]abi.Permission, error) {
	t.Helper()
	return nativeDriver.Check(t.Context(), abi.CheckRequest{ABI: abi.Version, Owner: testOwner, Options: o})
}

// TestCheck takes one action after another away, and has nothing made.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	o := options(t, c)
	all, err := ask(t, o) // the resource group is not there
	if err != nil || len(all) != len(needs.List) || all[0].Result != abi.PermissionUnknown {
		t.Errorf("without a resource group: %+v, %v", all, err)
	}
	create(t, "m1", o)
	before := c.Record()
	for _, denied := range append(needs.Names(), "") {
		c.Grant()
		c.Deny(denied)
		all, err := ask(t, o)
		if err != nil || len(all) != len(needs.List) {
			t.Fatalf("%d permissions, %v", len(all), err)
		}
		for _, p := range all {
			if (p.Result == abi.PermissionDenied) != (p.Name == denied) || p.Purpose == "" || p.Result == abi.PermissionDenied && (p.Without == "" || p.Fix == "") {
				t.Errorf("without %s: %+v", denied, p)
			}
		}
	}
	c.Grant()
	for api, n := range c.Record() {
		if n != before[api] && api != "PermissionsClient.NewListForResourceGroupPager" {
			t.Errorf("a check called %s", api)
		}
	}
	less, err := ask(t, options(t, c, "azure-no-public-ip", "azure-use-private-ip", "azure-availability-set="))
	if err != nil || len(less) != len(needs.List)-6 {
		t.Errorf("without public addresses and set: %+v, %v", less, err)
	}
	for fault, kind := range map[string]abi.ErrorKind{"auth": abi.Auth, "trouble": abi.Transient, "no subscription": abi.Invalid} {
		if err := c.Fail(fault); err != nil {
			t.Fatal(err)
		}
		if all, err := ask(t, o); err == nil || fault != "no subscription" && driver.KindOf(err) != kind {
			t.Errorf("%s: %+v, %v", fault, all, err)
		}
	}
	if err := c.Fail(""); err != nil {
		t.Fatal(err)
	}
	if err := nativeDriver.Remove(t.Context(), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: "m1", Options: o}); err != nil {
		t.Error(err)
	}
}

func TestAllows(t *testing.T) {
	const action = "Microsoft.Network/virtualNetworks/subnets/join/action"
	for name, tc := range map[string]struct {
		roles []allowed
		want  bool
	}{
		"none":                      {nil, false},
		"all":                       {[]allowed{{Actions: []string{"*"}}}, true},
		"in another case":           {[]allowed{{Actions: []string{"microsoft.network/VirtualNetworks/subnets/join/ACTION"}}}, true},
		"stars":                     {[]allowed{{Actions: []string{"*/virtualNetworks/*/action"}}}, true},
		"the end":                   {[]allowed{{Actions: []string{"Microsoft.Network/*/read"}}}, false},
		"the beginning":             {[]allowed{{Actions: []string{"Microsoft.Compute/*"}}}, false},
		"taken away":                {[]allowed{{Actions: []string{"*"}, NotActions: []string{"*/join/action"}}}, false},
		"given by another role":     {[]allowed{{Actions: []string{"*"}, NotActions: []string{"*/action"}}, {Actions: []string{action}}}, true},
		"two stars in a row":        {[]allowed{{Actions: []string{"Microsoft.Network/**"}}}, true},
		"longer than the action":    {[]allowed{{Actions: []string{action + "/*"}}}, false},
		"a part that comes no more": {[]allowed{{Actions: []string{"*/subnets/*/subnets/*"}}}, false},
	} {
		if got := allows(tc.roles, action); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
