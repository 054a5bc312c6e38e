package drivertest

import (
	"fmt"
	"os"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Page holds the table of options of a driver's page, between its marks, to what the driver says of itself, and writes it when update is set.
func Page(t TB, path string, options []abi.Option, update bool) {
	t.Helper()
	table := "| Option | Type | Environment | Default | |\n| --- | --- | --- | --- | --- |\n"
	for _, o := range options {
		table += fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", o.Name, kind(o), code(o.Env), code(strings.ReplaceAll(o.Default, ",", ", ")), o.Help)
	}
	tableOf(t, path, table, update)
}

// GroupPage is Page for a driver of groups, whose options are the keys of plugin_config: nothing in the environment stands for them, and the endpoint
// is the operator's alone.
func GroupPage(t TB, path string, options []abi.Option, update bool) {
	t.Helper()
	table := "| Key | Type | |\n| --- | --- | --- |\n"
	for _, o := range options {
		if o.Role != abi.RoleEndpoint {
			o.Secret = false // from the driver; what the operator writes is a path or the name of a profile
			table += fmt.Sprintf("| `%s` | %s | %s |\n", o.Name, kind(o), o.Help)
		}
	}
	tableOf(t, path, table, update)
}

// tableOf holds what stands between the marks of a page to table.
func tableOf(t TB, path, table string, update bool) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	before, rest, _ := strings.Cut(string(data), "<!-- options -->\n")
	_, after, ok := strings.Cut(rest, "<!-- /options -->")
	if !ok {
		t.Fatalf("%s has no marks for the options", path)
	}
	want := before + "<!-- options -->\n" + table + "<!-- /options -->" + after
	if update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatalf("%v", err)
		}
		return
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("%s; -update mends it", diff)
	}
}

// kind is an option's type, and whether it is required or secret.
func kind(o abi.Option) string {
	text := string(o.Type)
	if o.Required {
		text += ", required"
	}
	if o.Secret {
		text += ", secret"
	}
	return text
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// OptionTable holds the options of a driver to those of the driver that it follows: names, types, environment names and defaults. It may
// have more.
func OptionTable(t TB, options, want []abi.Option) {
	t.Helper()
	if len(want) == 0 {
		t.Fatalf("there is no table to compare with")
	}
	has := map[string]abi.Option{}
	for _, o := range options {
		has[o.Name] = o
	}
	for _, w := range want {
		o := has[w.Name]
		if got := (abi.Option{Name: o.Name, Type: o.Type, Env: o.Env, Default: o.Default}); got != w {
			t.Errorf("%s: %+v, it was %+v", w.Name, got, w)
		}
	}
}
