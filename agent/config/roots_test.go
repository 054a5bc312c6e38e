package config

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestRoots(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	dir := t.TempDir()
	file := func(name string, data []byte, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	file("ca.pem", ca, 0o644)
	file("junk.pem", []byte("hello"), 0o644)
	file("open.pem", ca, 0o666)
	for name, tc := range map[string]struct{ said, want string }{
		"none":                    {"", ""},
		"beside config.toml":      {"ca.pem", ""},
		"missing":                 {"gone.pem", "ca_file: open " + filepath.Join(dir, "gone.pem")},
		"no certificate":          {"junk.pem", "holds no certificate"},
		"writable by others, too": {"open.pem", "group or others can write it"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && tc.said == "open.pem" {
				t.Skip("Windows has access lists instead of modes")
			}
			file("millwright.toml", []byte("ca_file = '"+tc.said+"'\n"), 0o600)
			op, diagnostics, err := LoadOperator(filepath.Join(dir, "config.toml"))
			if err != nil || len(diagnostics) > 0 {
				t.Fatal(diagnostics, err)
			}
			roots, err := op.Roots()
			if tc.want == "" && (err != nil || (roots == nil) != (tc.said == "")) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, %v; want %q", roots, err, tc.want)
			}
		})
	}
}
