package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// TestDockerMachine runs the real binary by the name of docker-machine as testdata/machines tells: with a machine on the local engine, whose
// name, $MACHINE, is the test's own. `keep NAME REGEXP` puts what the group of a match in the last output is into a variable, and `code N` is
// that of TestScripts.
func TestDockerMachine(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"scp", "ssh", "script", "bash"} {
		need.Command(t, name)
	}
	machineScripts(t, "machines", func(*testscript.Env) {})
}

// TestPlaces does the same as testdata/places tells, with programs that not every host has. Where there is no /dev/fuse nothing is mounted:
// [fuse] is the condition.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"scp", "ssh", "rsync", "sshfs", "ldd"} {
		need.Command(t, name)
	}
	machineScripts(t, "places", func(e *testscript.Env) {
		e.Defer(func() { _ = exec.Command("fusermount", "-u", "-z", filepath.Join(e.WorkDir, "mounted")).Run() }) // mostly it is no mount any more
	})
}

// machineScripts runs the scripts of a folder of testdata, each with a name for a machine of its own, and removes what machines they leave.
func machineScripts(t *testing.T, folder string, setUp func(*testscript.Env)) {
	t.Helper()
	need.Image(t, "millwright/machine:bookworm", "build it with .ci/images.sh")
	binary := millwright(t)
	bin := t.TempDir()
	for _, name := range []string{"millwright", dockerMachineName} {
		if err := os.Symlink(binary, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", folder),
		Condition: func(name string) (bool, error) {
			if name != "fuse" {
				return false, fmt.Errorf("no condition %q", name)
			}
			f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
			if err == nil {
				f.Close()
			}
			return err == nil, nil
		},
		Setup: func(e *testscript.Env) error {
			name := "mwtest-" + strings.ToLower(rand.Text()[:8])
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("MILLWRIGHT_STATE_DIR", stateDir(t))
			e.Setenv("MACHINE", name)
			e.Setenv("MACHINE_IMAGE", "millwright/machine:bookworm")
			e.Defer(func() { // what a script that failed left
				store := filepath.Join(e.WorkDir, "store")
				left, _ := filepath.Glob(filepath.Join(store, "machines", "[a-z]*"))
				for _, dir := range left {
					cmd := exec.CommandContext(context.Background(), filepath.Join(bin, dockerMachineName), "-s", store, "rm", "-f", filepath.Base(dir))
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("%v\n%s", err, out)
					}
				}
			})
			setUp(e)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": exitCode, "keep": keepOutput},
	})
}

// keepOutput puts a part of the last output into a variable.
func keepOutput(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}
