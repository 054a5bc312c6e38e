package policytest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
	"github.com/millwright-ci/millwright/sdk/go/policy/cases"
)

// Cases runs the policy on every case of a folder: files NAME.json, which the harnesses of all SDKs share, each one case or a list of them.
//
//	{ "about": "two jobs run", "export": "decide", "input": {"demand": {"running": 2}}, "output": {"idle_target": 4} }
//
// export is decide unless told. Instead of output there may be error, a part of the error's text. The order of members does not
// matter, and 1.0 is 1. Each case is run twice and must give the same bytes.
func Cases(t *testing.T, p policy.Policy, folder string) {
	t.Helper()
	all, err := cases.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range all {
		t.Run(fmt.Sprintf("%s %d %s", strings.TrimSuffix(c.File, ".json"), i+1, c.Title()), func(t *testing.T) {
			err := c.Run(func(export string, input []byte) ([]byte, error) {
				out, err := policy.Call(p, export, input)
				if err == nil && export == abi.ExportDecide {
					checkBytes(t, out)
				}
				return out, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// checkBytes reports when the host would refuse a proposal.
func checkBytes(t *testing.T, out []byte) {
	t.Helper()
	var proposal abi.Proposal
	if err := proposal.DecodeJSON(string(out)); err != nil {
		t.Error(err)
	} else if err := Check(proposal); err != nil {
		t.Errorf("the host would refuse the proposal: %v", err)
	}
}
