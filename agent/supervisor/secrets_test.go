package supervisor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// cloudOptions describe a driver with a secret option.
var cloudOptions = abi.Describe{Name: "cloud", Options: []abi.Option{
	{Name: "cloud-token", Type: abi.OptionString, Secret: true, Credential: abi.CredentialSecret},
	{Name: "cloud-size", Type: abi.OptionString},
}}

// TestSecretsStayOut checks that what goes on to pools and journals holds a reference that doesn't tell the value.
func TestSecretsStayOut(t *testing.T) {
	const value = "the-token-of-the-runner"
	options := abi.Options{"cloud-token": {value}, "cloud-size": {"small"}}
	kept, g := without(cloudOptions, options, []string{"cloud-token=" + value})
	if ref := kept.Get("cloud-token"); !strings.HasPrefix(ref, "secret:") || strings.Contains(ref, value) || kept.Get("cloud-size") != "small" {
		t.Errorf("kept %v", kept)
	}
	if options.Get("cloud-token") != value {
		t.Error("what was given has changed")
	}
	if !g.written || g.Values["secret"].Reveal() != value {
		t.Errorf("gave %t", g.written)
	}
	if shown := fmt.Sprintf("%v %+v %#v", g, g, g); strings.Contains(shown, value) {
		t.Errorf("shows itself as %s", shown)
	}
	if _, g := without(cloudOptions, options, nil); g.written {
		t.Error("what the environment gave counts as written")
	}
	if kept, g := without(cloudOptions, abi.Options{"cloud-size": {"small"}}, nil); len(kept) != 1 || g.reference() != "" {
		t.Errorf("without a secret there is %v", kept)
	}
}

// TestSecretsOfOldMachines follows what machines are removed with whose runner got another token, lost it or has another name.
func TestSecretsOfOldMachines(t *testing.T) {
	of := func(value string) given {
		options := abi.Options{}
		if value != "" {
			options["cloud-token"] = []string{value}
		}
		_, g := without(cloudOptions, options, nil)
		return g
	}
	machine := func(name, runner, token string) fleet.Machine {
		return fleet.Machine{Name: name, Driver: "cloud", Runner: runner, State: fleet.Idle, Options: abi.Options{"cloud-token": {of(token).reference()}}}
	}
	type step struct{ runner, token string }
	for name, tt := range map[string]struct {
		journal []fleet.Machine // of a process before
		steps   []step
		ask     string // the token that the machine was made with
		want    string // "" is the driver's own credential
		lost    bool
	}{
		"the same":                        {steps: []step{{"a", "one"}}, ask: "one", want: "one"},
		"replaced":                        {steps: []step{{"a", "one"}, {"a", "two"}}, ask: "one", want: "two"},
		"replaced twice":                  {steps: []step{{"a", "one"}, {"a", "two"}, {"a", "three"}}, ask: "one", want: "three"},
		"replaced and put back":           {steps: []step{{"a", "one"}, {"a", "two"}, {"a", "one"}}, ask: "two", want: "one"},
		"replaced, and another's still":   {steps: []step{{"a", "one"}, {"b", "one"}, {"a", "two"}}, ask: "one", want: "one"},
		"swapped":                         {steps: []step{{"a", "one"}, {"b", "two"}, {"a", "two"}, {"b", "one"}}, ask: "one", want: "one"},
		"taken out":                       {steps: []step{{"a", "one"}, {"a", ""}}, ask: "one", want: ""},
		"the runner is gone":              {steps: []step{{"b", "two"}}, ask: "one", lost: true},
		"renamed while no agent ran":      {journal: []fleet.Machine{machine("m", "a", "one")}, steps: []step{{"b", "one"}}, ask: "one", want: "one"},
		"replaced while no agent ran":     {journal: []fleet.Machine{machine("m", "a", "one")}, steps: []step{{"a", "two"}}, ask: "one", want: "two"},
		"taken out while no agent ran":    {journal: []fleet.Machine{machine("m", "a", "one")}, steps: []step{{"a", ""}}, ask: "one", want: ""},
		"another's while no agent ran":    {journal: []fleet.Machine{machine("m", "a", "one")}, steps: []step{{"b", "two"}}, ask: "one", lost: true},
		"another machine of the runner's": {journal: []fleet.Machine{machine("m", "a", "one")}, steps: []step{{"a", "two"}}, ask: "three", lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			j, err := journal.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			for _, m := range tt.journal {
				if err := j.Save(m); err != nil {
					t.Fatal(err)
				}
			}
			d := Drivers{journal: j}
			for _, s := range tt.steps {
				g := of(s.token)
				d.secrets.add("cloud", g)
				d.secrets.keep("cloud", s.runner, g)
			}
			g, ok := d.secret("cloud", of(tt.ask).reference())
			if secret := g.Values["secret"]; ok == tt.lost || secret.Reveal() != tt.want {
				t.Errorf("found %t with %d values", ok, len(g.Values))
			}
			if _, ok := d.secret("other", of(tt.ask).reference()); ok {
				t.Error("another driver has it too")
			}
		})
	}
}
