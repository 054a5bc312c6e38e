package sdk_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/module/moduletest"
)

// TestCargo runs what an author of a guest in Rust runs, in the SDK itself and in the examples.
func TestCargo(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles for a while")
	}
	t.Parallel()
	cargo := moduletest.Command(t, "cargo")
	target := filepath.Join(t.TempDir(), "target")
	for _, folder := range []string{"sdk/rust", "examples/policies/cooldown", "examples/policies/prediction", "examples/policies/spot"} {
		run(t, folder, nil, cargo, "test", "--quiet", "--offline", "--lib", "--tests", "--target-dir", target)
	}
}

// nodeHarness runs what an author of a guest in AssemblyScript runs, on a guest that is built already.
func nodeHarness(t *testing.T, wasm []byte) {
	built := filepath.Join(t.TempDir(), "codec.wasm")
	if err := os.WriteFile(built, wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "sdk/assemblyscript", []string{"MILLWRIGHT_CODEC_WASM=" + built}, moduletest.Command(t, "node"), "--test", "harness")
}

// run runs a program in a folder of the repository, with more in its environment.
func run(t *testing.T, folder string, env []string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = moduletest.Path(folder)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %s %s: %v\n%s", folder, filepath.Base(program), strings.Join(args, " "), err, out.String())
	}
}
