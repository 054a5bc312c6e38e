package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakedo"
)

var pagePath = filepath.Join("..", "..", "docs", "drivers", "digitalocean.md")

// TestPage holds the driver's page to its description.
func TestPage(t *testing.T) { drivertest.Page(t, pagePath, digitalocean{}.Describe().Options, *update) }

// TestScopes compares the token's scopes of the driver's page with those that the calls take which the driver makes in all that it does, and those that
// DigitalOcean wants beside for what a droplet is made with.
func TestScopes(t *testing.T) {
	c := start(t, fakedo.Settings{})
	o := options(t, c)
	create(t, "m1", o)
	create(t, "m1", o)
	find(t, o, "m1", runs)
	remove(t, "m1", o, nil)
	needed := append(c.Scopes(), "tag:read")
	data, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+:[a-z]+)` \\| yes \\|").FindAllStringSubmatch(string(data), -1) {
		told = append(told, m[1])
	}
	slices.Sort(told)
	slices.Sort(needed)
	if diff := cmp.Diff(needed, told); diff != "" {
		t.Errorf("the scopes of %s and what the driver needs: %s", pagePath, diff)
	}
	if diff := cmp.Diff(told, slices.Sorted(slices.Values(needs.Names()))); diff != "" {
		t.Errorf("the scopes of %s and those of check: %s", pagePath, diff)
	}
}
