package guests

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Wasm returns the guest in folder, a path from the root of the repository such as policies/periods. It is compiled at first use and
// kept in the user's cache folder, where other tests find it.
func Wasm(t testing.TB, folder string) []byte {
	t.Helper()
	wasm, err := Read(build(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// Packed is Wasm, compressed as in a dist folder.
func Packed(t testing.TB, folder string) []byte {
	t.Helper()
	data, err := os.ReadFile(build(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// build compiles the guest in folder, if it has to be, and returns where it lies.
func build(t testing.TB, folder string) string {
	t.Helper()
	need.Command(t, "go")
	dest := filepath.Join(cacheDir(t, "guests"), strings.ReplaceAll(folder, "/", "-")+Suffix)
	if _, err := Build(t.Context(), filepath.Join(root(), filepath.FromSlash(folder)), dest); err != nil {
		t.Fatal(err)
	}
	return dest
}

// CompilationCache returns a folder, private to the user, in which tests keep native code between runs.
func CompilationCache(t testing.TB) string { return cacheDir(t, "wazero") }

// cacheDir returns a folder that outlives the test, or one of the test's own where there is no such.
func cacheDir(t testing.TB, name string) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		return t.TempDir()
	}
	dir := filepath.Join(base, "millwright-test", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return t.TempDir()
	}
	return dir
}

// root is the root of the repository.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}
