// Package guests compiles guests, each an ordinary package main, to WebAssembly. `task guests` uses it (by the command below it,
// build) to fill the dist folders that a release embeds, and tests use it to build the guests they need by themselves. It wants
// nothing but Go.
package guests

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// Suffix ends the name of a compiled and compressed guest.
const Suffix = ".wasm.gz"

// flags make a reactor that is the same to the byte in any folder.
var flags = []string{"-buildmode=c-shared", "-buildvcs=false", "-trimpath", "-ldflags=-s -w"}

// Find returns the folders right below dir that hold a guest: a main.go. A dir that does not exist holds none.
func Find(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		folder := filepath.Join(dir, e.Name())
		if _, err := os.Stat(filepath.Join(folder, "main.go")); err == nil {
			found = append(found, folder)
		}
	}
	return found, nil
}

// Build compiles the guest in folder to dest, a file whose name ends in .wasm.gz, unless dest is up to date already; it returns
// whether it compiled. The file is written beside and renamed, and is the same to the byte whenever the sources and Go are.
func Build(ctx context.Context, folder, dest string) (bool, error) {
	key, err := sourceKey(ctx, folder)
	if err != nil {
		return false, err
	}
	if keyOf(dest) == key {
		return false, nil
	}
	if dest, err = filepath.Abs(dest); err != nil { // the go command runs in the guest's folder
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return false, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dest), ".build-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(tmp)

	wasm := filepath.Join(tmp, "guest.wasm")
	if _, err := goCommand(ctx, folder, append(append([]string{"build"}, flags...), "-o", wasm, ".")...); err != nil {
		return false, err
	}
	packed := filepath.Join(tmp, "guest"+Suffix)
	if err := pack(wasm, packed, key); err != nil {
		return false, err
	}
	return true, os.Rename(packed, dest)
}

// Read returns the Wasm that lies compressed at path.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(z)
}

// pack compresses a file. The key of its sources goes into gzip's comment; no time and no name does.
func pack(from, to, key string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	z.Comment = key
	if _, err := z.Write(data); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

// keyOf returns the key that pack left in the file at path, "" when there is none.
func keyOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return ""
	}
	return z.Comment
}

// sourceKey hashes all that the guest's Wasm is made of: the sources outside of the standard library that it links, Go's version and
// the flags.
func sourceKey(ctx context.Context, folder string) (string, error) {
	const format = `{{if not .Standard}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}`
	out, err := goCommand(ctx, folder, "list", "-deps", "-f", format, ".")
	if err != nil {
		return "", err
	}
	version, err := goCommand(ctx, folder, "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	files := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(files)
	h := sha256.New()
	fmt.Fprintln(h, strings.TrimSpace(version), flags)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, filepath.Base(filepath.Dir(name)), filepath.Base(name), len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// goCommand runs the go command for the guests' target and returns what it printed.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: go %s: %w\n%s", dir, args[0], err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
