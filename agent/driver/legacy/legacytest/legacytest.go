// Package legacytest builds docker-machine plug-ins on docker-machine's own library, for tests: one whose cloud is a folder, the drivers that
// docker-machine itself has for google and amazonec2, and docker-machine. They are Go modules of their own, made in a temporary folder, so that
// nothing of them is among the project's dependencies.
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

//go:embed plugin clouds machine
var source embed.FS

// Name is the plug-in's driver, whose options begin with it.
const Name = "mwtest"

// Cloud is the environment variable that names the folder which is the plug-in's cloud.
const Cloud = "MILLWRIGHT_TEST_CLOUD"

// program is a Go module of source, built once for all tests of a package.
type program struct {
	folder string   // in source
	more   []string // files beside main.go, go.mod and go.sum
	sync.Once
	dir string
	err error
}

var (
	plugin = &program{folder: "plugin"}
	clouds = &program{folder: "clouds"}
	// whole's other folders stand for Go modules that docker-machine needs and that can't be had any more.
	whole = &program{folder: "machine", more: []string{"dockerclient/dockerclient.go", "dockerclient/go.mod", "naturalsort/naturalsort.go", "naturalsort/go.mod"}}
)

// Binary builds the plug-in, once for all tests of a package, and returns its path. Without its library the test is skipped.
func Binary(t testing.TB) string { return plugin.binary(t, Name) }

// Original returns the path of docker-machine's own driver of that name, google or amazonec2, as a plug-in that is started with what is in env
// besides: see clouds/main.go.txt. It is built once for all tests of a package; without its libraries the test is skipped.
func Original(t testing.TB, name string, env ...string) string {
	t.Helper()
	return script(t, clouds.binary(t, name), name, env...)
}

// DockerMachine builds docker-machine itself, with its drivers amazonec2, azure, digitalocean, generic, google and none, and returns its path. It is built
// once for all tests of a package; without its libraries the test is skipped. Google's API is where $MILLWRIGHT_TEST_GCE says.
func DockerMachine(t testing.TB) string {
	t.Helper()
	whole.need(t)
	path := filepath.Join(whole.dir, "docker-machine")
	if err := os.Link(filepath.Join(whole.dir, "program"), path); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return path
}

// script is a plug-in's binary with an environment of its own, so that tests can run side by side.
func script(t testing.TB, binary, name string, env ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker-machine-driver-"+name)
	var settings strings.Builder
	for _, e := range env {
		key, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&settings, "%s='%s' ", key, value)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\n%sexec '%s'\n", settings.String(), binary), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *program) binary(t testing.TB, name string) string {
	t.Helper()
	p.need(t)
	path := filepath.Join(p.dir, "docker-machine-driver-"+name)
	if err := os.Link(filepath.Join(p.dir, "program"), path); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return path
}

// need builds the program, or ends the test.
func (p *program) need(t testing.TB) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("docker-machine's library does not build here")
	}
	golang := need.Command(t, "go")
	p.Do(func() { p.dir, p.err = p.build(golang) })
	switch {
	case p.err == nil:
	case need.Required():
		t.Fatal(p.err)
	default:
		t.Skipf("the plug-in can't be built: %v", p.err)
	}
}

// Clean removes what was built. Call it at the end of TestMain.
func Clean() {
	for _, p := range []*program{plugin, clouds, whole} {
		if p.dir != "" {
			os.RemoveAll(p.dir)
		}
	}
}

func (p *program) build(golang string) (string, error) {
	dir, err := os.MkdirTemp("", "millwright-plugin-")
	if err != nil {
		return "", err
	}
	for _, name := range append([]string{"main.go", "go.mod", "go.sum"}, p.more...) {
		data, err := source.ReadFile(p.folder + "/" + name + ".txt")
		if err != nil {
			return dir, err
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return dir, err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return dir, err
		}
	}
	c := exec.Command(golang, "build", "-ldflags=-s -w", "-o", "program", ".")
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
	dir := t.TempDir()
	return World{Path: script(t, Binary(t), Name, Cloud+"="+dir), Dir: dir}
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
