//go:build unix

package process_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/process"
)

// dies is the variable that makes the test binary an agent which starts a program and is killed in the middle of it.
const dies = "MILLWRIGHT_TEST_DIES"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dies); dir != "" {
		c := family(dir)
		c.Stdout = os.Stdout
		_ = c.Run(context.Background())
		return
	}
	goleak.VerifyTestMain(m)
}

func command(script string) (process.Command, *bytes.Buffer, *bytes.Buffer) {
	var stdout, stderr bytes.Buffer
	return process.Command{
		Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Stdout: &stdout, Stderr: &stderr,
		Grace: 200 * time.Millisecond, Force: 30 * time.Second, Log: slog.New(slog.DiscardHandler),
	}, &stdout, &stderr
}

// family is a program with a child in its group and, where that can be found out, one that left it. All say their numbers.
func family(dir string) process.Command {
	script := `trap '' TERM; echo $$; sleep 1000 & echo $!`
	if runtime.GOOS == "linux" {
		script += `; setsid sh -c 'echo $$; exec sleep 1000' &`
	}
	c, _, _ := command(script + "\nwait; wait")
	c.Mark = "MILLWRIGHT_TEST=" + dir
	c.Env = append(c.Env, c.Mark)
	c.Note = filepath.Join(dir, "note")
	return c
}

func members() int {
	if runtime.GOOS == "linux" {
		return 3
	}
	return 2
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script, out, err string
		code                   int
	}{
		{name: "streams apart", script: "echo out; echo err >&2", out: "out\n", err: "err\n"},
		{name: "exit code", script: "exit 7", code: 7},
		{name: "killed", script: "kill -KILL $$", code: 137},
		{name: "no input", script: "cat; echo end", out: "end\n"},
		{name: "a child in the background is waited for", script: "(sleep 0.3; echo late) &", out: "late\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, stdout, stderr := command(tt.script)
			err := c.Run(t.Context())
			var exit *executor.ExitError
			if code := 0; errors.As(err, &exit) {
				if code = exit.Code; code != tt.code {
					t.Errorf("exit code %d, want %d", code, tt.code)
				}
			} else if err != nil || tt.code != 0 {
				t.Errorf("got %v, want exit code %d", err, tt.code)
			}
			if stdout.String() != tt.out || stderr.String() != tt.err {
				t.Errorf("got %q and %q, want %q and %q", stdout, stderr, tt.out, tt.err)
			}
		})
	}
}

func TestNoProgram(t *testing.T) {
	t.Parallel()
	c, _, _ := command("")
	c.Path = filepath.Join(t.TempDir(), "none")
	if err := c.Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// watch cancels when so many lines have come, and keeps them.
type watch struct {
	mu     sync.Mutex
	text   strings.Builder
	lines  int
	cancel func()
}

func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if strings.Count(w.text.String(), "\n") >= w.lines {
		w.cancel()
	}
	return len(p), nil
}

func TestStop(t *testing.T) {
	t.Parallel()
	cause := errors.New("canceled")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := family(t.TempDir())
	w := &watch{lines: members(), cancel: func() { cancel(cause) }}
	c.Stdout = w
	if err := c.Run(ctx); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	for line := range strings.Lines(w.text.String()) {
		gone(t, strings.TrimSpace(line))
	}
	if _, err := os.Stat(c.Note); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note is still there: %v", err)
	}
}

// A script that heeds TERM has its last word, and is not killed.
func TestStopGently(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c, _, _ := command("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
	w := &watch{lines: 1, cancel: cancel}
	c.Stdout, c.Grace = w, time.Minute
	began := time.Now()
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if w.text.String() != "ready\nbye\n" || time.Since(began) > 30*time.Second {
		t.Errorf("got %q after %s", w.text.String(), time.Since(began))
	}
}

// What an agent that died has left is ended by the next one.
func TestClear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	agent := exec.Command(os.Args[0])
	agent.Env = append(os.Environ(), dies+"="+dir)
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var pids []string
	for len(pids) < members() && lines.Scan() {
		pids = append(pids, lines.Text())
	}
	_ = agent.Process.Signal(syscall.SIGKILL)
	_ = agent.Wait()
	c := family(dir)
	killed, err := process.Clear(c.Note, c.Mark)
	if err != nil || !killed {
		t.Errorf("got %v, %v", killed, err)
	}
	for _, pid := range pids {
		gone(t, pid)
	}
	if killed, err = process.Clear(c.Note, c.Mark); killed || err != nil {
		t.Errorf("once more: %v, %v", killed, err)
	}
}

// A number that belongs to another program by now is left alone.
func TestClearSpares(t *testing.T) {
	t.Parallel()
	other := exec.Command("sleep", "1000")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = other.Wait(); close(ended) }()
	defer func() { _ = other.Process.Kill(); <-ended }()
	path := filepath.Join(t.TempDir(), "note")
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	data, _ := json.Marshal(map[string]any{"pid": other.Process.Pid, "since": "1", "boot": strings.TrimSpace(string(boot))})
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if killed, err := process.Clear(path, ""); killed || err != nil {
		t.Errorf("got %v, %v", killed, err)
	}
	select {
	case <-ended:
		t.Error("another program was killed")
	case <-time.After(100 * time.Millisecond):
	}
}

// gone waits for a process to be no more than a corpse.
func gone(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n))
		if syscall.Kill(n, 0) == syscall.ESRCH || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
	}
	t.Errorf("process %s lives on", pid)
}
