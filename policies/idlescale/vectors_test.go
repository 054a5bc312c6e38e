package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
	"github.com/millwright-ci/millwright/sdk/go/policy/policytest"
)

// TestSuite is what every policy passes.
func TestSuite(t *testing.T) { policytest.Suite{Policy: policy.Registered()}.Run(t) }

// TestABIVectors runs hostfuncs/vectors natively and as the module that ships: both give the bytes that stand there.
func TestABIVectors(t *testing.T) { moduletest.PolicyVectors(t, "idlescale") }

// TestRefusesBadSnapshots sends what is no snapshot, natively and as Wasm.
func TestRefusesBadSnapshots(t *testing.T) { moduletest.RefusesBadSnapshots(t, "idlescale") }

// TestPasses holds what the vectors of a scaling pass say about the number of machines to hold available, natively and as the module
// that ships. How many are created and removed on the way there is the plan's part.
func TestPasses(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/idlescale")
	specvectors.Run(t, specvectors.Passes, specvectors.Policy, func(t *testing.T, v specvectors.Vector, want *specvectors.Expectation) {
		in, err := json.Marshal(abi.Snapshot{ABI: abi.Version, Runner: v.Config.Settings(), Fleet: v.Fleet(time.Time{}).Counts()})
		if err != nil {
			t.Fatal(err)
		}
		var p abi.Proposal
		if err := json.Unmarshal(moduletest.SameBytes(t, m, abi.ExportDecide, in, moduletest.Native), &p); err != nil {
			t.Fatal(err)
		}
		if p.IdleTarget == nil {
			t.Fatal("no target is proposed")
		}
		want.Is(t, "target", *p.IdleTarget)
	})
}
