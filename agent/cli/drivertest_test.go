package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
)

// The example driver passes against the cloud that the command starts.
func TestDriverTest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fakecloud.wasm")
	if err := os.WriteFile(file, guests.Wasm(t, "examples/drivers/fakecloud"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, "driver", "test", file, "--option", "fakecloud-endpoint={cloud}", "--invalid", "fakecloud-zone=two words")
	if err != nil || strings.Contains(out, "FAIL") || strings.Contains(out, "skipped") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"RESULT       TIME  CHECK\n", "it says who it is: fakecloud 1\n", "a machine comes to life and goes\n", "invalid options are refused by kind\n",
		"a creation whose answer is lost makes one machine\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	out, err = command(t, "driver", "test", file, "--option", "fakecloud-endpoint=http://127.0.0.1:1")
	if err == nil || !strings.Contains(out, "FAIL") || !strings.Contains(out, "nothing else is tried\n1 checks failed\n") {
		t.Errorf("without a provider: %v\n%s", err, out)
	}
	for args, want := range map[string]string{
		"":                             "--option fakecloud-endpoint: is required; write fakecloud-endpoint=VALUE",
		"--option fakecloud-endpint=x": "did you mean fakecloud-endpoint?",
	} {
		if _, err := command(t, append([]string{"driver", "test", file}, strings.Fields(args)...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", args, err, want)
		}
	}
}

// A driver that claims success without having asked anybody is told so, below the row of the check.
func TestDriverTestFindsFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tiny.wasm")
	err := os.WriteFile(file, moduletest.Tiny(map[string]string{
		"describe": `{"abi":1,"kind":"driver","name":"tiny","summary":"s","hostnames":["{tiny-url}"],"options":[{"name":"tiny-url","type":"string","help":"h"}]}`,
		"validate": `{"ok":{"problems":[]}}`, "create": `{"ok":{"name":"m","id":"1","status":"running"}}`,
		"list": `{"ok":{"instances":[],"complete":true}}`, "remove": `{"ok":{}}`,
	}), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	out, err := command(t, "driver", "test", file, "--option", "tiny-url={cloud}", "--settle", "10ms")
	for _, want := range []string{
		"                     create: succeeded, and its provider was never reached", "it returned \"m\"", "checks failed\n",
	} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%v: the output lacks %q:\n%s", err, want, out)
		}
	}
	policy := filepath.Join(t.TempDir(), "p.wasm")
	if err := os.WriteFile(policy, moduletest.TinyPolicy("p", `{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := command(t, "driver", "test", policy); err == nil || !strings.Contains(err.Error(), "is a policy") {
		t.Errorf("a policy: %v", err)
	}
}
