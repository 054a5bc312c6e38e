// Package remote runs a job's stages on a host that is reached over a network, so that a lost connection loses nothing: each script is a file
// there, runs detached from the connection, and writes its output to files, which are read by their offsets. Who the host is, and how it
// is dialled, is the caller's matter.
//
// The host needs a POSIX sh with its common tools, and the shell that scripts are for: on Windows they are those of Git for Windows. Nothing is
// installed there.
package remote

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/executor"
)

// Dial connects and logs in. It is called anew when a connection is lost.
type Dial func(ctx context.Context) (Conn, error)

// Options say how a host is used.
type Options struct {
	Dial Dial
	// Job names the job's folder on the host, below /tmp. It must not be guessed, since the folder holds the job's secrets.
	Job   string
	Shell string // bash, sh: what scripts are run with
	Plain bool   // which is no login shell then
	Pwsh  string // the PowerShell that the user's scripts are run with: pwsh, powershell; "" is Shell
	Log   *slog.Logger
	// Patience is how long a lost connection is dialled anew before a stage is given up; 0 means 2 minutes.
	Patience time.Duration
	// Grace is what a script that is stopped has between TERM and KILL; 0 means 10 seconds.
	Grace time.Duration
	// Keepalive is how often a connection is tried, and within which time it must answer; 0 means 15 seconds.
	Keepalive time.Duration
}

// LostError means that the host can't be reached.
type LostError struct{ err error }

func (e *LostError) Error() string { return e.err.Error() }
func (e *LostError) Unwrap() error { return e.err }

// Host is one job on a host. Its methods are called one after the other.
type Host struct {
	o      Options
	dir    string
	stages int
	Facts  Facts

	mu     sync.Mutex // guards client
	client Conn
}

// Facts are what a host says of itself.
type Facts struct {
	Home         string // of the login
	System, Arch string // in Go's words: linux, arm64
	Helper       string // a program along PATH that knows caches and artifacts; "" when there is none
}

// keepaliveEvery is the default of Options.Keepalive.
const keepaliveEvery = 15 * time.Second

func newHost(o Options) *Host {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Patience, o.Grace, o.Keepalive = cmp.Or(o.Patience, 2*time.Minute), cmp.Or(o.Grace, 10*time.Second), cmp.Or(o.Keepalive, keepaliveEvery)
	return &Host{o: o, dir: "/tmp/" + o.Job}
}

// Open connects, once, makes the job's folder and asks the host about itself. After Open, Close must be called.
func Open(ctx context.Context, o Options) (*Host, error) {
	h := newHost(o)
	client, err := h.o.Dial(ctx)
	if err != nil {
		return nil, &LostError{err}
	}
	h.keep(client)
	out, err := h.command(ctx, fmt.Sprintf(openScript, h.dir, quote(o.Shell)), nil)
	if err == nil {
		err = h.Facts.read(out)
	}
	if err == nil && o.Pwsh != "" {
		_, err = h.command(ctx, "command -v "+quote(o.Pwsh), nil)
		var code *codeError
		if errors.As(err, &code) {
			err = executor.Errorf(executor.Configuration, "%s, which config.toml names as shell, is not there; install PowerShell 7, or set another shell", o.Pwsh)
		}
	}
	if err == nil {
		err = h.Put(ctx, h.dir+"/launch", "600", []byte(launcher))
	}
	if err != nil {
		_ = h.session(ctx, "rm -rf "+quote(h.dir), nil, io.Discard, io.Discard) // what there is of the folder
		h.drop()
		return nil, fmt.Errorf("host: %w", err)
	}
	return h, nil
}

// read takes what openScript printed: NAME=value.
func (f *Facts) read(out []byte) error {
	said := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		said[name] = value
	}
	f.Home, f.Helper = said["millwright_home"], said["millwright_helper"]
	if !isAbs(f.Home) {
		return errors.New("it does not say what its login's directory is; is there a POSIX shell?")
	}
	if said["millwright_shell"] == "" {
		return errors.New("the shell that config.toml names, or bash, is not there; install it, or set shell")
	}
	f.System = strings.ToLower(said["millwright_system"])
	if strings.HasPrefix(f.System, "mingw") || strings.HasPrefix(f.System, "msys") {
		f.System = "windows"
	}
	f.Arch = said["millwright_arch"]
	if known, ok := architectures[f.Arch]; ok {
		f.Arch = known
	}
	return nil
}

