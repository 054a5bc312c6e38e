package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseModuleFile(t *testing.T) {
	m, diagnostics := ParseModuleFile("burst.toml", []byte(`
runners = ["build-*", "deploy"]
position = 30
mode = "shadow"
required = true
observe_every = "1m"
[config]
factor = 1.5
days = ["mon", "tue"]
[config.limits]
hard = 10
`))
	if len(diagnostics) > 0 {
		t.Fatal(diagnostics)
	}
	want := ModuleFile{Runners: []string{"build-*", "deploy"}, Position: 30, Mode: ModeShadow, Required: true, ObserveEvery: Duration(time.Minute), Config: m.Config}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	if got, err := m.ConfigJSON(); err != nil || string(got) != `{"days":["mon","tue"],"factor":1.5,"limits":{"hard":10}}` {
		t.Errorf("the module gets %s, %v", got, err)
	}
	if got, err := (ModuleFile{}).ConfigJSON(); err != nil || got != nil {
		t.Errorf("without a configuration the module gets %s, %v", got, err)
	}
}

func TestParseModuleFileNamesMistakes(t *testing.T) {
	for name, tc := range map[string]struct{ file, want string }{
		"no TOML":          {"runners = [", "burst.toml:1: not TOML"},
		"unknown key":      {"requird = true", "burst.toml:1: requird: unknown key; did you mean required?"},
		"unknown mode":     {`mode = "ghost"`, `burst.toml:1: mode: "ghost" is not known; write "shadow"`},
		"bad pattern":      {`runners = ["a["]`, `burst.toml:1: runners: "a[" is no pattern`},
		"bad hash":         {`sha256 = "abc"`, "burst.toml:1: sha256: this is no SHA-256"},
		"bad position":     {`position = -1`, "burst.toml:1: position: -1 is negative"},
		"type":             {`required = "yes"`, "burst.toml:1: required: this is a string; write true or false without quotes"},
		"a time backwards": {`observe_every = "-1s"`, "burst.toml:1: observe_every:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, diagnostics := ParseModuleFile("burst.toml", []byte(tc.file))
			if len(diagnostics) != 1 || !strings.HasPrefix(diagnostics[0].String(), tc.want) {
				t.Errorf("got %v\nwant %s", diagnostics, tc.want)
			}
		})
	}
}

func TestGrants(t *testing.T) {
	path := filepath.Join(t.TempDir(), "millwright.toml")
	file := `
[grants.queue]
hostnames = ["https://gitlab.example.com"]
private_addresses = ["10.0.0.0/8"]
memory_mb = 32
[grants.wrong]
private_addresses = ["10.0.0.0"]
decide_ms = -1
`
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	o, diagnostics, err := LoadOperator(filepath.Join(filepath.Dir(path), "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	want := Grant{Hostnames: []string{"https://gitlab.example.com"}, PrivateAddresses: []string{"10.0.0.0/8"}, MemoryMB: 32}
	if diff := cmp.Diff(want, o.Grants["queue"]); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, d := range diagnostics {
		got = append(got, strings.TrimPrefix(d.String(), path))
	}
	if diff := cmp.Diff([]string{
		`:7: grants.wrong.private_addresses: "10.0.0.0" is no range of addresses; write one as 10.0.0.0/8 or 10.1.2.3/32`,
		":8: grants.wrong.decide_ms: -1 is out of range; use 1 to 10000, or leave it out",
	}, got); diff != "" {
		t.Error(diff)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadOperator(path); err == nil || !strings.Contains(err.Error(), "group or others can write it") {
		t.Errorf("a file that others can write grants: %v", err)
	}
}
