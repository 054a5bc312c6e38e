package moduletest

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/hostfuncs/vectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
)

// PolicyVectors runs hostfuncs/vectors of the built-in policy that the test's own package registers, natively and as the module that
// ships: both give the bytes that stand there.
func PolicyVectors(t *testing.T, name string) {
	t.Helper()
	all, err := vectors.Policies(name)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	m := Load(t, Host(t, module.Limits{}), "policies/"+name)
	for _, v := range all {
		t.Run(v.Name, func(t *testing.T) {
			if out := SameBytes(t, m, abi.ExportDecide, []byte(v.Input), Native); string(out) != v.Expect {
				t.Errorf("got  %s\nwant %s", out, v.Expect)
			}
		})
	}
}

// RefusesBadSnapshots sends that policy what is no snapshot: it is refused natively and as Wasm, and what is one is taken by both.
func RefusesBadSnapshots(t *testing.T, name string) {
	t.Helper()
	all, err := vectors.Codecs()
	if err != nil {
		t.Fatal(err)
	}
	m := Load(t, Host(t, module.Limits{}), "policies/"+name)
	for _, v := range all {
		if v.Kind != "snapshot" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			_, native := Native(abi.ExportDecide, []byte(v.Input))
			_, wasm := m.Call(t.Context(), abi.ExportDecide, []byte(v.Input))
			if (native == nil) != v.Valid || (wasm == nil) != v.Valid {
				t.Errorf("natively: %v\nas Wasm: %v", native, wasm)
			}
		})
	}
}

// Native calls the policy that the test's own package registers, without Wasm.
func Native(export string, input []byte) ([]byte, error) {
	return policy.Call(policy.Registered(), export, input)
}
