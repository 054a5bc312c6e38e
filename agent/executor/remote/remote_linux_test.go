package remote_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/remote"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/internal/sshd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options reach a host, unless away says that nobody answers.
func options(t *testing.T, there *sshd.Host, away *atomic.Bool) remote.Options {
	t.Helper()
	need.Command(t, "bash")
	text, err := os.ReadFile(there.Identity)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return remote.Options{
		Job: "millwright-job-test-" + rand.Text(), Shell: "bash", Grace: time.Second, Patience: time.Second,
		Dial: func(context.Context) (remote.Conn, error) {
			if away.Load() {
				return nil, errors.New("nobody answers")
			}
			client, err := ssh.Dial("tcp", net.JoinHostPort(there.Address, there.PortText()),
				&ssh.ClientConfig{User: there.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
			if err != nil {
				return nil, err
			}
			return remote.SSH(client), nil
		},
	}
}

func stage(script string) (executor.Stage, *bytes.Buffer, *bytes.Buffer) {
	var stdout, stderr bytes.Buffer
	return executor.Stage{Name: "step_script", Script: []byte(script), Stdout: &stdout, Stderr: &stderr}, &stdout, &stderr
}

func TestRun(t *testing.T) {
	t.Parallel()
	o := options(t, sshd.Start(t), &atomic.Bool{})
	h, err := remote.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	folder := "/tmp/" + o.Job
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the job's folder: %v, %v", info, err)
	}
	for _, tt := range []struct {
		name, script, out, err string
		code                   int
		fault                  string
	}{
		{name: "streams apart", script: "echo out; echo err >&2; printf '\\000\\377'", out: "out\n\x00\xff", err: "err\n"},
		{name: "exit code", script: "exit 7", code: 7},
		{name: "no input", script: "cat; echo end", out: "end\n"},
		{name: "killed", script: "echo before; kill -KILL 0", out: "before\n", fault: "the script's processes are gone without an exit code"},
		{name: "the next one works", script: "echo on", out: "on\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, stdout, stderr := stage(tt.script)
			err := h.Run(t.Context(), s)
			var exit *executor.ExitError
			switch {
			case tt.fault != "":
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("got %v, want %s", err, tt.fault)
				}
			case errors.As(err, &exit) != (tt.code != 0) || exit == nil && err != nil || exit != nil && exit.Code != tt.code:
				t.Errorf("got %v, want exit code %d", err, tt.code)
			}
			if stdout.String() != tt.out || stderr.String() != tt.err {
				t.Errorf("got %q and %q, want %q and %q", stdout, stderr, tt.out, tt.err)
			}
		})
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the job's folder is still there: %v", err)
	}
}

// A host that does not come back ends the stage; what ran there is cleared when it does.
func TestLostAndCleared(t *testing.T) {
	t.Parallel()
	there := sshd.Start(t)
	var away atomic.Bool
	o := options(t, there, &away)
	h, err := remote.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	file := there.Home + "/pid"
	s, _, _ := stage("sleep 1000 & echo $! >" + file + ".new; mv " + file + ".new " + file + "; wait")
	ended := make(chan error, 1)
	go func() { ended <- h.Run(t.Context(), s) }()
	var pid string
	for end := time.Now().Add(time.Minute); pid == "" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(file)
		pid = strings.TrimSpace(string(text))
	}
	away.Store(true)
	there.Cut()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "the connection to the host was lost for 1s") || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("got %v", err)
	}
	if !alive(pid) {
		t.Errorf("process %q has ended with the connection", pid)
	}
	away.Store(false)
	if err := remote.Clear(t.Context(), o); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(time.Minute); alive(pid) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if alive(pid) {
		t.Errorf("process %s lives on", pid)
	}
	if _, err := os.Stat("/tmp/" + o.Job); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the job's folder is still there: %v", err)
	}
}

// alive tells whether a process runs; one that nobody has buried does not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// A shell that is not there is named.
func TestNoShell(t *testing.T) {
	t.Parallel()
	o := options(t, sshd.Start(t), &atomic.Bool{})
	o.Shell = "no-such-shell"
	if _, err := remote.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "install it, or set shell") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat("/tmp/" + o.Job); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the job's folder is still there: %v", err)
	}
}
