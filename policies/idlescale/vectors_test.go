package main

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/hostfuncs/vectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
	"github.com/millwright-ci/millwright/sdk/go/policy/policytest"
)

// TestSuite is what every policy passes.
func TestSuite(t *testing.T) { policytest.Suite{Policy: policy.Registered()}.Run(t) }

// TestABIVectors runs hostfuncs/vectors natively and as the module that ships: both give the bytes that stand there.
func TestABIVectors(t *testing.T) {
	all, err := vectors.Policies("idlescale")
	if err != nil || len(all) == 0 {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/idlescale")
	native := func(export string, input []byte) ([]byte, error) {
		return policy.Call(policy.Registered(), export, input)
	}
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			if out := moduletest.SameBytes(t, m, abi.ExportDecide, []byte(v.Input), native); string(out) != v.Expect {
				t.Errorf("got  %s\nwant %s", out, v.Expect)
			}
		})
	}
}

// TestRefusesBadSnapshots sends what is no snapshot: the error names the place, natively and as Wasm.
func TestRefusesBadSnapshots(t *testing.T) {
	all, err := vectors.Codecs()
	if err != nil {
		t.Fatal(err)
	}
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/idlescale")
	for _, v := range all {
		if v.Kind != "snapshot" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			_, native := policy.Call(policy.Registered(), abi.ExportDecide, []byte(v.Input))
			_, wasm := m.Call(t.Context(), abi.ExportDecide, []byte(v.Input))
			if (native == nil) != v.Valid || (wasm == nil) != v.Valid {
				t.Errorf("natively: %v\nas Wasm: %v", native, wasm)
			}
		})
	}
}
