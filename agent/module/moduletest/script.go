package moduletest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// toolchainMissing is what a build script exits with when it has no compiler (EX_UNAVAILABLE of sysexits.h).
const toolchainMissing = 69

// Script compiles a guest in another language than Go from scratch: it runs the script with the guest's folder and a file to make, both
// script and folder being paths from the root of the repository, such as sdk/rust/build.sh. Without a compiler for it the test skips on a
// laptop, where nothing is installed, and fails where everything is required.
func Script(t testing.TB, script, folder string) []byte {
	t.Helper()
	bash := need.Command(t, "bash")
	out := filepath.Join(t.TempDir(), filepath.Base(folder)+".wasm")
	cmd := exec.CommandContext(t.Context(), bash, script, folder, out)
	cmd.Dir = root()
	if !need.Required() {
		cmd.Env = append(os.Environ(), "MILLWRIGHT_INSTALL=no")
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == toolchainMissing && !need.Required() {
		t.Skipf("this test needs a compiler: %s", strings.TrimSpace(said.String()))
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", script, folder, err, said.String())
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// Command returns the path of a program. Where it is missing the test skips on a laptop and fails where everything is required.
func Command(t testing.TB, name string) string {
	t.Helper()
	return need.Command(t, name)
}

// Path returns the path of a file or folder that is named from the root of the repository.
func Path(name string) string { return filepath.Join(root(), filepath.FromSlash(name)) }

func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}
