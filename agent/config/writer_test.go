package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func named(name string) *Entry {
	e := NewEntry()
	e.Set("name", name)
	return e
}

func openWriter(t *testing.T, path string) *Writer {
	t.Helper()
	w, err := OpenWriter(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWriterMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "config.toml")
	w := openWriter(t, path)
	if err := w.Update(func(d *Document) error { return d.AddRunner(named("a")) }); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, path); got != preamble+"\n[[runners]]\n  name = \"a\"\n" {
		t.Errorf("%q", got)
	}
	if runtime.GOOS != "windows" {
		for what, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir} {
			if info, err := os.Stat(what); err != nil || info.Mode() != want {
				t.Errorf("%s: %v %v, want %v", what, info.Mode(), err, want)
			}
		}
	}
}

// The file behind the links is replaced; its mode and the links stay, and nothing else is left in its folder.
func TestWriterFollowsLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a right there")
	}
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(real, "it.toml")
	if err := os.WriteFile(file, []byte("# here\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.toml")
	for from, to := range map[string]string{path: "second", filepath.Join(dir, "second"): file} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	w := openWriter(t, path)
	if err := w.Update(func(d *Document) error { return d.AddRunner(named("a")) }); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, file); !strings.HasPrefix(got, "# here\n\n[[runners]]") {
		t.Errorf("%q", got)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	if entries, err := os.ReadDir(real); err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
}

// Whoever edits the file without the lock loses nothing.
func TestWriterNoticesOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	w := openWriter(t, path)
	calls := 0
	err := w.Update(func(d *Document) error {
		if calls++; calls == 1 {
			if err := os.WriteFile(path, []byte("concurrent = 7\n"), 0o600); err != nil {
				return err
			}
		}
		return d.AddRunner(named("a"))
	})
	if err != nil || calls != 2 {
		t.Fatal(calls, err)
	}
	if got := contents(t, path); got != "concurrent = 7\n\n[[runners]]\n  name = \"a\"\n" {
		t.Errorf("%q", got)
	}
	err = w.Update(func(d *Document) error {
		calls++
		return errors.Join(os.WriteFile(path, fmt.Appendf(nil, "concurrent = %d\n", calls), 0o600), d.AddRunner(named("b")))
	})
	if err == nil || !strings.Contains(err.Error(), "somebody else keeps changing it") {
		t.Error(err)
	}
}

// A change that fails, and one that alters nothing, leave the file alone.
func TestWriterLeavesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("concurrent = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	w := openWriter(t, path)
	bad := errors.New("no")
	if err := w.Update(func(d *Document) error { return errors.Join(d.AddRunner(named("a")), bad) }); !errors.Is(err, bad) {
		t.Error(err)
	}
	if err := w.Update(func(*Document) error { return nil }); err != nil {
		t.Error(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was written: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) > 1 && runtime.GOOS != "windows" {
		t.Errorf("left: %v %v", entries, err)
	}
}

// TestWriterHammer has many writers at once: each entry is there at the end, and a second one waits while the first holds the lock.
func TestWriterHammer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	var group sync.WaitGroup
	const writers = 12
	for i := range writers {
		group.Go(func() {
			w, err := OpenWriter(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			if err := w.Update(func(d *Document) error { return d.AddRunner(named(fmt.Sprint("r", i))) }); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := strings.Count(contents(t, path), "[[runners]]"); got != writers {
		t.Errorf("%d entries", got)
	}
	w := openWriter(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenWriter(ctx, w.Path()); !errors.Is(err, errLocked) {
		t.Errorf("a second writer: %v", err)
	}
}

// A folder that can't be written is told before anything else is done.
func TestWriterProbes(t *testing.T) {
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenWriter(t.Context(), filepath.Join(path, "config.toml")); err == nil {
			t.Error("a file served as a folder")
		}
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenWriter(t.Context(), filepath.Join(dir, "config.toml")); err == nil || !strings.Contains(err.Error(), "can't be written") {
		t.Errorf("%v", err)
	}
}
