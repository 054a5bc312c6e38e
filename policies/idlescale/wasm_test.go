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
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/idlescale")
	moduletest.SameBytes(t, m, abi.ExportDescribe, nil, moduletest.Native)
	var inputs []abi.Snapshot
	for used := range 5 {
		for _, factor := range []float64{0, 0.29, 1.5, 1e300} {
			inputs = append(inputs, scaled(used*100, used, 100, factor))
		}
	}
	for _, s := range inputs {
		in, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		moduletest.SameBytes(t, m, abi.ExportDecide, in, moduletest.Native)
	}
}
