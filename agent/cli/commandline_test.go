package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestCommandLine runs the real binary; nothing of it needs an engine.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	binary := millwright(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipeline := write("bad.yml", "build:\n  script: make\n  scrpit: [make]\n")
	notYAML := write("notyaml.yml", "build: [\n")
	good := write("good.yml", "build:\n  script: make\n")
	badConfig := write("bad.toml", "concurrent = 1\n[[runners]]\n  name = \"a\"\n  limit = \"many\"\n")
	goodConfig := write("good.toml", machineConfig("https://gitlab.example.com", "glrt-x", 2))
	state := filepath.Join(dir, "state")
	for _, tt := range []struct {
		name string
		args string
		code int
		want []string
	}{
		{"version", "--version", 0, []string{"millwright 9.8.7 (abcdef12) go1.", runtime.GOOS + "/" + runtime.GOARCH}},
		{"help", "--help", 0, []string{"config.toml that you have", "To run jobs:", "config ", "exec ", "machine ", "run "}},
		{"nothing", "", 0, []string{"To run jobs:"}},
		{"group alone", "machine", 0, []string{"List the machines"}},
		{"unknown command", "exce", 2, []string{`millwright has no command "exce"; did you mean exec?`, "see `millwright --help`"}},
		{"unknown command of a group", "machine launch", 2, []string{`millwright machine has no command "launch"`, "see `millwright machine --help`"}},
		{"unknown flag", "exec --imagse x", 2, []string{"unknown flag: --imagse", "see `millwright exec --help`"}},
		{"argument that is none", "run now", 2, []string{`takes no arguments; "now" is one`}},
		{"unknown level", "run --log-level loud", 2, []string{`log level "loud" is not known; use debug, info, warn or error`}},
		{"no machine named", "machine rm", 2, []string{"name the machines, or say --all"}},
		{"names and all", "machine rm --all x", 2, []string{"name the machines, or say --all"}},
		{"machine that is none", "machine rm nosuch --state-dir " + state, 1, []string{"machine nosuch: there is none of that name"}},
		{"no machines", "machine ls --state-dir " + state, 0, []string{"no machines\n"}},
		{"no machines in JSON", "machine ls --json --state-dir " + state, 0, []string{"[]\n"}},
		{"no pipeline", "exec -f " + filepath.Join(dir, "none.yml"), 1, []string{"none.yml: no such file or directory; name the pipeline with --file"}},
		{"unknown keyword", "exec -f " + pipeline, 1, []string{pipeline + ":3:", `"scrpit"`, "script"}},
		{"no YAML", "exec -f " + notYAML, 1, []string{notYAML + ":1:"}},
		{"secret that is not set", "exec --secret NOSUCH_VARIABLE -f " + good, 1, []string{"--secret NOSUCH_VARIABLE: the environment has no such variable"}},
		{"variable without value", "exec --var X -f " + good, 1, []string{"--var X: write NAME=VALUE"}},
		{"bad configuration of exec", "exec -c " + badConfig + " -f " + good, 1, []string{"bad.toml:4: ", "limit"}},
		{"check of a bad configuration", "config check -c " + badConfig + " --state-dir " + state, 1, []string{"bad.toml:4: ", "limit"}},
		{"check of a good one", "config check -c " + goodConfig + " --state-dir " + state, 0, []string{"good.toml: 1 runner, no mistakes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, text := run(t, binary, strings.Fields(tt.args)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("the output lacks %q", want)
				}
			}
			if t.Failed() {
				t.Logf("millwright %s:\n%s", tt.args, text)
			}
		})
	}
}

// TestCompletion has each shell read its completion, where the shell is there.
func TestCompletion(t *testing.T) {
	t.Parallel()
	binary := millwright(t)
	for shell, check := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}} {
		t.Run(shell, func(t *testing.T) {
			code, text := run(t, binary, "completion", shell)
			if code != 0 || !strings.Contains(text, "millwright") {
				t.Fatalf("exit code %d\n%s", code, text)
			}
			path, err := exec.LookPath(shell)
			if err != nil {
				return // the text is all that can be checked
			}
			script := filepath.Join(t.TempDir(), "completion")
			if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(path, append(check, script)...).CombinedOutput(); err != nil {
				t.Errorf("%s does not take it: %v\n%s", shell, err, out)
			}
		})
	}
}

// A binary that a plain `go build` made says in one sentence what it lacks.
func TestWithoutGuests(t *testing.T) {
	t.Parallel()
	binary := bare(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, []byte(machineConfig("http://127.0.0.1:1", "glrt-none", 0)), 0o600); err != nil {
		t.Fatal(err)
	}
	const sentence = "this binary was built without its modules; run `go tool task guests build` in the source tree and use the binary that it makes\n"
	for _, args := range [][]string{
		{"run", "--config", config, "--state-dir", filepath.Join(dir, "state")},
		{"config", "check", "--config", config, "--state-dir", filepath.Join(dir, "state")},
	} {
		code, text := run(t, binary, args...)
		if code != 1 || strings.Count(text, sentence) != 1 {
			t.Errorf("millwright %s: exit code %d\n%s", args[0], code, text)
		}
	}
	if code, text := run(t, binary, "--version"); code != 0 {
		t.Errorf("--version: %d %s", code, text)
	}
}
