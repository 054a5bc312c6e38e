package module_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
)

// TestCodeLiesInFiles checks that native code ends up in a file while it runs, and is gone with its module.
func TestCodeLiesInFiles(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("native code stays in memory on this system")
	}
	memoryBefore, filesBefore := settled(t)
	dir := guests.CompilationCache(t)
	left := filepath.Join(dir, ".code-of-a-process-that-was-killed")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := module.NewHost(module.Options{CacheDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Errorf("%s is still there", left)
	}
	m := moduletest.Load(t, h, probe)
	memory, _ := moduletest.NativeCode()

	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					if i > 20 { // some of them after the code has moved
						return
					}
				default:
				}
				if out, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"count"}`)); err != nil || !strings.Contains(string(out), "{") {
					t.Errorf("%s, %v", out, err)
					return
				}
			}
		})
	}
	h.Settle()
	close(stop)
	callers.Wait()

	memoryAfter, files := moduletest.NativeCode()
	if files-filesBefore < 4<<20 || memory-memoryAfter != files-filesBefore {
		t.Errorf("%d bytes of native code in memory became %d, and %d in files", memory-memoryBefore, memoryAfter-memoryBefore, files-filesBefore)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if memory, files := settled(t); memory > memoryBefore || files > filesBefore {
		t.Errorf("%d bytes in memory and %d in files stayed", memory-memoryBefore, files-filesBefore)
	}
}

// settled gives the native code of the modules that are open.
func settled(t *testing.T) (memory, files uint64) {
	moduletest.Footprint(t) // lets go of the others
	return moduletest.NativeCode()
}

// TestCodeStaysInMemory checks that a folder which can't be used does no harm.
func TestCodeStaysInMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	link(t, guests.CompilationCache(t), dir)
	h, err := module.NewHost(module.Options{CacheDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(t.Context())
	m := moduletest.Load(t, h, probe)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	h.Settle()
	if _, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"count"}`)); err != nil {
		t.Error(err)
	}
}

// link fills a folder with links to the files of another, which saves compiling what is there. Where that can't be, nothing is saved.
func link(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, _ = filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, path), 0o700)
		}
		return os.Link(filepath.Join(from, path), filepath.Join(to, path))
	})
	if err != nil {
		t.Log(err)
	}
}
