package journal

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// smallDisk mounts a file system of half a megabyte and returns its folder.
func smallDisk(t *testing.T) string {
	t.Helper()
	need.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		if need.Required() {
			t.Fatal(err)
		}
		t.Skipf("this test mounts a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no room on a disk, and returns what makes some again.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, io.LimitReader(zeros{}, 1<<20))
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// files returns the store's files with their content.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "store"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			found[path] += "/"
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDiskFull(t *testing.T) {
	disk := smallDisk(t)
	dir := filepath.Join(disk, "state")
	j := open(t, dir)
	for _, name := range []string{"one", "two"} {
		if err := j.Save(machine(name)); err != nil {
			t.Fatal(err)
		}
	}
	before := files(t, dir)
	free := fill(t, disk)
	changed := machine("one")
	changed.State = fleet.Removing
	for _, m := range []fleet.Machine{changed, machine("new")} {
		err := j.Save(m)
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "machine "+m.Name+": journal: ") {
			t.Errorf("save on a full disk: %v", err)
		}
	}
	after := files(t, dir)
	for path, content := range before {
		if after[path] != content {
			t.Errorf("%s has changed", path)
		}
		delete(after, path)
	}
	if len(after) > 0 {
		t.Errorf("half-written files are left: %v", after)
	}
	if err := j.Remove("two"); err != nil { // takes no room: what is gone can be forgotten
		t.Error(err)
	}
	fill(t, disk) // what that freed
	if j, err := Open(filepath.Join(disk, "fresh")); err == nil {
		j.Close()
		t.Error("a state directory is made on a full disk")
	} else if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room") || !strings.Contains(err.Error(), disk) {
		t.Errorf("open on a full disk: %v", err)
	}
	if machines, problems, err := Read(dir); len(machines) != 1 || len(problems) > 0 || err != nil {
		t.Errorf("read on a full disk: %v %v %v", machines, problems, err)
	}
	j.Close()
	free()
	j = open(t, dir)
	if err := j.Save(changed); err != nil {
		t.Error(err)
	}
	if got := mustLoad(t, j); len(got) != 1 || got[0].State != fleet.Removing {
		t.Errorf("loaded %v", got)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	disk := smallDisk(t)
	j := open(t, disk)
	if err := j.Save(machine("one")); err != nil {
		t.Fatal(err)
	}
	before := files(t, disk)
	j.Close()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := Open(disk)
	if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "must be able to write there") || !strings.Contains(err.Error(), disk) {
		t.Errorf("open: %v", err)
	}
	machines, problems, err := Read(disk)
	if err != nil || len(problems) > 0 || !slices.ContainsFunc(machines, func(m fleet.Machine) bool { return m.Name == "one" }) {
		t.Errorf("read: %v %v %v", machines, problems, err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	j = open(t, disk)
	if len(mustLoad(t, j)) != 1 {
		t.Error("the machine is lost")
	}
	for path, content := range before {
		if files(t, disk)[path] != content {
			t.Errorf("%s has changed", path)
		}
	}
}

// The folder becomes read-only under a running agent, as Linux does with a disk that fails.
func TestBecomesReadOnly(t *testing.T) {
	disk := smallDisk(t)
	j := open(t, filepath.Join(disk, "state"))
	if err := j.Save(machine("one")); err != nil {
		t.Fatal(err)
	}
	lock := j.lock // the remount refuses while a file is open for writing
	lock.Close()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	changed := machine("one")
	changed.UsedCount++
	for what, err := range map[string]error{"save": j.Save(changed), "save a new one": j.Save(machine("two")), "remove": j.Remove("one")} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := mustLoad(t, j); len(got) != 1 || got[0].UsedCount != machine("one").UsedCount {
		t.Errorf("loaded %v", got)
	}
}
