// Package machinefile keeps what a driver must know of a machine when no provider remembers it: a file in the machine's folder of the store,
// beside the journal's. It serves drivers that run in the agent itself; the journal takes the folder away with the machine.
package machinefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/millwright-ci/millwright/agent/journal"
)

// File is the file's name. The journal reads it too, for the driver's part of config.json.
const File = "driver.json"

// Folder is the store's folder of machines. Records of type T are kept there; two drivers share it, so a record says whose it is.
type Folder[T any] struct{ Store string }

// machineName is docker-machine's rule for names. It keeps a name from leaving its folder.
var machineName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$`)

// Dir is the machine's folder.
func (f Folder[T]) Dir(name string) string { return filepath.Join(f.Store, "machines", name) }

// Load returns a machine's record; ok is false when there is none.
func (f Folder[T]) Load(name string) (record T, ok bool, err error) {
	data, err := os.ReadFile(filepath.Join(f.Dir(name), File))
	if errors.Is(err, fs.ErrNotExist) {
		return record, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err != nil {
		return record, false, fmt.Errorf("%s of the machine %s can't be read: %w", File, name, err)
	}
	return record, true, nil
}

// Save replaces a machine's record as a whole, mode 0600: it may hold secrets. What it returns nil for is on disk.
func (f Folder[T]) Save(name string, record T) error {
	if !machineName.MatchString(name) {
		return fmt.Errorf("the machine name %q is not 1 to 63 letters, digits, dots and hyphens with a letter or digit first", name)
	}
	data, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.Dir(name), 0o700); err != nil {
		return err
	}
	return replace(filepath.Join(f.Dir(name), File), append(data, '\n'))
}

// Delete forgets a machine's record, and its folder where nothing else is in it.
func (f Folder[T]) Delete(name string) error {
	if err := os.Remove(filepath.Join(f.Dir(name), File)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = os.Remove(f.Dir(name)) // it stays when the journal has files there
	return nil
}

// Names lists the machines that have a record, in order.
func (f Folder[T]) Names() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(f.Store, "machines"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if _, err := os.Lstat(filepath.Join(f.Dir(e.Name()), File)); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// replace writes beside path and renames: a reader sees the old content or the new, also after a crash.
func replace(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-"+File+"-*") // made 0600; the journal sweeps what a crash leaves
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return err
	}
	return journal.SyncDir(filepath.Dir(path))
}
