package shell_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job/shell"
)

var update = flag.Bool("update", false, "write testdata anew")

// pwshFrame has variables of every kind, with all that PowerShell gives a meaning.
var pwshFrame = shell.Frame{
	ProjectDir: "/builds/it's a/project", TempDir: "/builds/it's a/project.tmp", Pwsh: true, ScriptSections: true,
	Variables: coordinator.Variables{
		{Key: "PLAIN", Value: "a value"}, {Key: "HOME", Value: "/root"}, {Key: "EMPTY"},
		{Key: "SPECIAL", Value: "it's \u2018quoted\u2019 \u201atwice\u201b \"$(exit 9)\" `n $HOME\nof two lines\r\n@' '@ \x00#"},
		{Key: "FILE", Value: "content'\n", File: true}, {Key: "no name", Value: "x"},
	},
}

// The scripts of pwsh are these, and what a grammar of PowerShell finds no fault in: there is no PowerShell to be had where the tests run.
func TestPwsh(t *testing.T) {
	entries := []string{"Write-Output 'hi'", "", "foreach ($i in 1..3) {\n  $i\n}", "  git --version  "}
	traced, plain := pwshFrame, pwshFrame
	traced.Trace, plain.ScriptSections = true, false
	for name, script := range map[string][]byte{
		"step": shell.Step(pwshFrame, entries), "traced": shell.Step(traced, entries[:1]), "after_script": shell.AfterScript(plain, entries),
	} {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", "pwsh", name+".ps1")
			if *update {
				if err := os.WriteFile(golden, script, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(script)); diff != "" {
				t.Errorf("-%s +now; go test -update if it is meant:\n%s", golden, diff)
			}
			if faults := parsePwsh(t, script); faults != "" {
				t.Errorf("the grammar finds:\n%s\n%s", faults, script)
			}
		})
	}
	if faults := parsePwsh(t, []byte("Write-Output 'open\n")); faults == "" {
		t.Error("the grammar finds no fault in a text that is open")
	}
}

// parsePwsh returns what a grammar of PowerShell finds wrong with a script.
func parsePwsh(t *testing.T, script []byte) string {
	t.Helper()
	node, folder := need.Command(t, "node"), filepath.Join("testdata", "pwsh")
	need.NPM(t, folder, filepath.Join(folder, "node_modules", "tree-sitter-powershell", "tree-sitter-powershell.wasm"))
	cmd := exec.Command(node, "--liftoff-only", "parse.mjs") // optimizing the grammar takes a minute, and reading a script none
	cmd.Dir, cmd.Stdin = folder, bytes.NewReader(script)
	var faults, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &faults, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return faults.String()
}
