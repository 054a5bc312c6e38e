// Package sshd gives tests a host that is reached over SSH: Debian's own sshd on a loopback port, with a login that is nobody's, behind a
// wire that tests can cut.
package sshd

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Host is the host. Its login has a directory of its own, and says a line of its own accord, as some do.
type Host struct {
	Address    string // 127.0.0.1
	Port       int
	User       string
	Identity   string // file of the key that logs in
	KnownHosts string // file that knows the host
	Home       string // of the login

	mu     sync.Mutex // guards what follows
	wires  map[net.Conn]bool
	logins int
}

const program = "/usr/sbin/sshd"

// Start starts a host that ends with the test.
func Start(t testing.TB) *Host {
	t.Helper()
	need.Command(t, program)
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where it locks itself up
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := &Host{
		Address: "127.0.0.1", User: me.Username, Identity: filepath.Join(dir, "identity"), KnownHosts: filepath.Join(dir, "known_hosts"),
		Home: filepath.Join(dir, "home"), wires: map[net.Conn]bool{},
	}
	l, err := net.Listen("tcp", h.Address+":0")
	if err != nil {
		t.Fatal(err)
	}
	h.Port = l.Addr().(*net.TCPAddr).Port
	settings, err := h.settle(dir)
	if err != nil {
		t.Fatal(err)
	}
	var wires sync.WaitGroup
	wires.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wires.Go(func() { h.serve(conn, settings) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		h.Cut()
		wires.Wait()
	})
	return h
}

// settle writes keys and settings; it returns the path of the settings.
func (h *Host) settle(dir string) (string, error) {
	host, err := key(filepath.Join(dir, "host_key"))
	if err != nil {
		return "", err
	}
	mine, err := key(h.Identity)
	if err != nil {
		return "", err
	}
	settings := strings.Join([]string{
		"HostKey " + filepath.Join(dir, "host_key"),
		"AuthorizedKeysFile " + filepath.Join(dir, "authorized_keys"),
		"StrictModes no", "UsePAM no", "PasswordAuthentication no", "PermitRootLogin yes", "PidFile none", "LogLevel ERROR", "MaxSessions 100",
		// A login with a directory of its own, with programs in bin there, that talks before it does what it was told.
		fmt.Sprintf(`ForceCommand cd %s; HOME=%[1]s; PATH=$HOME/bin:$PATH; export HOME PATH; echo welcome; echo to you >&2; eval "$SSH_ORIGINAL_COMMAND"`, h.Home), "",
	}, "\n")
	path := filepath.Join(dir, "sshd_config")
	known := fmt.Sprintf("[%s]:%d %s", h.Address, h.Port, ssh.MarshalAuthorizedKey(host))
	return path, errors.Join(
		os.Mkdir(h.Home, 0o755),
		os.WriteFile(filepath.Join(dir, "authorized_keys"), ssh.MarshalAuthorizedKey(mine), 0o600),
		os.WriteFile(h.KnownHosts, []byte(known), 0o600),
		os.WriteFile(path, []byte(settings), 0o600),
	)
}

// key writes a new private key to a file and returns its public half.
func key(path string) (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(public)
}

// serve gives a connection an sshd of its own, which ends with it.
func (h *Host) serve(conn net.Conn, settings string) {
	h.mu.Lock()
	h.wires[conn] = true
	h.logins++
	h.mu.Unlock()
	defer func() {
		conn.Close()
		h.mu.Lock()
		delete(h.wires, conn)
		h.mu.Unlock()
	}()
	cmd := exec.Command(program, "-i", "-e", "-f", settings)
	in, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(in, conn)
		in.Close()
	})
	_, _ = io.Copy(conn, out)
	conn.Close()
	both.Wait()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
}

// Cut cuts all connections at once, in the middle of whatever they carry.
func (h *Host) Cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for conn := range h.wires {
		conn.Close()
	}
}

// Logins is how many connections there have been.
func (h *Host) Logins() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logins
}

// PortText is the port as config.toml has it.
func (h *Host) PortText() string { return strconv.Itoa(h.Port) }
