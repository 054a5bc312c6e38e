package cli

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
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
	// The example neither switches machines nor shows consoles, and has no permissions to tell; nothing else is skipped.
	if err != nil || strings.Contains(out, "FAIL") || strings.Count(out, "skipped  ") != 3 {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"RESULT       TIME  CHECK\n", "it says who it is: fakecloud 1\n", "a machine comes to life and goes\n", "invalid options are refused by kind\n",
		"a creation whose answer is lost makes one machine\n",
		"a machine is switched off and on: the driver does not switch machines off and on\n",
		"a machine's console is shown: the driver shows no console of a machine\n",
		"what it may do is told, and nothing is made: the driver can't tell what it is allowed\n",
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

// A driver that shows the machine's host key is found out, whether it does so in an answer or in its log.
func TestDriverTestFindsLeaks(t *testing.T) {
	const key = "suite private" // what the suite gives machines for a host key
	outputs := map[string]string{
		"describe": `{"abi":1,"kind":"driver","name":"leaky","summary":"s","hostnames":["{leaky-url}"],"options":[{"name":"leaky-url","type":"string","help":"h"}]}`,
		"validate": `{"ok":{"problems":[]}}`, "create": `{"error":{"kind":"invalid","message":"no"}}`,
		"list": `{"ok":{"instances":[],"complete":true}}`, "remove": `{"ok":{}}`,
		"check": `{"ok":{"permissions":[{"name":"make","result":"unknown","purpose":"make machines","message":"with ` + key + `"}]}}`,
	}
	for name, tc := range map[string]struct {
		logs string
		want []string
	}{
		"in its log": {"made with " + key, []string{"the guest logs a secret of 13 letters", "the answer to check shows a secret of 13 letters"}},
		"silent":     {"", []string{"the answer to check shows a secret of 13 letters"}},
	} {
		file := filepath.Join(t.TempDir(), "leaky.wasm")
		if err := os.WriteFile(file, moduletest.TinyTalking(outputs, tc.logs), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := command(t, "driver", "test", file, "--option", "leaky-url={cloud}", "--settle", "10ms")
		for _, want := range tc.want {
			if err == nil || !strings.Contains(out, want) {
				t.Errorf("%s: %v: the output lacks %q:\n%s", name, err, want, out)
			}
		}
		if tc.logs == "" && strings.Contains(out, "the guest logs") {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}

// A driver whose requests are signed meets its author's own cloud, which has an authority of its own and wants a token: both are of millwright.toml.
func TestDriverTestSigned(t *testing.T) {
	const token = "token-of-the-author"
	cloud, err := fakecloud.Start(fakecloud.Options{Settings: fakecloud.Settings{BootMS: 20, Token: token}})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	behind, err := url.Parse(cloud.URL())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(behind))
	defer front.Close()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("fakecloud.wasm", guests.Wasm(t, "examples/drivers/fakecloud"))
	authority := write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}))
	grants := fmt.Sprintf(`
ca_file = %q
[credentials.mine]
kind = "bearer"
secret_env = "TOKEN_OF_MINE"
[grants.fakecloud]
hostnames = [%[2]q]
private_addresses = ["127.0.0.0/8"]
[grants.fakecloud.credentials.mine]
hostnames = [%[2]q]
`, authority, front.URL)
	try := func(millwrightTOML string) (string, error) {
		write("millwright.toml", []byte(millwrightTOML))
		return command(t, "driver", "test", file, "--config", filepath.Join(dir, "config.toml"), "--option", "fakecloud-endpoint="+front.URL,
			"--option", "fakecloud-credential=mine")
	}

	t.Setenv("TOKEN_OF_MINE", token)
	out, err := try(grants)
	if err != nil || strings.Contains(out, "FAIL") || !strings.Contains(out, "create twice gives one machine\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if left := cloud.Summary().Live; len(left) > 0 {
		t.Errorf("left: %v", left)
	}

	t.Setenv("TOKEN_OF_MINE", "another")
	if out, err = try(grants); err == nil || !strings.Contains(out, "auth: ") || !strings.Contains(out, "nothing else is tried\n1 checks failed\n") {
		t.Errorf("with a wrong token: %v\n%s", err, out)
	}
	if _, err = try(""); err == nil || !strings.Contains(err.Error(), "[grants.fakecloud] is missing or has no hostnames") {
		t.Errorf("without grants: %v", err)
	}
}

// A driver of groups is held to the contract of groups, on a group that is empty: the test would remove what is in it.
func TestDriverTestOfGroups(t *testing.T) {
	file := filepath.Join(t.TempDir(), "builders.wasm")
	err := os.WriteFile(file, moduletest.Tiny(map[string]string{
		"describe":   `{"abi":1,"kind":"driver","name":"builders","summary":"s","group":true,"hostnames":["{url}"],"options":[{"name":"url","type":"string","help":"h"}]}`,
		"validate":   `{"ok":{"problems":[]}}`,
		"group_info": `{"ok":{"id":"here/builders","problems":[]}}`, "list": `{"ok":{"instances":[{"name":"i-1","id":"","status":"running"}],"complete":true}}`,
		"increase":     `{"error":{"kind":"capacity","message":"none left"}}`,
		"decrease":     `{"ok":{"instances":[],"error":{"kind":"transient","message":"no"}}}`,
		"connect_info": `{"error":{"kind":"not_found","message":"no"}}`,
	}), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	out, err := command(t, "driver", "test", file, "--option", "url=http://127.0.0.1:1")
	for _, want := range []string{
		"it says who it is: builders\n", "group_info: succeeded, and its provider was never reached",
		"the group has 1 instances, which the test would remove; name one that is empty", "nothing else is tried",
	} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%v: the output lacks %q:\n%s", err, want, out)
		}
	}
	if strings.Contains(out, "increase: succeeded") || strings.Contains(out, "decrease: succeeded") || strings.Contains(out, "options begin with") {
		t.Errorf("what is right is told as wrong:\n%s", out)
	}
}
