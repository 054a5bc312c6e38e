// Package fleetingtest is a cloud for tests that a fleeting plug-in serves: the plug-in is built on fleeting's own library, in a Go module of its own
// in a temporary folder, so that nothing of it is among the project's dependencies. The cloud lives in the test, says what the plug-in does wrong,
// and may have real machines.
package fleetingtest

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

//go:embed plugin
var source embed.FS

// Name is the plug-in's, as [runners.autoscaler] plugin has it when it lies on the PATH.
const Name = "fleeting-plugin-mwtest"

// built is the plug-in, built once for all tests of a package.
var built struct {
	sync.Once
	dir string
	err error
}

// Binary builds the plug-in, once for all tests of a package, and returns its path. Without its library the test is skipped.
func Binary(t testing.TB) string {
	t.Helper()
	golang := need.Command(t, "go")
	built.Do(func() { built.dir, built.err = build(golang) })
	switch {
	case built.err == nil:
	case need.Required():
		t.Fatal(built.err)
	default:
		t.Skipf("the plug-in can't be built: %v", built.err)
	}
	return filepath.Join(built.dir, program())
}

func program() string {
	if runtime.GOOS == "windows" {
		return Name + ".exe"
	}
	return Name
}

// Clean removes what was built. Call it at the end of TestMain.
func Clean() {
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

func build(golang string) (string, error) {
	dir, err := os.MkdirTemp("", "millwright-fleeting-")
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
	c := exec.Command(golang, "build", "-ldflags=-s -w", "-o", program(), ".")
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	if out, err := c.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
}
