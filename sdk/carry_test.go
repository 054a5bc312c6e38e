package sdk_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk"
)

// TestCarried checks what goes into an author's folder: all that a module is built of, and nothing that only this repository needs.
func TestCarried(t *testing.T) {
	for language, want := range map[string][]string{
		"go":             {"go.mod", "LICENSE", "sdk/go/abi/codec_gen.go", "sdk/go/internal/kernel/kernel_wasip1.go", "sdk/go/policy/policytest/policytest.go"},
		"rust":           {"Cargo.toml", "LICENSE", "build.sh", "src/lib.rs", "src/json/mod.rs"},
		"assemblyscript": {"package.json", "package-lock.json", ".npmrc", "LICENSE", "build.sh", "assembly/index.ts", "harness/index.mjs"},
	} {
		t.Run(language, func(t *testing.T) {
			files, err := sdk.Files(language)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]sdk.File{}
			size := 0
			for _, f := range files {
				found[f.Path] = f
				size += len(f.Data)
				for _, unwanted := range []string{"_test.go", "testdata", "node_modules", "target/", ".test.mjs"} {
					if strings.Contains(f.Path, unwanted) {
						t.Errorf("carries %s", f.Path)
					}
				}
				if f.Executable != strings.HasSuffix(f.Path, ".sh") {
					t.Errorf("%s: executable is %v", f.Path, f.Executable)
				}
				if strings.HasSuffix(f.Path, "README.md") && bytes.Contains(f.Data, []byte("](../")) {
					t.Errorf("%s has a link that leads out of the folder", f.Path)
				}
			}
			for _, path := range want {
				if len(found[path].Data) == 0 {
					t.Errorf("lacks %s", path)
				}
			}
			if size > 400<<10 {
				t.Errorf("has %d KB", size>>10)
			}
		})
	}
	if _, err := sdk.Files("python"); err == nil || !strings.Contains(err.Error(), "go, rust, assemblyscript") {
		t.Errorf("got %v", err)
	}
}

// TestCarriedIsOurs checks what is written in two places.
func TestCarriedIsOurs(t *testing.T) {
	read := func(path string) string {
		data, err := os.ReadFile(moduletest.Path(path))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if read("LICENSE") != read("sdk/LICENSE") {
		t.Error("sdk/LICENSE is not LICENSE")
	}
	if !strings.Contains(read("go.mod"), "\ngo "+sdk.GoVersion+"\n") {
		t.Errorf("go.mod is not for Go %s", sdk.GoVersion)
	}
}
