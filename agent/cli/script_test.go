package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
)

// TestScripts runs the real binary as testdata/script tells. There `millwright`, `gitlab-runner` and `docker-machine` are the binary by these names.
// Each script has a coordinator of its own: $GITLAB is its URL, $TOKEN the token of a runner that was created there; it registers with
// GR1348941reg, and glpat-admin may reset tokens. `runners` prints what it holds, `forget` deletes the runner of an id, and
// `enqueue N` has N jobs that fail at once and need no engine, `ended N` wants N to have ended, `code N PROGRAM ARGS` wants the exit code N, and `waitagent` waits for the agent of the state directory to answer. No script may
// break a rule of the API.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	for _, name := range []string{"millwright", "gitlab-runner", "docker-machine"} {
		if err := os.Symlink(millwright(t), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("no condition %q", name)
			}
			return os.Geteuid() == 0, nil
		},
		Setup: func(e *testscript.Env) error {
			server, err := embedded.New(embedded.Options{RegistrationToken: "GR1348941reg", PersonalToken: "glpat-admin", LongPoll: time.Second})
			if err != nil {
				return err
			}
			e.Defer(func() {
				for _, v := range server.Violations() {
					if v.Rule != "token" { // scripts use wrong tokens on purpose
						t.Errorf("the coordinator complains: %s", v)
					}
				}
				if err := server.Close(); err != nil {
					t.Error(err)
				}
			})
			e.Values["server"] = server
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			if err := tinyDrivers(filepath.Join(e.WorkDir, "tiny", "drivers.d")); err != nil {
				return err
			}
			e.Setenv("GITLAB", server.URL())
			e.Setenv("TOKEN", server.RunnerToken().Reveal())
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("MILLWRIGHT_STATE_DIR", stateDir(t)) // short, for its socket, and with the modules compiled
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"runners": printRunners, "forget": forgetRunner, "waitagent": waitForAgent, "enqueue": enqueueJobs, "ended": checkEnded, "code": exitCode},
	})
}

// tinyDrivers writes three drivers into a folder: one whose check finds a permission denied, one whose check fails, and one without a check.
func tinyDrivers(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, answer := range map[string]string{
		"checked": `{"ok":{"permissions":[{"name":"tiny:List","result":"granted","purpose":"find the machines"},` +
			`{"name":"tiny:Tag","result":"denied","purpose":"tag machines","without":"none is made","fix":"let the agent tag","message":"403"},` +
			`{"name":"tiny:Delete","result":"perhaps"}]}}`,
		"refused": `{"error":{"kind":"auth","message":"the key is wrong"}}`,
		"older":   "",
	} {
		outputs := map[string]string{
			"describe": `{"abi":1,"kind":"driver","name":"` + name + `","options":[{"name":"` + name + `-size","type":"string","help":"h"}]}`,
			"validate": `{"ok":{"problems":[]}}`, "create": `{"ok":{}}`, "list": `{"ok":{"instances":[],"complete":true}}`, "remove": `{"ok":{}}`,
		}
		if answer != "" {
			outputs["check"] = answer
		}
		if err := os.WriteFile(filepath.Join(dir, name+".wasm"), moduletest.Tiny(outputs), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func serverOf(ts *testscript.TestScript) *embedded.Server {
	return ts.Value("server").(*embedded.Server)
}

// printRunners puts the runners that are left into a file.
func printRunners(ts *testscript.TestScript, _ bool, args []string) {
	var b strings.Builder
	for _, r := range serverOf(ts).Runners() {
		if r.Token == "" {
			continue
		}
		fmt.Fprintf(&b, "%d %s token=%s managers=%d tags=%s untagged=%v locked=%v paused=%v access=%s timeout=%d note=%s\n", r.ID, r.Description,
			r.Token.Reveal(), len(r.Managers), strings.Join(r.Tags, "+"), r.RunUntagged, r.Locked, r.Paused, r.AccessLevel, r.MaximumTimeout, r.MaintenanceNote)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o600))
}

// exitCode runs a program, with what `stdin` says, and wants an exit code.
func exitCode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// forgetRunner deletes the runner whose token an environment variable holds.
func forgetRunner(ts *testscript.TestScript, _ bool, args []string) {
	for _, r := range serverOf(ts).Runners() {
		if fmt.Sprint(r.ID) == args[0] {
			serverOf(ts).ForgetRunner(r.ID)
			return
		}
	}
	ts.Fatalf("no runner %s", args[0])
}

// waitForAgent waits until the agent in the background has its configuration in force.
func waitForAgent(ts *testscript.TestScript, _ bool, _ []string) {
	deadline := time.Now().Add(patience)
	for {
		_, err := dialAgent(ts.Getenv("MILLWRIGHT_STATE_DIR")).machines(context.Background())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the agent does not answer: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// enqueueJobs adds jobs that end without an engine: they want what no runner knows.
func enqueueJobs(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for range n {
		serverOf(ts).Enqueue(coordinator.Job{
			Info:  coordinator.JobInfo{Name: "hopeless", Stage: "test", ProjectID: 3},
			Image: &coordinator.Image{Name: "none", ExecutorOpts: json.RawMessage(`{"no such executor": 1}`)},
			Steps: []coordinator.Step{{Name: "script", Script: []string{"true"}}},
		})
	}
}

func checkEnded(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	for _, j := range serverOf(ts).Jobs() {
		if j.State == embedded.Failed {
			n++
		}
	}
	if fmt.Sprint(n) != args[0] {
		ts.Fatalf("%d jobs have ended", n)
	}
}
