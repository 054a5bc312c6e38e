package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakehcloud"
)

var pagePath = filepath.Join("..", "..", "docs", "drivers", "hetzner.md")

// TestPage holds the driver's page to its description.
func TestPage(t *testing.T) { drivertest.Page(t, pagePath, hetzner{}.Describe().Options, *update) }

// TestRights holds the page to the rights that the driver's calls take.
func TestRights(t *testing.T) {
	c := start(t, fakehcloud.Settings{})
	o := options(t, c, "hetzner-auto-spread")
	state := create(t, "m1", o).State
	find(t, o, "m1", runs)
	removeAll(t, o, state, "m1")
	data, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Scopes(); !slices.Equal(got, needs.Names()) {
		t.Errorf("the calls took %v", got)
	}
	if !strings.Contains(string(data), "The driver needs **Read & Write**") {
		t.Errorf("%s does not say which right the token needs", pagePath)
	}
}
