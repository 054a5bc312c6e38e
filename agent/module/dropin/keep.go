package dropin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// keptGenerations is how many generations of a module stay in the state directory.
const keptGenerations = 4

// keep holds the last good generations of one module: GENERATION.wasm with GENERATION.toml beside it, and what was rolled back.
type keep struct{ dir string }

// avoid is the rolled-back mark: while the file has this hash, generation Use serves instead.
type avoid struct {
	Hash string `json:"hash"` // of the pair of files
	Use  int    `json:"use"`
}

const avoidFile = "rollback.json"

// numbers returns the generations that are kept, the newest first.
func (k keep) numbers() []int {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		if base, is := strings.CutSuffix(e.Name(), wasmSuffix); is {
			if n, err := strconv.Atoi(base); err == nil && n > 0 {
				out = append(out, n)
			}
		}
	}
	slices.SortFunc(out, func(a, b int) int { return cmp.Compare(b, a) })
	return out
}

// load reads one generation.
func (k keep) load(n int) (content, error) {
	var c content
	var err error
	if c.wasm, err = readFile(k.path(n, wasmSuffix)); err != nil {
		return c, err
	}
	c.toml, err = readFile(k.path(n, tomlSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	c.hasTOML = err == nil
	return c, err
}

// save keeps a content and returns its generation: that of the newest if it is the same. It drops the oldest.
func (k keep) save(c content) (int, error) {
	numbers := k.numbers()
	next := 1
	if len(numbers) > 0 {
		newest, err := k.load(numbers[0])
		if err == nil && newest.hash() == c.hash() {
			return numbers[0], nil
		}
		next = numbers[0] + 1
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return next, err
	}
	if c.hasTOML {
		if err := writeFile(k.path(next, tomlSuffix), c.toml); err != nil {
			return next, err
		}
	}
	if err := writeFile(k.path(next, wasmSuffix), c.wasm); err != nil { // last: it is what makes a generation
		return next, err
	}
	for _, old := range numbers[min(len(numbers), keptGenerations-1):] {
		os.Remove(k.path(old, wasmSuffix))
		os.Remove(k.path(old, tomlSuffix))
	}
	return next, nil
}

func (k keep) path(n int, suffix string) string { return filepath.Join(k.dir, strconv.Itoa(n)+suffix) }

// avoided returns the mark of a rollback; its zero value avoids nothing.
func (k keep) avoided() avoid {
	var a avoid
	if k.dir == "" {
		return a
	}
	data, err := os.ReadFile(filepath.Join(k.dir, avoidFile))
	if err != nil || json.Unmarshal(data, &a) != nil {
		return avoid{}
	}
	return a
}

func (k keep) avoid(a avoid) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(k.dir, avoidFile), data)
}

// forgive takes the mark away: the file is another one now. A mark that stays does no harm, since it names the old file's hash.
func (k keep) forgive() {
	if k.dir != "" {
		_ = os.Remove(filepath.Join(k.dir, avoidFile))
	}
}

// writeFile replaces path as a whole, with mode 0600.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
