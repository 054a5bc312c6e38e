package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var pagePath = filepath.Join("..", "..", "docs", "drivers", "azure.md")

func TestPage(t *testing.T) { drivertest.Page(t, pagePath, azure{}.Describe().Options, *update) }

// TestPermissions compares the role of the driver's page with what the calls need that the driver makes in all that it does.
func TestPermissions(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	o := options(t, c)
	create(t, "m1", o)
	create(t, "m1", o)
	create(t, "m2", options(t, c, "azure-subnet=second", "azure-subnet-prefix=10.3.0.0/16", "azure-private-ip-address=10.3.0.4", "azure-use-private-ip"))
	create(t, "m4", options(t, c, "azure-vnet=networks:ci"))
	if err := c.Fail("half-made"); err != nil {
		t.Fatal(err)
	}
	if _, err := nativeDriver.Create(t.Context(), wanted("m3", o)); err == nil {
		t.Error("a creation that fails on its way gave no error")
	}
	if err := c.Fail(""); err != nil {
		t.Fatal(err)
	}
	c.Add(in("disks", "m5-os-disk"), map[string]string{tagOwner: testOwner.ID, tagMachine: "m5"})
	c.Add(in("publicIPAddresses", "m6-ip"), map[string]string{tagOwner: testOwner.ID, tagMachine: "m6"})
	for _, name := range []string{"m1", "m2"} {
		find(t, o, name, runs)
	}
	for _, name := range []string{"m1", "m2", "m3", "m4", "m5", "m6"} {
		if err := nativeDriver.Remove(t.Context(), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o}); err != nil {
			t.Error(err)
		}
	}
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	data, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "```json\n")
	text, _, _ = strings.Cut(text, "```")
	var role struct{ Actions []string }
	if err := json.Unmarshal([]byte(text), &role); err != nil {
		t.Fatal(err)
	}
	slices.Sort(role.Actions)
	if diff := cmp.Diff(c.Actions(), role.Actions); diff != "" {
		t.Errorf("the role of %s and what the driver needs: %s", pagePath, diff)
	}
	if diff := cmp.Diff(role.Actions, slices.Sorted(slices.Values(needs.Names()))); diff != "" {
		t.Errorf("the role of %s and what check asks about: %s", pagePath, diff)
	}
}
