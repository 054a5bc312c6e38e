package guests

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

func TestBuild(t *testing.T) {
	need.Command(t, "go")
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := func(dest string, want bool) []byte {
		t.Helper()
		built, err := Build(t.Context(), folder, dest)
		if err != nil || built != want {
			t.Fatalf("Build = %v, %v; want %v", built, err, want)
		}
		data, err := os.ReadFile(dest)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	write("go.mod", "module guest\n\ngo 1.26\n")
	write("main.go", "package main\n\n//go:wasmexport answer\nfunc answer() int32 { return 42 }\n\nfunc main() {}\n")

	dist := t.TempDir()
	first := build(filepath.Join(dist, "a.wasm.gz"), true)
	build(filepath.Join(dist, "a.wasm.gz"), false)
	if again := build(filepath.Join(dist, "b.wasm.gz"), true); !bytes.Equal(first, again) {
		t.Error("two builds of the same sources differ")
	}
	wasm, err := Read(filepath.Join(dist, "a.wasm.gz"))
	if err != nil || !bytes.HasPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00")) {
		t.Errorf("the guest starts with % x, %v", wasm[:8], err)
	}
	write("main.go", "package main\n\n//go:wasmexport answer\nfunc answer() int32 { return 43 }\n\nfunc main() {}\n")
	build(filepath.Join(dist, "a.wasm.gz"), true)

	write("main.go", "package main\n\nfunc main() { none() }\n")
	if _, err := Build(t.Context(), folder, filepath.Join(dist, "a.wasm.gz")); err == nil {
		t.Error("a guest that does not compile was built")
	}
	left, err := filepath.Glob(filepath.Join(dist, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one/main.go", "two/README.md"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(dir)
	if err != nil || len(found) != 1 || filepath.Base(found[0]) != "one" {
		t.Errorf("Find = %v, %v", found, err)
	}
	if found, err := Find(filepath.Join(dir, "none")); err != nil || len(found) != 0 {
		t.Errorf("Find of a folder that does not exist = %v, %v", found, err)
	}
}
