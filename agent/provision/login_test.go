package provision

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gliderlabs/ssh"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// TestForeignLogin has a machine that was not made with our keys: its host key is noted at the first login, and no other one is taken later.
func TestForeignLogin(t *testing.T) {
	known := filepath.Join(t.TempDir(), "store", "known_hosts")
	o := quick()
	var access Login
	o.Login = func(fleet.Machine) (Login, bool) { return access, true }
	p := newTest(t, o)
	f := &sshMachine{scripts: map[string]func(ssh.Session, map[string][]byte){
		"probe": func(s ssh.Session, _ map[string][]byte) { io.WriteString(s, "stop here"); s.Exit(0) },
	}}
	m := f.start(t, p, "ci-1", "")
	m.ExpiresAt = time.Now().Add(time.Hour)
	key := filepath.Join(p.store.machine("ci-1"), userKeyFile)
	try := func(l Login) error {
		access = l
		_, err := p.Provision(context.Background(), m, nil)
		return err
	}
	inside := func(err error) bool { return err != nil && strings.Contains(err.Error(), "engine: ") }

	for _, when := range []string{"first", "second"} {
		if err := try(Login{KeyFile: key, KnownHosts: known, Borrowed: true}); !inside(err) {
			t.Fatalf("the %s login: %v", when, err)
		}
	}
	lines, err := os.ReadFile(known)
	if err != nil || strings.Count(string(lines), "\n") != 1 {
		t.Errorf("%q, %v; want the host once", lines, err)
	}
	for _, name := range f.got {
		if name == "unknown" { // "end", which the fake machine does not know
			t.Error("a borrowed host got a timer that switches it off")
		}
	}

	fields := strings.Fields(string(lines))
	fields[2] = "AAAAC3NzaC1lZDI1NTE5AAAAIPAxNrYMuBGu3rpsVmvAeiNdLhbVAhBpUmDKPChFJmCi"
	if err := os.WriteFile(known, []byte(strings.Join(fields, " ")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := try(Login{KeyFile: key, KnownHosts: known}); !errors.Is(err, ErrHostKey) {
		t.Errorf("another host key: %v", err)
	}
	if err := try(Login{KeyFile: filepath.Join(t.TempDir(), "none"), KnownHosts: known}); err == nil || !strings.Contains(err.Error(), "SSH key: ") {
		t.Errorf("a key that is not there: %v", err)
	}
	t.Setenv("HOME", t.TempDir())
	if err := try(Login{KnownHosts: known}); err == nil || !strings.Contains(err.Error(), "no SSH key was named") {
		t.Errorf("no key at all: %v", err)
	}
}

// TestGPUs has a machine whose GPUs answer late, one where they never do, and one whose operator waits for none.
func TestGPUs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		after  int // looks
		limit  time.Duration
		phases string
		want   string
	}{
		"late": {3, 20 * time.Second, "ssh gpu engine", "cut short"},
		"never": {1 << 30, 2 * time.Second, "ssh gpu", "no GPU within 2s; does the image have NVIDIA's driver, or install it (gpu_timeout = 0 below [machines] in millwright.toml " +
			"waits for none): gpu: Process exited with status 1; output ends:\nnvidia-smi is not there"},
		"not waited for": {1 << 30, -1, "ssh engine", "cut short"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := quick()
			o.SSHTimeout = time.Minute
			p := newTest(t, o)
			looks := 0
			f := &sshMachine{scripts: map[string]func(ssh.Session, map[string][]byte){
				"probe": func(s ssh.Session, _ map[string][]byte) { s.Exit(0) },
				"gpu": func(s ssh.Session, files map[string][]byte) {
					if string(files["env"]) != "WANT='2'\n" {
						t.Errorf("asked with %s", files["env"])
					}
					if looks++; looks < tc.after {
						io.WriteString(s, "nvidia-smi is not there\n")
						s.Exit(1)
						return
					}
					s.Exit(0)
				},
			}}
			m := f.start(t, p, "ci-1", "")
			m.Instance.GPUs = 2
			var phases []string
			_, err := p.Within(func() Wishes { return Wishes{GPUTime: tc.limit} }).Provision(context.Background(), m, func(s string) { phases = append(phases, s) })
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if got := strings.Join(phases, " "); got != tc.phases {
				t.Errorf("phases %s, want %s", got, tc.phases)
			}
		})
	}
}
