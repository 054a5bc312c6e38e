package main

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"
	_ "time/tzdata" // the cases name zones

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
	"github.com/millwright-ci/millwright/sdk/go/policy/policytest"
)

// TestSuite is what every policy passes.
func TestSuite(t *testing.T) { policytest.Suite{Policy: policy.Registered()}.Run(t) }

// TestABIVectors runs hostfuncs/vectors natively and as the module that ships: both give the bytes that stand there.
func TestABIVectors(t *testing.T) { moduletest.PolicyVectors(t, "instances") }

// TestRefusesBadSnapshots sends what is no snapshot, natively and as Wasm.
func TestRefusesBadSnapshots(t *testing.T) { moduletest.RefusesBadSnapshots(t, "instances") }

// TestInstances holds the vectors of the scaling rule, natively and as the module that ships, which must give the same bytes, and through the
// chain that a runner has.
func TestInstances(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/instances")
	chain, err := module.NewChain(slog.New(slog.DiscardHandler), module.Link{Module: m})
	if err != nil {
		t.Fatal(err)
	}
	specvectors.Run(t, specvectors.Instances, specvectors.Policy, func(t *testing.T, v specvectors.Vector, want *specvectors.Expectation) {
		s := snapshot(t, v.Scaling)
		p := both(t, m, s)
		want.Is(t, "free", *p.IdleSlots)
		want.Is(t, "preemptive", *p.Preemptive)
		want.Is(t, "instances", int(p.Metrics["desired_instances"]))
		d := chain.Decide(t.Context(), s)
		want.Is(t, "free", d.IdleTarget)
		want.Is(t, "preemptive", d.AsksAhead())
		if seconds := int(d.IdleTime.Seconds()); seconds != int(*p.Settings.IdleTimeS) {
			t.Errorf("idle time %d s, proposed %d", seconds, *p.Settings.IdleTimeS)
		}
	})
}

// snapshot is a vector's as the pool makes it.
func snapshot(t *testing.T, s specvectors.Scaling) abi.Snapshot {
	t.Helper()
	if s.Now == "" {
		s.Now = "2026-08-20T10:00:00Z"
	}
	now, err := time.Parse(time.RFC3339, s.Now)
	if err != nil {
		t.Fatal(err)
	}
	f := s.Fleet(now, 0)
	zones, err := module.NewZones("UTC", "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	settings := abi.RunnerSettings{Name: "fleet", Concurrent: 100, Instances: &s.Settings}
	slots := plan.Slots(now, f, fleet.Decision{}, fleet.LimitsOf(settings))
	return abi.Snapshot{
		ABI: abi.Version, Now: s.Now, NowUnixMS: now.UnixMilli(), Zones: zones.At(now), Runner: settings,
		Fleet: f.Counts(), Slots: &slots, Demand: abi.Demand{Running: s.InUse, Waiting: s.Waiting},
	}
}

// both asks the policy natively and as Wasm, which must give the same bytes.
func both(t *testing.T, m *module.Module, s abi.Snapshot) abi.Proposal {
	t.Helper()
	in, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var p abi.Proposal
	if err := json.Unmarshal(moduletest.SameBytes(t, m, abi.ExportDecide, in, moduletest.Native), &p); err != nil {
		t.Fatal(err)
	}
	return p
}
