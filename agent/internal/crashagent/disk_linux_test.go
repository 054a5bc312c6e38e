package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// smallDisk puts the state directory on a file system of its own, of that many bytes.
func (w *world) smallDisk(bytes string) {
	w.t.Helper()
	need.Root(w.t)
	if err := os.Mkdir(w.stateDir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := syscall.Mount("crashagent", w.stateDir, "tmpfs", 0, "size="+bytes+",mode=0700"); err != nil {
		if need.Required() {
			w.t.Fatalf("mount: %v", err)
		}
		w.t.Skipf("this test needs to mount a file system: %v", err)
	}
	w.t.Cleanup(func() {
		if err := syscall.Unmount(w.stateDir, syscall.MNT_DETACH); err != nil {
			w.t.Errorf("unmount %s: %v", w.stateDir, err)
		}
	})
}

// TestDiskFull has a disk that fills up under a running agent. Nothing is asked of the cloud that the journal could not take down, what is there
// stays, and when there is room again all goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.smallDisk("24m")
	a := w.start("")
	a.settled()
	before := w.live()
	fill := filepath.Join(w.stateDir, "fill")
	full, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = full.Write(block)
	}
	full.Close()
	if !strings.Contains(err.Error(), "no space left") {
		t.Fatal(err)
	}
	for range jobs { // they wear the machine out, and another one is wanted
		w.enqueue()
	}
	a.until("the machine is worn out", func() bool { return len(w.live()) == 0 })
	made := w.cloud.Summary().Made
	if len(before) != made {
		t.Errorf("%d machines were made, of which the journal can't know", made-len(before))
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if !a.settled() {
		t.Fatalf("the agent ended: %v", a.err)
	}
	a.stop()
	w.empty(2)
	if text := a.log.String(); !strings.Contains(text, "no space left on device; nothing was asked of the provider") {
		t.Errorf("the log does not say what is wrong:\n%s", text)
	}
}

// TestReadOnly has a state directory that can't be written: the agent says so and ends, and its machines wait for better times.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.smallDisk("24m")
	a := w.start("")
	a.settled()
	before := w.live()
	a.kill()
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("crashagent", w.stateDir, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	a = w.start("")
	<-a.ended
	if text := a.log.String(); a.err == nil || !strings.Contains(text, "state directory "+w.stateDir) || !strings.Contains(text, "read-only file system") {
		t.Errorf("the agent: %v\n%s", a.err, text)
	}
	if after := w.live(); !slices.Equal(before, after) {
		t.Errorf("there was %v, there is %v", before, after)
	}
	remount(0)
	a = w.start("")
	a.settled()
	if after := w.live(); !slices.Equal(before, after) {
		t.Errorf("there was %v, there is %v", before, after)
	}
	a.stop()
	w.empty(1)
}
