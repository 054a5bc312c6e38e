// Package legacytest builds a docker-machine plug-in on docker-machine's own library, for tests. It is a Go module of its own, made in a
// temporary folder, so that nothing of it is among the project's dependencies.
package legacytest

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

//go:embed plugin
var source embed.FS

// Name is the plug-in's driver, whose options begin with it.
const Name = "mwtest"

// Cloud is the environment variable that names the folder which is the plug-in's cloud.
const Cloud = "MILLWRIGHT_TEST_CLOUD"

var built struct {
	sync.Once
	dir string
	err error
}

// Binary builds the plug-in, once for all tests of a package, and returns its path. Without its library the test is skipped.
func Binary(t testing.TB) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("docker-machine's library does not build here")
	}
	golang := need.Command(t, "go")
	built.Do(func() { built.dir, built.err = build(golang) })
	if built.err != nil {
		if need.Required() {
			t.Fatal(built.err)
		}
		t.Skipf("the plug-in can't be built: %v", built.err)
	}
	return filepath.Join(built.dir, "docker-machine-driver-"+Name)
}

// Clean removes what Binary built. Call it at the end of TestMain.
func Clean() { os.RemoveAll(built.dir) }

func build(golang string) (string, error) {
	dir, err := os.MkdirTemp("", "millwright-plugin-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		data, err := source.ReadFile("plugin/" + name + ".txt")
		if err != nil {
			return dir, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return dir, err
		}
	}
	c := exec.Command(golang, "build", "-o", "docker-machine-driver-"+Name, ".")
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	if out, err := c.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
}

// World is a cloud of a test's own, with the plug-in for it.
type World struct {
	Path string // of the plug-in's binary: a script that names the cloud, so that tests can run side by side
	Dir  string // the cloud's folder
}

// Start makes a cloud.
func Start(t testing.TB) World {
	t.Helper()
	binary, w := Binary(t), World{Dir: t.TempDir()}
	w.Path = filepath.Join(t.TempDir(), "docker-machine-driver-"+Name)
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s'\n", Cloud, w.Dir, binary)
	if err := os.WriteFile(w.Path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

// Fail makes the plug-in do something wrong from now on; "" ends that. See plugin/main.go.txt.
func (w World) Fail(fault string) error {
	return os.WriteFile(filepath.Join(w.Dir, "fault"), []byte(fault), 0o600)
}

// Machines returns what lies in the cloud: the content of each machine's file.
func (w World) Machines() []string {
	paths, _ := filepath.Glob(filepath.Join(w.Dir, "*.machine")) // the pattern is well-formed
	var all []string
	for _, p := range paths {
		if data, err := os.ReadFile(p); err == nil {
			all = append(all, string(data))
		}
	}
	return all
}

// Put replaces a machine's state by another word of docker-machine's.
func (w World) Put(machine, state string) error {
	paths, err := filepath.Glob(filepath.Join(w.Dir, "id-"+machine+"-*.machine"))
	if err != nil || len(paths) != 1 {
		return fmt.Errorf("%d machines %s: %w", len(paths), machine, err)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		return err
	}
	before, after, _ := strings.Cut(string(data), `"State":"`)
	_, after, _ = strings.Cut(after, `"`)
	return os.WriteFile(paths[0], []byte(before+`"State":"`+state+`"`+after), 0o600)
}
