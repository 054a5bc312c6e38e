// Package sdk carries the SDKs for authors of modules inside the binary, so that `millwright policy new` works anywhere and without a network.
package sdk

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed LICENSE go rust/Cargo.toml rust/README.md rust/build.sh rust/src
//go:embed assemblyscript/.npmrc assemblyscript/README.md assemblyscript/asconfig.json assemblyscript/assembly assemblyscript/build.sh
//go:embed assemblyscript/harness/index.mjs assemblyscript/package-lock.json assemblyscript/package.json
var files embed.FS

// Languages are those that there is an SDK for.
var Languages = []string{"go", "rust", "assemblyscript"}

// GoVersion is what the Go SDK needs, as go.mod writes it.
const GoVersion = "1.26.0"

// source is where the links of the SDKs' own pages lead to, once they lie elsewhere.
const source = "https://github.com/millwright-ci/millwright/blob/main/"

// File is one file of an SDK.
type File struct {
	Path       string // in the SDK's folder, with slashes
	Data       []byte
	Executable bool
}

// Files returns the SDK for a language as it lies in a module's folder: for Go a Go module of the name that its packages are imported by, for the
// others the package itself. Tests are not in it. A language that there is no SDK for is an error.
func Files(language string) ([]File, error) {
	prefix := language + "/"
	out := []File{{Path: "LICENSE"}}
	switch language {
	case "go":
		prefix = "" // the import paths hold it
		out = append(out, File{Path: "go.mod", Data: []byte("module github.com/millwright-ci/millwright\n\ngo " + GoVersion + "\n")})
	case "rust", "assemblyscript":
	default:
		return nil, fmt.Errorf("there is no SDK for %q; there are those for %s", language, strings.Join(Languages, ", "))
	}
	var err error
	if out[0].Data, err = files.ReadFile("LICENSE"); err != nil {
		return nil, err
	}
	err = fs.WalkDir(files, language, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if path.Base(name) == "README.md" {
			data = bytes.ReplaceAll(data, []byte("](../../"), []byte("]("+source))
		}
		inside := strings.TrimPrefix(name, prefix)
		if language == "go" {
			inside = "sdk/" + name
		}
		out = append(out, File{Path: inside, Data: data, Executable: strings.HasSuffix(name, ".sh")})
		return nil
	})
	return out, err
}