// architectures are uname's words in Go's.
var architectures = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}

// keep makes client the host's connection, and ends it when it does not answer any more.
func (h *Host) keep(client Conn) {
	h.mu.Lock()
	h.client = client
	h.mu.Unlock()
	go func() { // ends with the client
		tick := time.NewTicker(h.o.Keepalive)
		defer tick.Stop()
		for {
			select {
			case <-client.Done():
				return
			case <-tick.C:
			}
			ctx, cancel := context.WithTimeout(context.Background(), h.o.Keepalive)
			if client.Alive(ctx) != nil {
				client.Close()
			}
			cancel()
		}
	}()
}

func (h *Host) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		h.client.Close()
		h.client = nil
	}
}

// connection returns the connection, or a new one.
func (h *Host) connection(ctx context.Context) (Conn, error) {
	h.mu.Lock()
	client := h.client
	h.mu.Unlock()
	if client != nil {
		return client, nil
	}
	client, err := h.o.Dial(ctx)
	if err != nil {
		return nil, err
	}
	h.keep(client)
	return client, nil
}

// codeError is a command that ended with a code.
type codeError struct {
	code int
	said string // on stderr
}

func (e *codeError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("exit code %d: %s", e.code, e.said))
}

// session runs one command to its end on the present connection. A *codeError is the command's own end; any other error is the
// connection's, which is then dropped.
func (h *Host) session(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) error {
	client, err := h.connection(ctx)
	if err != nil {
		return err
	}
	code, err := client.Run(ctx, command, stdin, stdout, stderr)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		h.drop()
		return err
	case code != 0:
		return &codeError{code: code}
	}
	return nil
}

// command runs a command that may be repeated to its end, on a new connection where one is lost, and returns what it printed.
func (h *Host) command(ctx context.Context, command string, stdin []byte) ([]byte, error) {
	var out []byte
	err := h.retry(ctx, func() (bool, error) {
		var stdout, stderr bytes.Buffer
		err := h.session(ctx, "echo "+quote(h.o.Job)+"\n"+command, bytes.NewReader(stdin), h.behind(&stdout), &stderr)
		var code *codeError
		if errors.As(err, &code) {
			code.said = stderr.String()
		}
		out = stdout.Bytes()
		return false, err
	})
	return out, err
}

// Put writes a file on the host, as a whole or not at all. mode is octal.
func (h *Host) Put(ctx context.Context, path, mode string, content []byte) error {
	_, err := h.command(ctx, fmt.Sprintf(putScript, quote(path), len(content), mode), content)
	if err != nil {
		return fmt.Errorf("%s on the host: %w", path, err)
	}
	return nil
}

// Has tells whether the host has a program at path.
func (h *Host) Has(ctx context.Context, path string) (bool, error) {
	_, err := h.command(ctx, "[ -x "+quote(path)+" ]", nil)
	var code *codeError
	if errors.As(err, &code) {
		return false, nil
	}
	return err == nil, err
}

// Close removes the job's folder and ends the connection.
func (h *Host) Close(ctx context.Context) error {
	_, err := h.command(ctx, "rm -rf "+quote(h.dir), nil)
	h.drop()
	return err
}

// Clear is Close for a job whose agent died in the middle of it: what runs of it on the host is killed.
func Clear(ctx context.Context, o Options) error {
	o.Shell = "sh"
	h, err := Open(ctx, o)
	if err != nil {
		return err
	}
	_, err = h.command(ctx, fmt.Sprintf(signalScript, "KILL", h.dir, `"$dir"/*/pid`), nil)
	return errors.Join(err, h.Close(ctx))
}

// isAbs tells whether a path is absolute, on Windows too.
func isAbs(p string) bool { return path.IsAbs(p) || len(p) > 2 && p[1] == ':' && p[2] == '/' }

// quote makes text one word of a POSIX shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
