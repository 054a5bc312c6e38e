package dropin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
)

const (
	wasmSuffix = ".wasm"
	tomlSuffix = ".toml"
)

// stamp tells two versions of a file apart without reading it. It follows links, so that a link that is put elsewhere shows.
type stamp struct {
	exists   bool
	size     int64
	modified time.Time
	changed  int64 // when the inode changed, where the system tells
	device   uint64
	inode    uint64
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return stamp{}
	}
	s := stamp{exists: true, size: info.Size(), modified: info.ModTime()}
	s.device, s.inode, s.changed = identity(info)
	return s
}

// pair is the stamps of NAME.wasm and NAME.toml.
type pair struct{ wasm, toml stamp }

func pairOf(path string) pair { return pair{stampOf(path), stampOf(tomlOf(path))} }

func tomlOf(path string) string { return strings.TrimSuffix(path, wasmSuffix) + tomlSuffix }

// scan returns the modules that lie in dir, by name, settings without a module too, and what is wrong with other files there. A folder that does not exist holds none;
// one that others can write is an error.
func scan(dir string) (found map[string]pair, odd map[string]error, err error) {
	found, odd = map[string]pair{}, map[string]error{}
	if dir == "" {
		return found, odd, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return found, odd, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := private(dir); err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		suffix := filepath.Ext(e.Name())
		name := strings.TrimSuffix(e.Name(), suffix)
		switch {
		case suffix != wasmSuffix && suffix != tomlSuffix || strings.HasPrefix(name, "."): // a writer's temporary file
		case !rules.Name(name):
			odd[e.Name()] = fmt.Errorf("%s: a module's file is named in %s; rename it", filepath.Join(dir, e.Name()), rules.NameForm)
		default:
			if p := pairOf(filepath.Join(dir, name+wasmSuffix)); p != (pair{}) {
				found[name] = p
			}
		}
	}
	return found, odd, nil
}

// maxFile bounds what is read of a file, a little more than a module may have.
const maxFile = 64<<20 + 1

// content is a module's two files as they were read.
type content struct {
	wasm, toml []byte
	hasTOML    bool
}

// hash tells contents apart.
func (c content) hash() string {
	h := sha256.New()
	fmt.Fprintln(h, len(c.wasm), c.hasTOML)
	h.Write(c.wasm)
	h.Write(c.toml)
	return hex.EncodeToString(h.Sum(nil))
}

// errAlone means that a module is not beside its settings.
type errAlone struct{ toml string }

func (e errAlone) Error() string {
	module := strings.TrimSuffix(filepath.Base(e.toml), tomlSuffix) + wasmSuffix
	return fmt.Sprintf("%s: there is no %s beside it; put the module there, or remove its settings", e.toml, module)
}

// errUnsettled means that a file changed while it was read.
var errUnsettled = errors.New("it changes while it is read")

// read reads the files of a module that there are, and fails when they are not as seen any more or others can write them.
func read(path string, seen pair) (content, error) {
	var c content
	var err error
	for _, f := range []string{path, tomlOf(path)} {
		real, err := filepath.EvalSymlinks(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return c, err
		}
		for _, p := range []string{real, filepath.Dir(real)} {
			if err := private(p); err != nil {
				return c, err
			}
		}
	}
	if seen.wasm.exists {
		if c.wasm, err = readFile(path); err != nil {
			return c, err
		}
	}
	if seen.toml.exists {
		c.hasTOML = true
		if c.toml, err = readFile(tomlOf(path)); err != nil {
			return c, err
		}
	}
	if pairOf(path) != seen {
		return c, fmt.Errorf("%s: %w", path, errUnsettled)
	}
	return c, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: has %d MB and may have 64", path, info.Size()>>20)
	}
	return os.ReadFile(path)
}
