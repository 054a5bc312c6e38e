package wasm_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// described is a driver's description with one option.
func described(more, option string) string {
	return `{"abi":1,"kind":"driver","name":"tiny","summary":"s","hostnames":["{tiny-url}"],"options":[{"name":"tiny-url","type":"string","help":"h"` +
		option + `}` + more + `]}`
}

// TestExamine holds modules with one fault each, and one without, to what Examine says of them.
func TestExamine(t *testing.T) {
	denied := `{"error":{"kind":"auth","message":"not granted"}}`
	good := map[string]string{
		"describe": described("", ""), "validate": `{"ok":{"problems":[{"option":"tiny-url","message":"is junk","warning":true}]}}`,
		"create": denied, "list": denied, "remove": denied,
	}
	for name, tc := range map[string]struct {
		export, output string
		want           string // in the problems; "" is none
	}{
		"good":                    {"", "", ""},
		"a list of nothing":       {"list", `{"ok":{"instances":[],"complete":true}}`, "list: succeeded, and its provider was never reached"},
		"an incomplete list":      {"list", `{"ok":{"instances":[],"complete":false}}`, ""},
		"a removal of nothing":    {"remove", `{"ok":{}}`, "remove: succeeded, and its provider was never reached"},
		"a kind of its own":       {"create", `{"error":{"kind":"sad","message":"m"}}`, `the kind "sad" is none of the ABI's`},
		"an error without a word": {"create", `{"error":{"kind":"auth","message":""}}`, "the error has no message"},
		"no envelope":             {"create", `{}`, "one of ok and error must be set"},
		"no JSON":                 {"list", `hello`, `list: returned no JSON but "hello"`},
		"a trap":                  {"remove", moduletest.Trap, "remove: trap"},
		"takes all options":       {"validate", `{"ok":{"problems":[]}}`, "5,000 letters in every option are fine"},
		"refuses good options":    {"validate", `{"ok":{"problems":[{"option":"tiny-url","message":"no"}]}}`, "the given options: tiny-url: no"},
		"an unknown option":       {"validate", `{"ok":{"problems":[{"option":"url","message":"no","warning":true}]}}`, `"url", which is no option`},
		"validate fails":          {"validate", denied, "what is wrong with options belongs into its problems"},
		"no summary":              {"describe", strings.Replace(described("", ""), `"s"`, `""`, 1), "gives no summary"},
		"no hostnames":            {"describe", strings.Replace(described("", ""), `"{tiny-url}"`, ``, 1), "names no hostnames"},
		"an odd template":         {"describe", strings.Replace(described("", ""), `"{tiny-url}"`, `"{url}"`, 1), "names no option of the driver"},
		"a bad default":           {"describe", strings.Replace(described("", `,"default":"many"`), "string", "int", 1), `"many" (the driver's default) is no whole number`},
		"required with a default": {"describe", described("", `,"default":"a","required":true`), "is required and has a default"},
		"an option twice":         {"describe", described(`,{"name":"tiny-url","type":"string","help":"h"}`, ""), "is there twice"},
		"another prefix":          {"describe", described(`,{"name":"zone","type":"string","help":"h"}`, ""), "begin with the driver's name"},
		"no help":                 {"describe", described(`,{"name":"tiny-zone","type":"string","help":""}`, ""), "tiny-zone: has no help"},
		"an unknown type":         {"describe", described(`,{"name":"tiny-n","type":"float","help":"h"}`, ""), `the type "float"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outputs := maps.Clone(good)
			if tc.export != "" {
				outputs[tc.export] = tc.output
			}
			m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{Name: "tiny", Wasm: moduletest.Tiny(outputs)})
			if err != nil {
				t.Fatal(err)
			}
			var problems []string
			for _, f := range wasm.Examine(t.Context(), m, abi.Options{"tiny-url": {"http://127.0.0.1:1"}}) {
				problems = append(problems, f.Problems...)
			}
			if text := fmt.Sprint(problems); tc.want == "" && len(problems) > 0 || !strings.Contains(text, tc.want) {
				t.Errorf("found %s; want %q", text, tc.want)
			}
		})
	}
}

func TestGrant(t *testing.T) {
	d := abi.Describe{Name: "tiny", Hostnames: []string{"{tiny-url}", "https://api.example.com", "{tiny-other}"},
		Options: []abi.Option{{Name: "tiny-url"}, {Name: "tiny-other"}}}
	var src module.Source
	err := wasm.Grant(&src, d, abi.Options{"tiny-url": {"http://127.0.0.1:7070"}})
	if want := "[http://127.0.0.1:7070 https://api.example.com]"; err != nil || fmt.Sprint(src.Hostnames) != want || len(src.Private) == 0 {
		t.Errorf("granted %v, %v; want %s", src.Hostnames, err, want)
	}
	if err := wasm.Grant(&src, d, abi.Options{"tiny-url": {"http://*.example.com"}}); err == nil {
		t.Error("every host was granted")
	}
}
