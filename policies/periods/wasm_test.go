package main

import (
	"encoding/json"
	"testing"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestWasm runs the same snapshots natively and as the module that ships: the answers are the same to the byte.
func TestWasm(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/periods")
	moduletest.SameBytes(t, m, abi.ExportDescribe, nil, moduletest.Native)
	var inputs []abi.Snapshot
	for _, runner := range []abi.RunnerSettings{documented(), documentedIn("Europe/Berlin"), {IdleCount: 2}} {
		for _, now := range []string{"2026-08-20T10:00:00.123Z", "2026-08-22T23:59:59.999Z", "2026-10-25T00:30:00Z"} {
			inputs = append(inputs, snapshot(t, runner, now))
		}
	}
	inputs[0].Runner.Autoscaling[0].Periods[0] = "nonsense"
	for _, s := range inputs {
		in, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		moduletest.SameBytes(t, m, abi.ExportDecide, in, moduletest.Native)
	}
}
