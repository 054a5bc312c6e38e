package provision

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// sshMachine is a machine of which only the SSH server is real: it takes the login and unpacks what it is sent, and answers each
// script as told.
type sshMachine struct {
	scripts map[string]func(s ssh.Session, files map[string][]byte)

	mu       sync.Mutex // guards what follows
	got      []string   // names of the scripts that came
	commands []string
}

// start serves on a loopback port and returns the machine as the pool would see it. hostKey "" is the key of the bootstrap.
func (f *sshMachine) start(t *testing.T, p *Provisioner, name, hostKey string) fleet.Machine {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.serve(t, p, l, name, hostKey)
	m := machineAt(name, "127.0.0.1", nil)
	m.Instance.SSHPort = l.Addr().(*net.TCPAddr).Port
	m.Instance.EnginePort = 1 // nothing listens there
	return m
}

func (f *sshMachine) serve(t *testing.T, p *Provisioner, l net.Listener, name, hostKey string) {
	t.Helper()
	b := bootstrap(t, p, name)
	if hostKey == "" {
		hostKey = b.HostKeyPrivate
	}
	signer, err := gossh.ParsePrivateKey([]byte(hostKey))
	if err != nil {
		t.Fatal(err)
	}
	allowed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(b.AuthorizedKey))
	if err != nil {
		t.Fatal(err)
	}
	server := &ssh.Server{
		Handler: f.handle,
		PublicKeyHandler: func(ctx ssh.Context, key ssh.PublicKey) bool {
			return ctx.User() != "nobody" && ssh.KeysEqual(key, allowed)
		},
	}
	server.AddHostKey(signer)
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(l) })
	// The listener too: a server that is closed before Serve began does not know it.
	t.Cleanup(func() { l.Close(); server.Close(); wg.Wait() })
}

func (f *sshMachine) handle(s ssh.Session) {
	files, err := untar(s)
	if err != nil {
		io.WriteString(s.Stderr(), err.Error())
		s.Exit(99)
		return
	}
	name := scriptName(files["run.sh"])
	f.mu.Lock()
	f.got = append(f.got, name)
	f.commands = append(f.commands, s.RawCommand())
	f.mu.Unlock()
	if do := f.scripts[name]; do != nil {
		do(s, files)
		return
	}
	if name == "probe" {
		probeAnswer(s, files, "/usr/bin/dockerd")
	}
	s.Exit(0)
}

func untar(r io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for a := tar.NewReader(r); ; {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[h.Name], err = io.ReadAll(a); err != nil {
			return nil, err
		}
	}
}

func scriptName(body []byte) string {
	for _, name := range []string{"probe", "install", "engine", "alive", "gpu"} {
		if b, err := os.ReadFile(filepath.Join("scripts", name+".sh")); err == nil && bytes.Equal(b, body) {
			return name
		}
	}
	return "unknown"
}

// probeAnswer answers as a Debian machine with this engine.
func probeAnswer(s ssh.Session, files map[string][]byte, dockerd string) {
	probeOf(s, files, "ID=debian\nPRETTY_NAME=\"Debian 12\"", dockerd)
}

// probeOf answers as a machine with this os-release and this engine.
func probeOf(s ssh.Session, files map[string][]byte, release, dockerd string) {
	mark := strings.TrimSuffix(strings.TrimPrefix(string(files["env"]), "MARK='"), "'\n")
	answer := "Welcome!\nMARK os-release\n" + release + "\n\nMARK arch\nx86_64\nMARK dockerd\n" + dockerd + "\nMARK init\nnone\nMARK daemon.json\n\nMARK end\n"
	io.WriteString(s, strings.ReplaceAll(answer, "MARK", mark))
}
