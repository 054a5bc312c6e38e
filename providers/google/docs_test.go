package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var pagePath = filepath.Join("..", "..", "docs", "drivers", "google.md")

// TestPage holds the driver's page to its description.
func TestPage(t *testing.T) { drivertest.Page(t, pagePath, google{}.Describe().Options, *update) }

// TestPermissions compares the role of the driver's page with what the calls need that the driver makes in all that it does.
func TestPermissions(t *testing.T) {
	c := start(t, fakegce.Settings{})
	c.Reserve(testProject, "us-central1", "static-1", "198.51.100.7")
	create(t, "m1", options(t, c, "google-address=static-1"))
	o := options(t, c, "google-open-port=8080")
	create(t, "m2", o)
	create(t, "m2", o)
	bulk := options(t, c, inBulk...)
	create(t, "m4", bulk)
	if err := c.Fail("half-made"); err != nil {
		t.Fatal(err)
	}
	create(t, "m3", o)
	if err := c.Fail(""); err != nil {
		t.Fatal(err)
	}
	find(t, o, "m1", runs)
	for _, name := range []string{"m1", "m2", "m3", "m4"} {
		if err := nativeDriver.Remove(t.Context(), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o}); err != nil {
			t.Error(err)
		}
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
	samePermissions(t, c, told)
	calls := c.Record()
	for method, most := range map[string]int{"compute.instances.insert": 4, "compute.firewalls.insert": 1, "compute.firewalls.patch": 1} {
		if calls[method] > most {
			t.Errorf("%s was called %d times, want %d at most", method, calls[method], most)
		}
	}
}
