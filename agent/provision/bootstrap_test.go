package provision

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestBootstrap(t *testing.T) {
	p := newTest(t, Options{})
	b := bootstrap(t, p, "ci-1")
	if b.SSHUser != "root" || !strings.HasPrefix(b.AuthorizedKey, "ssh-ed25519 ") || strings.Contains(b.AuthorizedKey, "\n") {
		t.Errorf("bootstrap = %q %q", b.SSHUser, b.AuthorizedKey)
	}
	host, err := ssh.ParsePrivateKey([]byte(b.HostKeyPrivate))
	if err != nil {
		t.Fatal(err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(b.HostKeyPublic))
	if err != nil || string(public.Marshal()) != string(host.PublicKey().Marshal()) {
		t.Errorf("host keys do not belong together: %v", err)
	}
	if again := bootstrap(t, p, "ci-1"); again != b {
		t.Error("a second call gave other keys")
	}
	if other := bootstrap(t, p, "ci-2"); other.AuthorizedKey == b.AuthorizedKey || other.HostKeyPublic == b.HostKeyPublic {
		t.Error("two machines share a key")
	}
	checkModes(t, p.store.root)
}

// checkModes wants every folder 0700 and every file that holds a secret 0600.
func checkModes(t *testing.T, root string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		public := strings.HasSuffix(path, ".pem") && !strings.HasSuffix(path, "key.pem")
		want := fs.FileMode(0o600)
		switch {
		case d.IsDir():
			want = 0o700
		case public:
			want = 0o644
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBootstrapHammer(t *testing.T) {
	p := newTest(t, Options{})
	var mu sync.Mutex
	seen := map[abi.Bootstrap]bool{}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			b, err := p.Bootstrap(context.Background(), "ci-1")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[b] = true
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("%d different bootstraps of one machine", len(seen))
	}
	left, err := os.ReadDir(p.store.machine("ci-1"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 4 {
		t.Errorf("machine folder holds %v, want two key pairs", left)
	}
}

func TestBootstrapRefuses(t *testing.T) {
	p := newTest(t, Options{})
	for name, machine := range map[string]string{
		"empty": "", "parent": "..", "path": "a/b", "hidden": ".x", "space": "a b", "windows path": `a\b`, "long": strings.Repeat("a", 64),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := p.Bootstrap(context.Background(), machine); err == nil {
				t.Errorf("Bootstrap(%q) went through", machine)
			}
		})
	}
	t.Run("broken key", func(t *testing.T) {
		dir, _ := p.store.makeMachine("broken")
		if err := os.WriteFile(filepath.Join(dir, userKeyFile), []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := p.Bootstrap(context.Background(), "broken")
		if err == nil || !strings.Contains(err.Error(), userKeyFile) {
			t.Errorf("err = %v, want one that names the file", err)
		}
	})
}
