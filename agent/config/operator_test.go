package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestLoadOperator(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		env        map[string]string
		want       Operator // paths relative to the folder
		warnings   string
	}{
		{name: "no file", want: Operator{PoliciesDir: "policies.d", DriversDir: "drivers.d", StateDir: "state"}, env: map[string]string{"MILLWRIGHT_STATE_DIR": "state"}},
		{name: "file", file: "state_dir = 'st'\npolicies_dir = 'p'\nlegacy_drivers = ['google']\n",
			want: Operator{StateDir: "st", PoliciesDir: "p", DriversDir: "drivers.d", LegacyDrivers: []string{"google"}}},
		{name: "environment wins", file: "state_dir = 'st'\ndrivers_dir = 'd'\n", env: map[string]string{"MILLWRIGHT_STATE_DIR": "env", "MILLWRIGHT_LEGACY_DRIVERS": "a,b"},
			want: Operator{StateDir: "env", PoliciesDir: "policies.d", DriversDir: "d", LegacyDrivers: []string{"a", "b"}}},
		{name: "unknown key", file: "state_dirr = 'x'\nstate_dir = 'st'\n", want: Operator{StateDir: "st", PoliciesDir: "policies.d", DriversDir: "drivers.d"},
			warnings: "millwright.toml:1: warning: state_dirr: unknown key, ignored; did you mean state_dir?"},
		{name: "wrong type", file: "state_dir = 'st'\nlegacy_drivers = 'google'\n", want: Operator{StateDir: "st", PoliciesDir: "policies.d", DriversDir: "drivers.d"},
			warnings: "millwright.toml:2: legacy_drivers: this is a string; write a list: legacy_drivers = [...]"},
		{name: "machines", file: "state_dir = 'st'\n[machines]\norphan_grace = '1h'\nprobe_interval = 0\nremove_timeout = '5s'\nmax_life = '10m'\nprobes = 3\ngpu_timeout = '10s'\n",
			want: Operator{StateDir: "st", PoliciesDir: "policies.d", DriversDir: "drivers.d", Machines: MachineCare{
				OrphanGrace: after(time.Hour), ProbeInterval: after(0), RemoveTimeout: after(5 * time.Second), MaxLife: after(10 * time.Minute), GPUTimeout: after(10 * time.Second)}},
			warnings: "millwright.toml:5: machines.remove_timeout: 5s is too short; use 1m0s at least\n" +
				"millwright.toml:6: machines.max_life: 10m0s is too short; use 1h0m0s at least, or 0 (never)\n" +
				"millwright.toml:7: warning: machines.probes: unknown key, ignored\n" +
				"millwright.toml:8: machines.gpu_timeout: 10s is too short; use 1m0s at least, or 0 (GPUs are not waited for)"},
		{name: "syntax", file: "state_dir = \n", env: map[string]string{"MILLWRIGHT_STATE_DIR": "state"},
			want:     Operator{StateDir: "state", PoliciesDir: "policies.d", DriversDir: "drivers.d"},
			warnings: "millwright.toml:1: not TOML: unexpected character U+000A at start of value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(dir, "millwright.toml"), []byte(tt.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			o, diagnostics, err := LoadOperator(filepath.Join(dir, "config.toml"))
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.Path = filepath.Join(dir, "millwright.toml")
			for _, p := range []*string{&want.StateDir, &want.PoliciesDir, &want.DriversDir} {
				*p = filepath.Join(dir, *p)
			}
			if diff := cmp.Diff(want, *o, cmp.Transformer("empty", func(s []string) []string {
				return append([]string{}, s...)
			}), cmpopts.IgnoreUnexported(Operator{}), cmpopts.IgnoreFields(Operator{}, "CeilingsErr")); diff != "" {
				t.Error(diff)
			}
			var got []string
			for _, d := range diagnostics {
				got = append(got, strings.TrimPrefix(d.String(), dir+string(filepath.Separator)))
			}
			if strings.Join(got, "\n") != tt.warnings {
				t.Errorf("diagnostics %q, want %q", got, tt.warnings)
			}
		})
	}
}

func after(d time.Duration) *Duration { return (*Duration)(&d) }

func TestOperatorFileOfOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access control lists are not checked")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "millwright.toml")
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o644: false, 0o664: true, 0o646: true, 0o666: true} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, _, err := LoadOperator(filepath.Join(dir, "config.toml"))
		if (err != nil) != refused {
			t.Errorf("mode %04o: err = %v", mode, err)
		}
		if err != nil && !strings.Contains(err.Error(), "chmod go-w") {
			t.Errorf("mode %04o: %v does not say what to do", mode, err)
		}
	}
}

func TestDefaultStateDir(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	none := func(string) string { return "" }
	if got := defaultStateDir(0, none); got != "/var/lib/millwright" {
		t.Errorf("root: %s", got)
	}
	if got, want := defaultStateDir(1000, none), filepath.Join(home, ".local", "state", "millwright"); runtime.GOOS != "windows" && got != want {
		t.Errorf("user: %s, want %s", got, want)
	}
	if got, want := defaultStateDir(1000, func(string) string { return home }), filepath.Join(home, "millwright"); got != want {
		t.Errorf("XDG_STATE_HOME: %s, want %s", got, want)
	}
}

// TestRelativeConfig has the folders lie beside a config.toml that is named by a relative path, once.
func TestRelativeConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	want := filepath.Join("conf", "drivers.d")
	o, _, err := LoadOperator(filepath.Join("conf", "config.toml"))
	if err != nil || o.DriversDir != want {
		t.Errorf("%+v, %v", o, err)
	}
	if o := DefaultOperator(filepath.Join("conf", "config.toml")); o.DriversDir != want {
		t.Errorf("the default is %s", o.DriversDir)
	}
}
