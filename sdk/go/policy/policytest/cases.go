package policytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
)

// testCase is one entry of a file of cases.
type testCase struct {
	About  string          `json:"about"`
	Export string          `json:"export"`
	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output"`
	Error  string          `json:"error"`
}

// Cases runs the policy on every case of a folder: files NAME.json, which the harnesses of all SDKs share, each one case or a list of them.
//
//	{ "about": "two jobs run", "export": "decide", "input": {"demand": {"running": 2}}, "output": {"idle_target": 4} }
//
// export is decide unless told. Instead of output there may be error, a part of the error's text. The order of members does not
// matter, and 1.0 is 1. Each case is run twice and must give the same bytes.
func Cases(t *testing.T, p policy.Policy, folder string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s holds no case (%v)", folder, err)
	}
	for _, name := range names {
		cases, err := readCases(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, c := range cases {
			t.Run(fmt.Sprintf("%s %d %s", strings.TrimSuffix(filepath.Base(name), ".json"), i+1, c.About), func(t *testing.T) { c.run(t, p) })
		}
	}
}

func readCases(name string) ([]testCase, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if data = bytes.TrimSpace(data); !bytes.HasPrefix(data, []byte("[")) {
		data = append(append([]byte("["), data...), ']')
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var cases []testCase
	return cases, dec.Decode(&cases)
}

func (c testCase) run(t *testing.T, p policy.Policy) {
	export := c.Export
	if export == "" {
		export = abi.ExportDecide
	}
	out, err := policy.Call(p, export, c.Input)
	again, _ := policy.Call(p, export, c.Input)
	if !bytes.Equal(out, again) {
		t.Errorf("the same input gave\n%s, and then\n%s", out, again)
	}
	switch {
	case c.Error != "" && (err == nil || !strings.Contains(err.Error(), c.Error)):
		t.Fatalf("got %s, %v; want the error %q", out, err, c.Error)
	case c.Error != "":
		return
	case err != nil:
		t.Fatal(err)
	}
	var got, want any
	if len(out) > 0 {
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s is no JSON: %v", out, err)
		}
	}
	if len(c.Output) > 0 {
		if err := json.Unmarshal(c.Output, &want); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got, want) {
		var compact bytes.Buffer
		if err := json.Compact(&compact, c.Output); err != nil {
			compact.Write(c.Output)
		}
		t.Errorf("\ngot  %s\nwant %s", out, &compact)
	}
	if export == abi.ExportDecide {
		var proposal abi.Proposal
		if err := proposal.DecodeJSON(string(out)); err != nil {
			t.Error(err)
		} else if err := Check(proposal); err != nil {
			t.Errorf("the host would refuse the proposal: %v", err)
		}
	}
}
