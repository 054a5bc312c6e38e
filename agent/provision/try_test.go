package provision

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gliderlabs/ssh"
)

// TestTryLogin logs in to a host where ci may become root and guest may not, and nobody else gets in.
func TestTryLogin(t *testing.T) {
	t.Parallel()
	p := newTest(t, quick())
	b := bootstrap(t, p, "m1")
	allowed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(b.AuthorizedKey))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &ssh.Server{
		Handler: func(s ssh.Session) {
			if s.User() != "ci" || s.RawCommand() != "sudo -n true" {
				io.WriteString(s.Stderr(), "sudo: a password is required\n")
				s.Exit(1)
			}
		},
		PublicKeyHandler: func(ctx ssh.Context, key ssh.PublicKey) bool {
			return ctx.User() != "nobody" && ssh.KeysEqual(key, allowed)
		},
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() { l.Close(); server.Close(); serving.Wait() })

	known := filepath.Join(t.TempDir(), "known_hosts")
	key := filepath.Join(p.store.machine("m1"), userKeyFile)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx         context.Context
		user, key   string
		login, root string
	}{
		"root":          {t.Context(), "root", key, "", ""},
		"with sudo":     {t.Context(), "ci", key, "", ""},
		"without":       {t.Context(), "guest", key, "", "a password is required"},
		"no such login": {t.Context(), "nobody", key, "unable to authenticate", ""},
		"no such key":   {t.Context(), "ci", key + "x", "SSH key: ", ""},
		"nobody waits":  {ended, "ci", key, "canceled", ""},
	} {
		login, root := TryLogin(tc.ctx, Login{KeyFile: tc.key, KnownHosts: known}, l.Addr().String(), tc.user)
		for _, e := range []struct {
			err  error
			want string
		}{{login, tc.login}, {root, tc.root}} {
			if (e.err == nil) != (e.want == "") || e.err != nil && !strings.Contains(e.err.Error(), e.want) {
				t.Errorf("%s: %v, want %q", name, e.err, e.want)
			}
		}
	}
	if _, err := os.Stat(known); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a host was noted: %v", err)
	}
}

func TestTryEngine(t *testing.T) {
	t.Parallel()
	if err := TryEngine(t.Context(), "tcp://127.0.0.1:1", t.TempDir()); err == nil || !strings.Contains(err.Error(), "the folder must hold") {
		t.Errorf("without certificates: %v", err)
	}
}
