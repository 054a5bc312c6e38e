package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tempPrefix marks files that are being written.
const tempPrefix = ".tmp-"

// writeFile replaces path as a whole, with mode 0600: a reader sees the old content or the new, also after a crash. When it returns
// nil the new content is on disk.
func writeFile(path string, data []byte) error { return replaceFile(path, data, func(string) {}) }

// replaceFile is writeFile that tells of each change of the disk before it is made.
func replaceFile(path string, data []byte, change func(what string)) error {
	dir := filepath.Dir(path)
	change("write " + filepath.Base(path))
	f, err := os.CreateTemp(dir, tempPrefix+filepath.Base(path)+"-*") // made 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		change("put " + filepath.Base(path))
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return SyncDir(dir)
}

// put is writeFile for a file of the state directory itself that is no machine's. It tells of each change of what.
func (j *Journal) put(file, what string, data []byte) error {
	return replaceFile(filepath.Join(j.dir, file), data, func(change string) { j.watch("", what+": "+change) })
}

// sweep finishes what a crash cut off: removals, and writes that left a file half written.
func (j *Journal) sweep() error {
	if err := sweepTemps(j.dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(j.machines())
	if err != nil {
		return fmt.Errorf("machine store: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(j.machines(), e.Name())
		switch {
		case !e.IsDir():
		case strings.HasPrefix(e.Name(), removedPrefix):
			err = os.RemoveAll(path)
		case !strings.HasPrefix(e.Name(), "."):
			err = sweepFolder(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepFolder removes half-written files of ours, and the folder when it holds nothing else: that is a first write that was cut off.
func sweepFolder(path string) error {
	if exists(filepath.Join(path, handFile)) {
		return nil // somebody may be writing there now
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil // Load reports it
	}
	if err := sweepTemps(path); err != nil {
		return err
	}
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !isTemp(e.Name()) }) {
		return os.Remove(path)
	}
	return nil
}

// sweepTemps removes files in dir whose writing was cut off.
func sweepTemps(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() && isTemp(e.Name()) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
