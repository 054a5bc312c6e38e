package sdk_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestCargo runs what an author of a guest in Rust runs, in the SDK itself and in the examples.
func TestCargo(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles for a while")
	}
	t.Parallel()
	cargo := moduletest.Command(t, "cargo")
	target := filepath.Join(t.TempDir(), "target")
	for _, folder := range []string{"sdk/rust", "examples/policies/cooldown", "examples/policies/prediction", "examples/policies/spot"} {
		run(t, folder, nil, cargo, "test", "--quiet", "--offline", "--lib", "--tests", "--target-dir", target)
	}
}

// TestCargoBuildsModules builds a module of two crates, which cargo alone can do: build.sh takes it when its compiler has the target.
func TestCargoBuildsModules(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles for a while")
	}
	t.Parallel()
	path := os.Getenv("PATH")
	if !compilesToWasm(moduletest.Command(t, "rustc")) {
		moduletest.Command(t, "/usr/bin/cargo") // Debian's, beside another one
		path = "/usr/bin" + string(filepath.ListSeparator) + path
	}
	folder := t.TempDir()
	for name, text := range map[string]string{
		"Cargo.toml": `[package]
name = "two-crates"
version = "0.1.0"
edition = "2021"
[lib]
crate-type = ["cdylib"]
[dependencies]
millwright = { path = "` + filepath.ToSlash(moduletest.Path("sdk/rust")) + `" }
thirds = { path = "thirds" }
[profile.release]
panic = "abort"
[workspace]
`,
		"src/lib.rs": `use millwright::*;
millwright::policy!(Third);
struct Third;
impl Policy for Third {
    fn describe(&self) -> Description {
        Description { name: "third".into(), ..Default::default() }
    }
    fn decide(&self, s: &Snapshot) -> Result<Proposal, Error> {
        Ok(Proposal { idle_target: Some(thirds::of(s.demand.running)), ..Default::default() })
    }
}
`,
		"thirds/Cargo.toml": "[package]\nname = \"thirds\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
		"thirds/src/lib.rs": "pub fn of(n: i64) -> i64 {\n    n / 3\n}\n",
	} {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	built := filepath.Join(t.TempDir(), "third.wasm")
	run(t, "sdk/rust", []string{"PATH=" + path, "CARGO_NET_OFFLINE=true", "MILLWRIGHT_INSTALL=no"}, moduletest.Command(t, "bash"), "build.sh", folder, built)
	wasm, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	out, err := load(t, wasm).Call(t.Context(), abi.ExportDecide, []byte(`{"demand":{"running":7}}`))
	if err != nil || string(out) != `{"idle_target":2}` {
		t.Errorf("got %s, %v", out, err)
	}
}

// compilesToWasm tells whether a compiler has the libraries of the target.
func compilesToWasm(rustc string) bool {
	dir, err := exec.Command(rustc, "--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
	if err != nil {
		return false
	}
	found, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "libstd-*.rlib"))
	return len(found) > 0
}

// nodeHarness runs what an author of a guest in AssemblyScript runs, on a guest that is built already.
func nodeHarness(t *testing.T, wasm []byte) {
	built := filepath.Join(t.TempDir(), "codec.wasm")
	if err := os.WriteFile(built, wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "sdk/assemblyscript", []string{"MILLWRIGHT_CODEC_WASM=" + built}, moduletest.Command(t, "node"), "--test", "harness")
}

// run runs a program in a folder of the repository, with more in its environment.
func run(t *testing.T, folder string, env []string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = moduletest.Path(folder)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %s %s: %v\n%s", folder, filepath.Base(program), strings.Join(args, " "), err, out.String())
	}
}
