package wasm_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestParseOptions(t *testing.T) {
	desc := abi.Describe{Options: []abi.Option{
		{Name: "c-zone", Type: abi.OptionString, Default: "a", Env: "C_ZONE"},
		{Name: "c-size", Type: abi.OptionInt, Env: "C_SIZE"},
		{Name: "c-spot", Type: abi.OptionBool, Env: "C_SPOT"},
		{Name: "c-tag", Type: abi.OptionList, Env: "C_TAG"},
		{Name: "c-token", Type: abi.OptionInt, Secret: true},
	}}
	required := abi.Describe{Options: []abi.Option{{Name: "c-project", Type: abi.OptionInt, Required: true, Env: "C_PROJECT"}}}
	zone := []string{"a"}
	for name, tc := range map[string]struct {
		desc     abi.Describe
		list     []string
		env      map[string]string
		want     abi.Options
		problems []abi.Problem
	}{
		"defaults":            {desc: desc, want: abi.Options{"c-zone": zone}},
		"a value with =":      {desc: desc, list: []string{"c-zone=a=b=c"}, want: abi.Options{"c-zone": {"a=b=c"}}},
		"an empty value":      {desc: desc, list: []string{"c-zone="}, want: abi.Options{"c-zone": {""}}},
		"the last one wins":   {desc: desc, list: []string{"c-zone=b", "c-zone=c"}, want: abi.Options{"c-zone": {"c"}}},
		"a list has all":      {desc: desc, list: []string{"c-tag=x=1", "c-tag=y"}, want: abi.Options{"c-zone": zone, "c-tag": {"x=1", "y"}}},
		"a number":            {desc: desc, list: []string{"c-size=12"}, want: abi.Options{"c-zone": zone, "c-size": {"12"}}},
		"a bare bool":         {desc: desc, list: []string{"c-spot"}, want: abi.Options{"c-zone": zone, "c-spot": {"true"}}},
		"a bool, written out": {desc: desc, list: []string{"c-spot=False"}, want: abi.Options{"c-zone": zone, "c-spot": {"false"}}},
		"the environment": {desc: desc, env: map[string]string{"C_ZONE": "b", "C_SIZE": "3", "C_SPOT": "1", "C_TAG": "x, y"},
			want: abi.Options{"c-zone": {"b"}, "c-size": {"3"}, "c-spot": {"true"}, "c-tag": {"x", "y"}}},
		"the list before the environment": {desc: desc, list: []string{"c-zone=c"}, env: map[string]string{"C_ZONE": "b"}, want: abi.Options{"c-zone": {"c"}}},
		"required, from the environment":  {desc: required, env: map[string]string{"C_PROJECT": "1"}, want: abi.Options{"c-project": {"1"}}},

		"unknown, one letter off": {desc: desc, list: []string{"c-zones=b"}, want: abi.Options{"c-zone": zone},
			problems: []abi.Problem{{Option: "c-zones", Message: "is no option of this driver; did you mean c-zone?"}}},
		"unknown, nothing near": {desc: desc, list: []string{"amazonec2-vpc-id=b"}, want: abi.Options{"c-zone": zone},
			problems: []abi.Problem{{Option: "amazonec2-vpc-id", Message: "is no option of this driver; see `millwright driver options`"}}},
		"no value": {desc: desc, list: []string{"c-zone"}, want: abi.Options{"c-zone": zone},
			problems: []abi.Problem{{Option: "c-zone", Message: "has no value; write c-zone=VALUE"}}},
		"no number": {desc: desc, list: []string{"c-size=large"}, want: abi.Options{"c-zone": zone},
			problems: []abi.Problem{{Option: "c-size", Message: `"large" is no whole number`}}},
		"no bool, from the environment": {desc: desc, env: map[string]string{"C_SPOT": "maybe"}, want: abi.Options{"c-zone": zone},
			problems: []abi.Problem{{Option: "c-spot", Message: `"maybe" (from the environment: C_SPOT) is neither true nor false`}}},
		"a secret stays one": {desc: desc, list: []string{"c-token=hunter2"}, want: abi.Options{"c-zone": zone},
			problems: []abi.Problem{{Option: "c-token", Message: "the value is no whole number"}}},
		"required": {desc: required, want: abi.Options{},
			problems: []abi.Problem{{Option: "c-project", Message: "is required; write c-project=VALUE"}}},
		"required, and wrong": {desc: required, list: []string{"c-project=x"}, want: abi.Options{},
			problems: []abi.Problem{{Option: "c-project", Message: `"x" is no whole number`}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := wasm.ParseOptions(tc.desc, tc.list, func(name string) string { return tc.env[name] })
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("options: %s", diff)
			}
			if diff := cmp.Diff(tc.problems, problems); diff != "" {
				t.Errorf("problems: %s", diff)
			}
		})
	}
}

func FuzzParseOptions(f *testing.F) {
	desc := abi.Describe{Options: []abi.Option{{Name: "c-zone", Type: abi.OptionString}, {Name: "c-size", Type: abi.OptionInt}}}
	f.Add("c-size=1")
	f.Fuzz(func(t *testing.T, entry string) {
		options, problems := wasm.ParseOptions(desc, []string{entry}, nil)
		if len(options)+len(problems) != 1 {
			t.Errorf("%q gave the options %v and the problems %v", entry, options, problems)
		}
	})
}
