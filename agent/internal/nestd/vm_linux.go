package nestd

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// user is who logs in to a virtual machine of Start's.
const user = "nested"

// vm is a virtual machine: an SSH server.
type vm struct {
	home, address string
	server        *ssh.Server
}

// newVM boots one whose home is there; it is at its address when newVM returns.
func newVM(home string, lets func(user, password string) bool) (*vm, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := gossh.NewSignerFromKey(key)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	one := &vm{home: home, address: l.Addr().String()}
	one.server = &ssh.Server{
		HostSigners:     []ssh.Signer{signer},
		PasswordHandler: func(c ssh.Context, said string) bool { return lets(c.User(), said) },
		Handler:         one.session,
	}
	go func() { _ = one.server.Serve(l) }() // ends with end
	return one, nil
}

// markKey is in the environment of all that a virtual machine runs; its value is the home.
const markKey = "MILLWRIGHT_TEST_VM"

// session runs a command as sshd does.
func (v *vm) session(s ssh.Session) {
	cmd := exec.Command("sh", "-c", s.RawCommand())
	cmd.Dir, cmd.Stdout, cmd.Stderr = v.home, s, s.Stderr()
	cmd.Env = []string{"HOME=" + v.home, "PATH=" + os.Getenv("PATH"), markKey + "=" + v.home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err == nil {
		go func() { // ends with the session
			_, _ = io.Copy(in, s)
			in.Close()
		}()
		err = cmd.Run()
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		_ = s.Exit(0)
	case errors.As(err, &exit):
		_ = s.Exit(exit.ExitCode())
	default:
		_ = s.Exit(255)
	}
}

func (v *vm) end() { _ = v.server.Close() }

// sweep kills all that runs in virtual machines whose homes are in dir: by their environment, so that nothing else is met.
func sweep(dir string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, line := range bytes.Split(text, []byte{0}) {
			home, marked := strings.CutPrefix(string(line), markKey+"=")
			if marked && (home == dir || strings.HasPrefix(home, dir+string(filepath.Separator))) {
				if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
	}
}
