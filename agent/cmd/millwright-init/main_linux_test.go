package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/executor/packed"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

const (
	word = "\x1e0123456789abcdef"
	// own makes the test's program this one.
	own = "MILLWRIGHT_INIT_UNDER_TEST=yes"
)

func TestMain(m *testing.M) {
	if slices.Contains(os.Environ(), own) {
		main()
	}
	os.Exit(m.Run())
}

// plain is millwright-init with a command.
func plain(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, self, args...)
	c.Env = append(os.Environ(), own, packed.WordVariable+"="+word)
	return c
}

// command is millwright-init as the first process of a container, with a script for sh.
func command(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	c := plain(t, "/bin/sh", "-c", script)
	options := []string{"--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Geteuid() != 0 {
		options = append(options, "--map-root-user")
	}
	c.Args = slices.Concat([]string{"unshare"}, options, c.Args)
	c.Path = need.Command(t, "unshare")
	return c
}

// result is what the reader of a container makes of a command's streams.
type result struct {
	stdout, stderr         string
	outCode, errCode, code int
}

func run(t *testing.T, c *exec.Cmd) result {
	t.Helper()
	r := result{outCode: -1, errCode: -1}
	var stdout, stderr bytes.Buffer
	out := packed.NewWriter(&stdout, word, func(code int) { r.outCode = code })
	errs := packed.NewWriter(&stderr, word, func(code int) { r.errCode = code })
	c.Stdout, c.Stderr = out, errs
	_ = c.Run()
	if c.ProcessState == nil {
		t.Fatal("it did not run")
	}
	r.code, r.stdout, r.stderr = c.ProcessState.ExitCode(), stdout.String(), stderr.String()
	return r
}

// The exit code is a shell's, and is said on both streams.
func TestExitCode(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{"true": 0, "exit 3": 3, "exit 255": 255, "kill -9 $$": 137, "kill -TERM $$": 143} {
		if r := run(t, command(t, "echo out; echo err >&2; "+script)); r != (result{"out\n", "err\n", want, want, want}) {
			t.Errorf("%s: %+v, want %d", script, r, want)
		}
	}
	if r := run(t, plain(t, "/nowhere/sh")); r.code != exitCannotRun || !strings.Contains(r.stderr, "millwright-init: /nowhere/sh: no such file or directory") {
		t.Errorf("no such command: %+v", r)
	}
}

// Without a command it shows that it can be run.
func TestNoCommand(t *testing.T) {
	t.Parallel()
	if r := run(t, plain(t)); r != (result{outCode: -1, errCode: -1}) {
		t.Errorf("%+v", r)
	}
}

// Without the word it becomes the command.
func TestWithoutWord(t *testing.T) {
	t.Parallel()
	c := plain(t, "/bin/sh", "-c", "echo $$; exit 4")
	c.Env = append(os.Environ(), own)
	var out bytes.Buffer
	c.Stdout = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	if _ = c.Wait(); out.String() != strconv.Itoa(pid)+"\n" || c.ProcessState.ExitCode() != 4 {
		t.Errorf("%q, %s; it was process %d", out.String(), c.ProcessState, pid)
	}
}

// Where it is not the first process, the end of the container is the engine's to tell: the exit code is all that it says.
func TestNotFirst(t *testing.T) {
	t.Parallel()
	if r := run(t, plain(t, "/bin/sh", "-c", "echo out; exit 3")); r != (result{stdout: "out\n", outCode: -1, errCode: -1, code: 3}) {
		t.Errorf("%+v", r)
	}
}

// The script does not see the word, and has no input but what it was given.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	c := command(t, "env; cat; ls -l /proc/$$/fd; tr '\\0' '\\n' </proc/1/environ")
	c.Env = append(c.Env, "KEPT=yes")
	r := run(t, c)
	if strings.Contains(r.stdout, word[1:]) || strings.Count(r.stdout, "KEPT=yes\n") != 2 {
		t.Errorf("the environment: %q", r.stdout)
	}
	if strings.Contains(r.stdout, " 3 -> ") {
		t.Errorf("it has files open that are not its own: %s", r.stdout)
	}
}

// Much output arrives to the byte, whatever is in it.
func TestMuchOutput(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	for i := range 200_000 {
		want.WriteString("line " + strconv.Itoa(i) + "\n")
	}
	script := `awk 'BEGIN { for (i = 0; i < 200000; i++) print "line " i }'`
	if r := run(t, command(t, script+"; printf '\\036nhalf\\036'; "+script+" >&2")); r.stdout != want.String()+"\x1enhalf\x1e" || r.stderr != want.String() || r.outCode != 0 {
		t.Errorf("%d bytes and %d, want %d and 6 more; %d", len(r.stdout), len(r.stderr), want.Len(), r.outCode)
	}
}

// What the script has started does not keep it from its end, even if it never stops talking; what came before is there, and nobody is at work
// any more when the end is told.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	for _, left := range []string{"sleep 30", "yes", "while :; do date >" + file + "; done", "setsid sleep 30"} {
		began := time.Now()
		c := command(t, "echo first; "+left+" & echo last >&2; exit 5")
		r := run(t, c)
		if took := time.Since(began); !strings.HasPrefix(r.stdout, "first\n") || r.stderr != "last\n" || r.outCode != 5 || r.code != 5 || took > 20*time.Second {
			t.Errorf("with %s: %.40q, %q, %d and %d after %s", left, r.stdout, r.stderr, r.outCode, r.code, took)
		}
	}
	if r := run(t, command(t, "(sleep 0.1 & sleep 0.1 &); sleep 0.5; grep -h '^State:.*zombie' /proc/[0-9]*/status; true")); r.stdout != "" {
		t.Errorf("nobody has waited for %s", r.stdout)
	}
}

// A signal reaches a script that catches it, and nobody else: a container's first process hears of no other.
func TestSignals(t *testing.T) {
	t.Parallel()
	c := plain(t, "/bin/sh", "-c", `trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.1; done`)
	var out bytes.Buffer
	ready := make(chan struct{})
	c.Stdout = packed.NewWriter(writer(func(p []byte) {
		if out.Len() == 0 {
			close(ready)
		}
		out.Write(p)
	}), word, func(int) {})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-ready
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTERM} {
		if err := c.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // they are no queue
	}
	if _ = c.Wait(); out.String() != "ready\ncaught\n" || c.ProcessState.ExitCode() != 7 {
		t.Errorf("%q, %s", out.String(), c.ProcessState)
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
