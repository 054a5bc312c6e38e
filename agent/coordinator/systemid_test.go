package coordinator

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestLoadSystemID(t *testing.T) {
	for _, tc := range []struct {
		name, content string
		kept          bool
	}{
		{"none yet", "", false},
		{"one of a machine", "s_0123456789ab\n", true},
		{"a random one", "r_aB3dE6gH9jK2", true},
		{"too short", "s_0123", false},
		{"rubbish", "hello", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".runner_system_id")
			if tc.content != "" {
				put(t, path, tc.content)
			}
			id, err := LoadSystemID(path)
			if err != nil {
				t.Fatal(err)
			}
			if !systemID.MatchString(id) || (id == strings.TrimSpace(tc.content)) != tc.kept {
				t.Errorf("id %q", id)
			}
			again, err := LoadSystemID(path)
			if err != nil || again != id {
				t.Errorf("read again: %q, %v", again, err)
			}
			if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("file %v, %v", info, err)
			}
			if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
				t.Errorf("%d files", len(left))
			}
		})
	}
	t.Run("no place to keep it", func(t *testing.T) {
		id, err := LoadSystemID(filepath.Join(t.TempDir(), "none", ".runner_system_id"))
		if err == nil || !systemID.MatchString(id) || !strings.Contains(err.Error(), id) {
			t.Errorf("%q, %v", id, err)
		}
	})
}

func TestNewSystemID(t *testing.T) {
	// echo -n gitlab-runner | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
	if got, want := newSystemID("0123456789abcdef0123456789abcdef"), "s_ee3af03959fe"; got != want {
		t.Errorf("id %q, want %q", got, want)
	}
	if a, b := newSystemID(""), newSystemID(""); a == b || !systemID.MatchString(a) {
		t.Errorf("random ids %q and %q", a, b)
	}
}
