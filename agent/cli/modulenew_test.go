package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModuleNew(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		args, want string
		fails      bool
	}{
		{"policy new burst --dir burst", "a policy in Go, with its SDK", false},
		{"policy new burst --dir burst", "nothing is overwritten", true},
		{"policy new burst --lang rust --dir other", "cargo test", false},
		{"policy new Burst", `"Burst" is no name of a policy; use lower case letters, digits and hyphens`, true},
		{"policy new burst --lang cobol --dir c", `a policy in "cobol" can't be made; there is go, rust, assemblyscript`, true},
		{"policy new", "takes one argument, the module's name", true},
		{"driver new my-cloud --dir cloud", "driver test my-cloud.wasm --option my-cloud-endpoint={cloud}", false},
		{"driver new my-cloud --lang rust --dir c", `a driver in "rust" can't be made; there is go`, true},
	} {
		args := strings.Fields(tc.args)
		if i := len(args) - 1; args[i-1] == "--dir" {
			args[i] = filepath.Join(dir, args[i])
		}
		out, err := command(t, args...)
		text := out
		if err != nil {
			text += err.Error()
		}
		if (err != nil) != tc.fails || !strings.Contains(text, tc.want) {
			t.Errorf("%s: %v\n%s\nwant %q", tc.args, err, out, tc.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "c")); !os.IsNotExist(err) {
		t.Errorf("what was refused left a folder: %v", err)
	}
}
