package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millwright-ci/millwright/agent/journal"
)

// object is a JSON object as it is in config.json.
type object = map[string]any

// decode reads an object; ids that are numbers keep every digit.
func decode(data []byte) (object, error) {
	var o object
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, errors.New("it is no JSON object")
	}
	return o, nil
}

// moveDriver gives the paths in a driver's part of config.json another place: the store's, and those of files in the machine's folder, which
// has moved from the folder from to the folder to.
func moveDriver(driver object, store, from, to string) {
	driver["StorePath"] = store
	for _, key := range []string{"SSHKeyPath", "SSHPrivateKeyPath"} {
		if path, ok := driver[key].(string); ok {
			driver[key] = moved(path, from, to)
		}
	}
}

// moved is where a key is after its machine's folder has moved; one that lies elsewhere stays. That the folder may have been moved before, by hand, is
// allowed for: a key of the right name in it is the machine's.
func moved(path, from, to string) string {
	name := filepath.Base(path)
	if path == "" || !fileExists(filepath.Join(from, name)) || filepath.Dir(path) != from && fileExists(path) {
		return path
	}
	return filepath.Join(to, name)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// copyFolder copies the regular files of a folder that want allows, mode 0600, down to the disk.
func copyFolder(from, to string, want func(name string) bool) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !want(e.Name()) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = writeFile(filepath.Join(to, e.Name()), data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file of a folder that nobody looks at yet.
func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// isLitter is what docker-machine leaves of writes that were cut off, and of formats before.
func isLitter(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "config.json.")
}

// rename moves a folder within one store; what is at the target is an error.
func rename(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w", to, fs.ErrExist)
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return journal.SyncDir(filepath.Dir(to))
}
