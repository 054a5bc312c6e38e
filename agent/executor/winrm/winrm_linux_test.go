package winrm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor/winrm"
	"github.com/millwright-ci/millwright/agent/internal/winrmd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, there *winrmd.Host, password config.Secret) *winrm.Client {
	t.Helper()
	c := winrm.New(winrm.Options{Address: net.JoinHostPort(there.Address, there.PortText()), User: winrmd.User, Password: password, Poll: time.Second})
	t.Cleanup(c.Close)
	return c
}

// Commands have input, two outputs and an exit code, whatever their size and however long they say nothing.
func TestRun(t *testing.T) {
	t.Parallel()
	there := winrmd.Start(t, false)
	c := newClient(t, there, winrmd.Password)
	big := strings.Repeat("0123456789abcdef\n", 20_000)
	for _, tt := range []struct {
		name        string
		cmd         winrm.Command
		code        int
		out, errors string
	}{
		{name: "line", cmd: winrm.Command{Program: "echo 'a <b> & c'; echo d >&2; exit 3"}, code: 3, out: "a <b> & c\n", errors: "d\n"},
		{name: "program", cmd: winrm.Command{Program: `"bash"`, Args: []string{"-s"}, Stdin: strings.NewReader("printf '%s' \"$0\" >&2; exit 9\n")}, code: 9, errors: "bash"},
		{name: "input and output", cmd: winrm.Command{Program: "cat", Args: []string{"-"}, Stdin: strings.NewReader(big)}, out: big},
		{name: "empty input", cmd: winrm.Command{Program: "cat", Args: []string{"-"}, Stdin: strings.NewReader("")}},
		{name: "input that nobody reads", cmd: winrm.Command{Program: "true", Args: []string{"-"}, Stdin: strings.NewReader(big)}},
		{name: "silence", cmd: winrm.Command{Program: "sleep 3; echo spoke"}, out: "spoke\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			tt.cmd.Stdout, tt.cmd.Stderr = &out, &errs
			code, err := c.Run(t.Context(), tt.cmd)
			if err != nil || code != tt.code || out.String() != tt.out || errs.String() != tt.errors {
				t.Errorf("exit code %d, %v\n%.200s\n%.200s", code, err, out.String(), errs.String())
			}
		})
	}
	t.Cleanup(func() {
		if n := there.Shells(); n != 0 {
			t.Errorf("%d shells are left open", n)
		}
	})
}

// A command that is given up ends on the host.
func TestCancel(t *testing.T) {
	t.Parallel()
	there := winrmd.Start(t, false)
	c := newClient(t, there, winrmd.Password)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	begun := make(chan struct{})
	go func() {
		<-begun
		cancel(why)
	}()
	_, err := c.Run(ctx, winrm.Command{Program: "echo $$ >pid; echo begun; exec sleep 1000", Stdout: signal(func() { close(begun) })})
	if !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if n := there.Shells(); n != 0 {
		t.Errorf("%d shells are left open", n)
	}
	pid, err := os.ReadFile(filepath.Join(there.Home, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	stat := fmt.Sprintf("/proc/%s/stat", bytes.TrimSpace(pid))
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(stat)
		if err != nil || !bytes.Contains(text, []byte("(sleep)")) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it lives on: %s", text)
		}
	}
}

// signal calls itself when something is written.
type signal func()

func (s signal) Write(p []byte) (int, error) {
	s()
	return len(p), nil
}

// What is no WinRM, and who may not come in, is named.
func TestErrors(t *testing.T) {
	t.Parallel()
	there := winrmd.Start(t, false)
	if err := newClient(t, there, "wrong").Ping(t.Context()); !errors.Is(err, winrm.ErrLogin) || !strings.Contains(err.Error(), "Basic") {
		t.Errorf("a wrong password: %v", err)
	}
	if err := newClient(t, there, winrmd.Password).Ping(t.Context()); err != nil {
		t.Errorf("the right one: %v", err)
	}
	there.Silence(true)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("too late"))
	defer cancel()
	if err := newClient(t, there, winrmd.Password).Ping(ctx); err == nil || !strings.HasSuffix(err.Error(), "too late") {
		t.Errorf("a silent host: %v", err)
	}
	there.Silence(false)
	var fault *winrm.Fault
	_, err := newClient(t, there, winrmd.Password).Run(t.Context(), winrm.Command{Program: "/nowhere/program", Args: []string{"-"}})
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a program that is not there: %v", err)
	}
}
