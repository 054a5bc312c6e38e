package scaffold

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/agent/trial"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// toolchains are what builds a language, and its test.
var toolchains = map[string]struct {
	needs string
	test  []string
}{
	"go":             {"go", []string{"go", "test", "./..."}},
	"rust":           {"cargo", []string{"cargo", "test", "--quiet", "--offline"}},
	"assemblyscript": {"npm", []string{"npm", "test"}},
}

// TestPoliciesWorkAtOnce makes a policy in each language elsewhere, builds it by its script and runs its test, its cases as Wasm, and the trial.
func TestPoliciesWorkAtOnce(t *testing.T) {
	for _, language := range Languages(abi.KindPolicy) {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			chain := toolchains[language]
			need.Command(t, chain.needs)
			dir, err := Make(Order{Kind: abi.KindPolicy, Language: language, Name: "9-lives", Dir: filepath.Join(t.TempDir(), "deep", "folder")})
			if err != nil {
				t.Fatal(err)
			}
			build(t, dir)
			run(t, dir, chain.test...)
			wasm, err := os.ReadFile(filepath.Join(dir, "9-lives.wasm"))
			if err != nil {
				t.Fatal(err)
			}
			m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{Name: "9-lives.wasm", Wasm: wasm})
			if err != nil {
				t.Fatal(err)
			}
			if m.Name() != "9-lives" {
				t.Errorf("it calls itself %s", m.Name())
			}
			report, err := trial.Policy(t.Context(), m, trial.Options{Config: abi.Raw(`{"most":10}`), Vectors: filepath.Join(dir, "cases")})
			if err != nil || report.Failed() {
				t.Errorf("%+v, %v", report.Checks, err)
			}
		})
	}
}

// build runs build.sh; a missing compiler skips the test where not everything is required.
func build(t *testing.T, dir string) {
	t.Helper()
	const missing = 69 // EX_UNAVAILABLE of sysexits.h
	cmd := exec.CommandContext(t.Context(), need.Command(t, "bash"), filepath.Join(dir, "build.sh"))
	cmd.Env = append(os.Environ(), "npm_config_prefer_offline=true") // the SDK's own tests have fetched the compiler before
	if !need.Required() {
		cmd.Env = append(cmd.Env, "MILLWRIGHT_INSTALL=no")
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == missing && !need.Required() {
		t.Skipf("this test needs a compiler: %s", out)
	}
	if err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
}

func run(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRefusals(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		order Order
		want  string
	}{
		"a language without an SDK": {Order{Kind: abi.KindPolicy, Language: "python", Name: "a"}, `a policy in "python" can't be made; there is go, rust, assemblyscript`},
		"a driver in Rust":          {Order{Kind: abi.KindDriver, Language: "rust", Name: "a"}, `a driver in "rust" can't be made; there is go`},
		"no name":                   {Order{Kind: abi.KindPolicy, Language: "go"}, `"" is no name of a policy; use lower case letters, digits and hyphens`},
		"a path":                    {Order{Kind: abi.KindPolicy, Language: "go", Name: "../a"}, `"../a" is no name`},
		"a built-in one's name":     {Order{Kind: abi.KindPolicy, Language: "go", Name: "periods", Reserved: []string{"idlescale", "periods"}}, "take another name (the built-in ones are idlescale, periods)"},
		"a folder that is used":     {Order{Kind: abi.KindPolicy, Language: "go", Name: "a", Dir: full}, "is there already and holds mine.txt; nothing is overwritten"},
		"a file":                    {Order{Kind: abi.KindPolicy, Language: "go", Name: "a", Dir: filepath.Join(full, "mine.txt")}, "name another folder with --dir"},
	} {
		t.Run(name, func(t *testing.T) {
			if dir, err := Make(tc.order); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %q, %v; want %q", dir, err, tc.want)
			}
		})
	}
	if entries, err := os.ReadDir(full); err != nil || len(entries) != 1 {
		t.Errorf("the folder that was there holds %v, %v", entries, err)
	}
}

// TestFolders checks what is made: files in good form, named after the module, in an empty folder too, and nothing beside it.
func TestFolders(t *testing.T) {
	for _, kind := range []string{abi.KindPolicy, abi.KindDriver} {
		for _, language := range Languages(kind) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "made")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := Make(Order{Kind: kind, Language: language, Name: "burst", Dir: dir}); err != nil {
				t.Fatal(err)
			}
			if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
				t.Errorf("beside it lie %v, %v", entries, err)
			}
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					checkFile(t, dir, path)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"README.md", "build.sh", ".gitignore", "millwright/LICENSE"} {
				if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func checkFile(t *testing.T, dir, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name, _ := filepath.Rel(dir, path)
	if !strings.HasPrefix(name, sdkFolder) && (bytes.Contains(data, []byte("NAME")) || bytes.Contains(data, []byte("fakecloud")) || strings.Contains(name, "NAME") || strings.HasSuffix(name, ".tmpl")) {
		t.Errorf("%s: NAME is left in it", name)
	}
	switch filepath.Ext(path) {
	case ".go":
		if good, err := format.Source(data); err != nil || !bytes.Equal(good, data) {
			t.Errorf("%s: is not as gofmt writes it: %v", name, err)
		}
	case ".json":
		if !json.Valid(data) {
			t.Errorf("%s: is no JSON", name)
		}
	}
}
