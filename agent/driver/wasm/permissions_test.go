package wasm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// checker returns a driver whose check gives that answer; "" has none.
func checker(t *testing.T, answer string) *wasm.Driver {
	t.Helper()
	outputs := map[string]string{
		"describe": `{"abi":1,"kind":"driver","name":"tiny"}`, "validate": `{"ok":{"problems":[]}}`, "create": `{"ok":{}}`, "list": `{"ok":{}}`, "remove": `{"ok":{}}`,
	}
	if answer != "" {
		outputs["check"] = answer
	}
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{Name: "tiny", Wasm: moduletest.Tiny(outputs)})
	if err != nil {
		t.Fatal(err)
	}
	d, err := wasm.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCheck(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	many := strings.TrimSuffix(strings.Repeat(`{"name":"a","result":"granted"},`, 257), ",")
	for name, tc := range map[string]struct {
		answer string
		want   []abi.Permission
		err    string
	}{
		"an older module":         {"", nil, driver.ErrNoCheck.Error()},
		"no permissions":          {`{"ok":{"permissions":[]}}`, nil, driver.ErrNoCheck.Error()},
		"what is odd is mended":   {`{"ok":{"permissions":[{"name":"a","result":"granted"},{"name":"b\nb","result":"soon","fix":"\u0007"}]}}`, []abi.Permission{{Name: "a", Result: "granted"}, {Name: "b b", Result: "unknown", Fix: " "}}, ""},
		"what is long is cut":     {`{"ok":{"permissions":[{"name":"a","result":"denied","message":"` + long + `"}]}}`, []abi.Permission{{Name: "a", Result: "denied", Message: long[:2048] + "…"}}, ""},
		"too many":                {`{"ok":{"permissions":[` + many + `]}}`, nil, "it returned 257 permissions; at most 256 are read"},
		"a failure keeps its way": {`{"error":{"kind":"auth","message":"who are you?"}}`, nil, "tiny: check: auth: who are you?"},
		"junk":                    {`{"ok":[]}`, nil, "returned no result of the ABI"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := checker(t, tc.answer).Check(t.Context(), abi.CheckRequest{})
			if diff := cmp.Diff(tc.want, got); diff != "" || (tc.err == "") != (err == nil) || !strings.Contains(fmt.Sprint(err), tc.err) {
				t.Errorf("%v\n%s", err, diff)
			}
			if (tc.err == driver.ErrNoCheck.Error()) != errors.Is(err, driver.ErrNoCheck) {
				t.Errorf("%v", err)
			}
		})
	}
}
