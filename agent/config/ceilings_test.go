package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ceilingsOf(t *testing.T, file string) (*Operator, []string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "millwright.toml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	o, diagnostics, err := LoadOperator(filepath.Join(dir, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range diagnostics {
		lines = append(lines, strings.TrimPrefix(d.String(), dir+string(filepath.Separator)))
	}
	return o, lines
}

func TestCeilings(t *testing.T) {
	t.Setenv("MILLWRIGHT_MAX_MACHINES", "1000") // a limit comes from the operator's file alone
	o, problems := ceilingsOf(t, `
max_machines = 50
max_creates_per_hour = 100
max_machine_age = "24h"

[runners.linux]
max_machines = 10
max_machine_age = "8h"
alternatives = [["google-zone=europe-west1-c"], ["google-zone=europe-west1-d", "google-preemptible=false"]]
capacity_memory = "5m"
overridable = ["google-disk-size"]

[drivers.google]
calls_per_second = 2.5
calls_burst = 5
`)
	if len(problems) > 0 || o.CeilingsErr != nil {
		t.Fatalf("problems %q, %v", problems, o.CeilingsErr)
	}
	if diff := cmp.Diff(Ceilings{50, 100, Duration(24 * time.Hour)}, o.Ceilings()); diff != "" {
		t.Errorf("of the agent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Ceilings{MaxMachines: 10, MaxMachineAge: Duration(8 * time.Hour)}, o.RunnerCeilings("linux")); diff != "" {
		t.Errorf("of the runner (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Ceilings{}, o.RunnerCeilings("other")); diff != "" {
		t.Errorf("of another runner (-want +got):\n%s", diff)
	}
	r := o.Runners["linux"]
	if diff := cmp.Diff([][]string{{"google-zone=europe-west1-c"}, {"google-zone=europe-west1-d", "google-preemptible=false"}}, r.Alternatives); diff != "" {
		t.Errorf("alternatives (-want +got):\n%s", diff)
	}
	if time.Duration(r.CapacityMemory) != 5*time.Minute || len(r.Overridable) != 1 || o.Drivers["google"].CallsPerSecond != 2.5 {
		t.Errorf("%+v, %+v", r, o.Drivers)
	}
}

func TestCeilingsThatMakeNoSense(t *testing.T) {
	for name, tt := range map[string]struct {
		file, want string
		unknown    bool // the ceilings are not known then
	}{
		"negative":          {"max_machines = -1\n", "millwright.toml:1: max_machines: -1 is negative; use 1 or more, or leave it out for no limit", true},
		"of a runner":       {"[runners.a]\nmax_creates_per_hour = -5\n", "millwright.toml:2: runners.a.max_creates_per_hour: -5 is negative; use 1 or more, or leave it out for no limit", true},
		"age too short":     {"max_machine_age = \"5s\"\n", "millwright.toml:1: max_machine_age: 5s is too short; use a minute or more, or leave it out for no limit", true},
		"age no duration":   {"max_machine_age = \"a day\"\n", "millwright.toml:1: max_machine_age: \"a day\" is not a duration; write a string of numbers with units (h, m, s, ms): max_machine_age = \"20m0s\"", true},
		"memory":            {"[runners.a]\ncapacity_memory = \"48h\"\n", "millwright.toml:2: runners.a.capacity_memory: 48h0m0s is out of range; use up to 24h0m0s", true},
		"empty alternative": {"[runners.a]\nalternatives = [[]]\n", "millwright.toml:2: runners.a.alternatives: the list number 1 is empty; MachineOptions as they are come first anyway", true},
		"budget":            {"[drivers.docker]\ncalls_per_second = 1e6\n", "millwright.toml:2: drivers.docker.calls_per_second: 1e+06 is out of range; use 0.001 to 10000, or leave it out", true},
		"misspelled":        {"max_machine = 1\n", "millwright.toml:1: warning: max_machine: unknown key, ignored; did you mean max_machines?", false},
		"a grant":           {"[grants.a]\nmemory_mb = -1\n", "millwright.toml:2: grants.a.memory_mb: -1 is out of range; use 1 to 1024, or leave it out", false},
		"no TOML":           {"max_machines = \n", "millwright.toml:1: not TOML: unexpected character U+000A at start of value", true},
	} {
		t.Run(name, func(t *testing.T) {
			o, problems := ceilingsOf(t, tt.file)
			if strings.Join(problems, "\n") != tt.want {
				t.Errorf("%q, want %q", problems, tt.want)
			}
			if (o.CeilingsErr != nil) != tt.unknown {
				t.Errorf("ceilings: %v", o.CeilingsErr)
			}
		})
	}
}

func TestCheckOperator(t *testing.T) {
	o, problems := ceilingsOf(t, "[runners.a]\nalternatives = [\n[\"zone=b\"],\n[\"zoen=c\", \"n=x\"]]\n[runners.b]\nmax_machines = 1\n[runners.shell]\nmax_machines = 1\n")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c := &Config{Runners: []Runner{
		{Name: "a", Machine: &Machine{MachineDriver: "d", MachineOptions: []string{"zone=a", "bad"}, MachineOptionsWithName: []string{"tag=%s"}}},
		{Name: "shell"},
	}}
	var asked [][]string
	got := CheckOperator(o, c, func(name string, options []string) []Problem {
		asked = append(asked, options)
		out := []Problem{{Option: "bad", Message: "is no option"}}
		for _, option := range options {
			if option == "zoen=c" {
				out = append(out, Problem{Option: "zoen", Message: "is no option; did you mean zone?"})
			}
		}
		return out
	})
	if diff := cmp.Diff([][]string{{"bad", "tag=runner-name", "zone=b"}, {"zone=a", "bad", "tag=runner-name", "zoen=c", "n=x"}}, asked); diff != "" {
		t.Errorf("the driver was asked (-want +got):\n%s", diff)
	}
	var lines []string
	for _, d := range got {
		lines = append(lines, strings.TrimPrefix(d.String(), filepath.Dir(o.Path)+string(filepath.Separator)))
	}
	want := []string{
		"millwright.toml:2: runners.a.alternatives[1]: zoen is no option; did you mean zone?",
		"millwright.toml:5: warning: runners.b: config.toml has no runner of that name; the section has no effect",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
