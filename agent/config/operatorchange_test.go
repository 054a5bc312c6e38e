package config

import (
	"strings"
	"testing"
)

func TestChangedKeys(t *testing.T) {
	half := Duration(30)
	base := func() *Operator {
		return &Operator{
			StateDir: "/a", MaxMachines: 3, Grants: map[string]Grant{"burst": {MemoryMB: 8}, "tiny": {}},
			Runners: map[string]OperatorRunner{"fleet": {}},
		}
	}
	for _, tt := range []struct {
		name          string
		change        func(*Operator)
		keys, restart string
	}{
		{name: "nothing", change: func(o *Operator) { o.Path, o.lines = "elsewhere", map[string]int{"state_dir": 4} }},
		{"a ceiling", func(o *Operator) { o.MaxMachines = 4 }, "max_machines", ""},
		{"how machines are looked after", func(o *Operator) { o.Machines.CreateTimeout, o.Machines.MaxLife = &half, &half }, "machines.create_timeout machines.max_life", ""},
		{"one grant", func(o *Operator) { o.Grants["burst"] = Grant{MemoryMB: 16} }, "grants.burst", ""},
		{"one grant more, and one runner less", func(o *Operator) { o.Grants["new"] = Grant{}; o.Runners = nil }, "grants.new runners.fleet", ""},
		{"the secret of a credential", func(o *Operator) { o.Credentials = map[string]Credential{"api": {Secret: "hidden"}} }, "credentials.api", ""},
		{"what is read at the start", func(o *Operator) {
			no := false
			o.StateDir, o.PoliciesDir, o.DriversDir, o.ResumeJobs, o.LegacyDrivers = "/b", "/p", "/d", &no, []string{"x"}
			o.MaxMachines = 0
		}, "drivers_dir legacy_drivers max_machines policies_dir resume_jobs state_dir", "drivers_dir legacy_drivers policies_dir resume_jobs state_dir"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after := base()
			tt.change(after)
			keys, restart := ChangedKeys(base(), after)
			if got := strings.Join(keys, " "); got != tt.keys {
				t.Errorf("changed: %q, want %q", got, tt.keys)
			}
			if got := strings.Join(restart, " "); got != tt.restart {
				t.Errorf("waiting for a restart: %q, want %q", got, tt.restart)
			}
		})
	}
}
