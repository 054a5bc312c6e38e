package main

import (
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var update = flag.Bool("update", false, "rewrite the driver's page")

var pagePath = filepath.Join("..", "..", "docs", "drivers", "docker.md")

// TestPage holds the driver's page to its description.
func TestPage(t *testing.T) { drivertest.Page(t, pagePath, dockerDriver{}.Describe().Options, *update) }

// permissions compares the calls of the page with those that the driver makes in all that it does for the agent, and then for people.
func permissions(t *testing.T, w *world, m machine) {
	data, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	forAgent, forPeople, ok := strings.Cut(string(data), "take these beside them")
	if !ok {
		t.Fatalf("%s does not tell apart what people need", pagePath)
	}
	f := w.newFront(t, (*httptest.Server).Start)
	m.options[optHost] = []string{f.URL}
	t.Cleanup(func() { m.options[optHost] = []string{w.host} }) // the front ends before the machine
	told := func(page string) (calls []string) {
		for _, found := range regexp.MustCompile(`(?m)^    ((?:GET|POST|PUT|DELETE) /\S+)$`).FindAllStringSubmatch(page, -1) {
			calls = append(calls, found[1])
		}
		return calls
	}
	m.create(t)
	m.list(t)
	if _, err := native.Driver("docker").Check(t.Context(), abi.CheckRequest{ABI: abi.Version, Owner: m.owner, Options: m.options}); err != nil {
		t.Error(err)
	}
	m.remove(t)
	if diff := cmp.Diff(f.Asked(), told(forAgent)); diff != "" {
		t.Errorf("the calls of %s and what the driver needs: %s", pagePath, diff)
	}
	m.create(t)
	f.Asked()
	for _, export := range []string{abi.ExportStop, abi.ExportStart, abi.ExportRestart, abi.ExportKill} {
		if err := native.Driver("docker").Switch(t.Context(), export, abi.SwitchRequest{Owner: m.owner, Name: m.name, Options: m.options}); err != nil {
			t.Errorf("%s: %v", export, err)
		}
	}
	if _, err := native.Driver("docker").Logs(t.Context(), abi.LogsRequest{Owner: m.owner, Name: m.name, Options: m.options}); err != nil {
		t.Error(err)
	}
	var more []string
	known := told(forAgent)
	for _, call := range f.Asked() {
		if !strings.Contains(strings.Join(known, "\n")+"\n", call+"\n") {
			more = append(more, call)
		}
	}
	if diff := cmp.Diff(more, told(forPeople)); diff != "" {
		t.Errorf("the calls of %s and what people need: %s", pagePath, diff)
	}
}
