// Package policytest tests a policy on the author's machine, natively, on the very bytes that the host would send: that it describes itself
// properly, that what it proposes is what ABI.md allows, and that the same snapshot always gives the same bytes.
//
//	func TestPolicy(t *testing.T) {
//		policytest.Suite{Policy: mine{}, Config: abi.Raw(`{"limit":5}`), Cases: "cases"}.Run(t)
//	}
//
// `millwright policy test` does the same with the compiled module, within its time and memory.
package policytest

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
	"github.com/millwright-ci/millwright/sdk/go/policy/sample"
)

// Suite is what a policy is tested with.
type Suite struct {
	Policy   policy.Policy
	Config   abi.Raw // goes into every snapshot, as the operator's configuration would
	Observed abi.Raw // goes into every snapshot, as if observe had returned it a minute ago
	Cases    string  // a folder of cases, see Cases; "" is none
}

// Run runs all tests as subtests of t.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	d := Describe(t, s.Policy)
	t.Run("snapshots", func(t *testing.T) { s.snapshots(t, d) })
	t.Run("state", func(t *testing.T) { s.state(t, d) })
	if s.Cases != "" {
		t.Run("cases", func(t *testing.T) { Cases(t, s.Policy, s.Cases) })
	}
}

// Describe returns what the policy says of itself, and reports what the host would refuse.
func Describe(t testing.TB, p policy.Policy) abi.Describe {
	t.Helper()
	out, err := policy.Call(p, abi.ExportDescribe, nil)
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	var d abi.Describe
	if err := d.DecodeJSON(string(out)); err != nil {
		t.Fatalf("describe: %v", err)
	}
	if err := CheckDescribe(d); err != nil {
		t.Errorf("describe: %v", err)
	}
	return d
}

// Decide runs the policy on one snapshot, by way of its bytes, and returns what it proposes. A refusal by the policy fails the test; a
// proposal that the host would refuse, and one that is another at the second time, is reported.
func Decide(t testing.TB, p policy.Policy, s abi.Snapshot) abi.Proposal {
	t.Helper()
	proposal, err := decide(t, p, s)
	if err != nil {
		t.Fatalf("decide: %v", err)
	}
	return proposal
}

// decide is Decide with the policy's own error.
func decide(t testing.TB, p policy.Policy, s abi.Snapshot) (abi.Proposal, error) {
	t.Helper()
	input, err := s.AppendJSON(nil)
	if err != nil {
		t.Fatalf("the snapshot can't be written: %v", err)
	}
	out, err := policy.Call(p, abi.ExportDecide, input)
	again, errAgain := policy.Call(p, abi.ExportDecide, input)
	if !bytes.Equal(out, again) || (err == nil) != (errAgain == nil) {
		t.Errorf("decide is not pure. The same snapshot gave\n%s, %v, and then\n%s, %v\nsnapshot %s", out, err, again, errAgain, input)
	}
	var proposal abi.Proposal
	if err != nil {
		return proposal, err
	}
	if err := errors.Join(proposal.DecodeJSON(string(out)), Check(proposal)); err != nil {
		t.Errorf("the host would refuse the proposal: %v\nproposal %s\nsnapshot %s", err, out, input)
	}
	return proposal, nil
}

// snapshots runs the policy on all samples, and again in the opposite order: what it remembers by itself would show.
func (s Suite) snapshots(t *testing.T, d abi.Describe) {
	samples := sample.All(d)
	first := map[string]abi.Proposal{}
	for _, sample := range samples {
		t.Run(sample.Name, func(t *testing.T) {
			proposal, err := decide(t, s.Policy, s.fill(sample.Snapshot))
			if err != nil && !sample.Odd {
				t.Errorf("decide: %v; the host would skip the policy on an ordinary day", err)
			}
			if err == nil && proposal.IdleTarget != nil && proposal.Reason == "" {
				t.Error("it proposes a target without a reason; say why in one line, with the numbers")
			}
			first[sample.Name] = proposal
		})
	}
	slices.Reverse(samples)
	for _, sample := range samples {
		proposal, _ := decide(t, s.Policy, s.fill(sample.Snapshot))
		before, wasThere := first[sample.Name]
		if wasThere && !same(t, before, proposal) {
			t.Errorf("%s: decide remembers something by itself, since in another order it proposes something else; use state", sample.Name)
		}
	}
}

// state hands the policy's state back to it, minute after minute, as the host does.
func (s Suite) state(t *testing.T, d abi.Describe) {
	snapshot := s.fill(sample.Day(d))
	for range 100 {
		proposal, err := decide(t, s.Policy, snapshot)
		if err != nil {
			t.Fatalf("decide with its own state %q: %v", snapshot.State, err)
		}
		if proposal.State != nil {
			snapshot.State = *proposal.State
		}
		sample.Later(&snapshot)
	}
}

// fill adds what the author gave.
func (s Suite) fill(snapshot abi.Snapshot) abi.Snapshot {
	snapshot.Config = s.Config
	if len(s.Observed) > 0 {
		snapshot.Observed, snapshot.ObservedAgeS = s.Observed, 60
	}
	return snapshot
}

// same tells whether two proposals are written alike.
func same(t *testing.T, a, b abi.Proposal) bool {
	t.Helper()
	x, errX := a.AppendJSON(nil)
	y, errY := b.AppendJSON(nil)
	if err := errors.Join(errX, errY); err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}
