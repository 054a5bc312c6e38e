package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/executor/packed"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// millwright-init is tried where it may be that it can't be run, in each shell alike.
func TestFindInit(t *testing.T) {
	t.Parallel()
	here := t.TempDir()
	tried := filepath.Join(here, "tried")
	program := func(dir, end string) string {
		path := filepath.Join(here, dir, "init")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho tried >>'"+tried+"'\n"+end+"\n"), 0o700); err != nil { //nolint:gosec // it is a program
			t.Fatal(err)
		}
		return path
	}
	good, bad, odd := program("good", "exit 0"), program("bad", "exit 1"), program("it's odd", "exit 0")
	for _, tt := range []struct {
		name, path string
		limited    bool
		before     string // of the shell
		found      bool
		tried      bool
	}{
		{name: "there", path: good, found: true},
		{name: "not there", path: filepath.Join(here, "nowhere")},
		{name: "with limits", path: good, limited: true, found: true, tried: true},
		{name: "with limits that are too tight", path: bad, limited: true, tried: true},
		{name: "in a folder that the kernel's list writes in another way", path: odd, found: true, tried: true},
		{name: "with few addresses", path: good, before: "ulimit -v 4000000; ", found: true, tried: true},
		{name: "with too few addresses", path: bad, before: "ulimit -v 4000000; ", tried: true},
		{name: "with few processes", path: good, before: "ulimit -p 900 2>/dev/null || ulimit -u 900; ", found: true, tried: true},
	} {
		if strings.Contains(tt.before, "-u") && os.Geteuid() != 0 {
			continue // it counts all that a user has running
		}
		for _, shell := range [][]string{{"sh"}, {"bash"}, {"busybox", "sh"}} {
			_ = os.Remove(tried)
			cmd := exec.Command(need.Command(t, shell[0]), append(shell[1:], "-c", tt.before+findInit(tt.path, tt.limited)+`printf '%s\n' "$millwright_init" "$`+packed.WordVariable+`"`)...)
			cmd.Env = append(os.Environ(), packed.WordVariable+"=word")
			out, err := cmd.Output()
			want := "\n\n"
			if tt.found {
				want = tt.path + "\nword\n"
			}
			if string(out) != want || err != nil {
				t.Errorf("%s: %s: %q, %v; want %q", strings.Join(shell, " "), tt.name, out, err, want)
			}
			if _, err := os.Stat(tried); (err == nil) != tt.tried {
				t.Errorf("%s: %s: tried: %v", strings.Join(shell, " "), tt.name, err == nil)
			}
		}
	}
}
