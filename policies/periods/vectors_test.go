package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/period"
	"github.com/millwright-ci/millwright/sdk/go/policy"
	"github.com/millwright-ci/millwright/sdk/go/policy/policytest"
)

// TestSuite is what every policy passes.
func TestSuite(t *testing.T) { policytest.Suite{Policy: policy.Registered()}.Run(t) }

// TestABIVectors runs hostfuncs/vectors natively and as the module that ships: both give the bytes that stand there.
func TestABIVectors(t *testing.T) { moduletest.PolicyVectors(t, "periods") }

// TestRefusesBadSnapshots sends what is no snapshot, natively and as Wasm.
func TestRefusesBadSnapshots(t *testing.T) { moduletest.RefusesBadSnapshots(t, "periods") }

// TestPeriods asks, for each vector of an expression, the policy with one section that has it, natively and as the module that ships:
// the section's IdleCount shows that it is active. What reading the expression says is asserted too, since config check says that.
func TestPeriods(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/periods")
	specvectors.Run(t, specvectors.Periods, specvectors.Policy, func(t *testing.T, v specvectors.Vector, want *specvectors.Expectation) {
		p := both(t, m, snapshot(t, abi.RunnerSettings{IdleCount: 1, Autoscaling: []abi.PeriodsSettings{
			{Periods: []string{v.Period.Expression}, Timezone: v.Period.Zone, IdleCount: 9}}}, v.Period.Now))
		want.Is(t, "active", *p.Settings.IdleCount == 9)
		e, err := period.Parse(v.Period.Expression)
		switch {
		case want.Has("refused"):
			if err == nil || !strings.Contains(p.Reason, err.Error()) {
				t.Errorf("the error is %v, the policy's reason %s", err, p.Reason)
			}
			want.In(t, "refused", p.Reason)
		case err != nil:
			t.Error(err)
		case want.Has("warned"):
			want.In(t, "warned", strings.Join(e.Warnings(), "; "))
		}
	})
}

// TestDocumentedSections has the documentation's weekday and weekend.
func TestDocumentedSections(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/periods")
	runner := specvectors.DocumentedRoot.Settings()
	runner.Autoscaling = []abi.PeriodsSettings{
		section(specvectors.DocumentedWeek, specvectors.DocumentedWeekPeriod), section(specvectors.DocumentedWeekend, specvectors.DocumentedWeekendPeriod),
	}
	specvectors.Run(t, specvectors.Examples, specvectors.Policy, func(t *testing.T, v specvectors.Vector, want *specvectors.Expectation) {
		p := both(t, m, snapshot(t, runner, v.Period.Now))
		want.Is(t, "IdleCount", *p.Settings.IdleCount)
		want.Is(t, "IdleTime", int(*p.Settings.IdleTimeS))
	})
}

func section(c specvectors.Config, expression string) abi.PeriodsSettings {
	return abi.PeriodsSettings{Periods: []string{expression}, Timezone: "UTC", IdleCount: c.IdleCount, IdleTimeS: int64(c.IdleTime)}
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
