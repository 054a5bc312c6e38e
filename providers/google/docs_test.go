package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var pagePath = filepath.Join("..", "..", "docs", "drivers", "google.md")

// TestPage holds the driver's page to its description.
func TestPage(t *testing.T) {
	data, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(data), "<!-- options -->\n")
	_, after, ok := strings.Cut(rest, "<!-- /options -->")
	if !ok {
		t.Fatalf("%s has no marks for the options", pagePath)
	}
	var table strings.Builder
	table.WriteString("| Option | Type | Environment | Default | |\n| --- | --- | --- | --- | --- |\n")
	for _, o := range (google{}).Describe().Options {
		kind := string(o.Type)
		if o.Required {
			kind += ", required"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s |\n", o.Name, kind, code(o.Env), code(strings.ReplaceAll(o.Default, ",", ", ")), o.Help)
	}
	want := before + "<!-- options -->\n" + table.String() + "<!-- /options -->" + after
	if *update {
		if err := os.WriteFile(pagePath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("%s; -update mends it", diff)
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// TestPermissions compares the role of the driver's page with what the calls need that the driver makes in all that it does.
func TestPermissions(t *testing.T) {
	c := start(t, fakegce.Settings{})
	c.Reserve(testProject, "us-central1", "static-1", "198.51.100.7")
	create(t, "m1", options(t, c, "google-address=static-1"))
	o := options(t, c, "google-open-port=8080")
	create(t, "m2", o)
	create(t, "m2", o)
	if err := c.Fail("half-made"); err != nil {
		t.Fatal(err)
	}
	create(t, "m3", o)
	if err := c.Fail(""); err != nil {
		t.Fatal(err)
	}
	find(t, o, "m1", runs)
	for _, name := range []string{"m1", "m2", "m3"} {
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
	calls := c.Record()
	for method, most := range map[string]int{"compute.instances.insert": 4, "compute.firewalls.insert": 1, "compute.firewalls.patch": 1} {
		if calls[method] > most {
			t.Errorf("%s was called %d times, want %d at most", method, calls[method], most)
		}
	}
}
