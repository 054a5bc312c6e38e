package cli

import (
	"context"
	"crypto/rand"
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
	need.Image(t, "millwright/machine:bookworm", "build it with .ci/images.sh")
	for _, name := range []string{"scp", "ssh", "script", "bash"} {
		need.Command(t, name)
	}
	binary := millwright(t)
	bin := t.TempDir()
	for _, name := range []string{"millwright", dockerMachineName} {
		if err := os.Symlink(binary, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "machines"),
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
