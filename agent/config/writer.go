package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Writer changes a config.toml. While it is open it holds a lock that other Writers, of any process, respect; who edits the file
// without one is noticed, and the change made anew on what he wrote.
type Writer struct {
	path   string // with links followed
	unlock func()
}

const (
	lockPatience = 30 * time.Second
	lockPause    = 50 * time.Millisecond
	writeTries   = 5
)

// errLocked means that another process holds the lock.
var errLocked = errors.New("another process is changing it")

// OpenWriter locks the config.toml at path and makes sure that it can be written, before anything is done that would be lost
// otherwise. Missing folders are made, 0700. It waits for another Writer up to half a minute, or until ctx ends.
func OpenWriter(ctx context.Context, path string) (*Writer, error) {
	path, err := follow(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	unlock, err := waitForLock(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	w := &Writer{path: path, unlock: unlock}
	if err := w.probe(); err != nil {
		w.Close()
		return nil, fmt.Errorf("configuration %s can't be written: %w", path, err)
	}
	return w, nil
}

// Close gives the lock back.
func (w *Writer) Close() { w.unlock() }

// Path is the file that is written, with links followed.
func (w *Writer) Path() string { return w.path }

// follow returns where a path leads to over links, also when there is nothing yet.
func follow(path string) (string, error) {
	for range 40 { // as many links as Linux follows
		to, err := os.Readlink(path)
		if err != nil {
			real, err := filepath.EvalSymlinks(filepath.Dir(path))
			if errors.Is(err, fs.ErrNotExist) {
				return filepath.Abs(path)
			}
			return filepath.Join(real, filepath.Base(path)), err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("%s: too many links", path)
}

func waitForLock(ctx context.Context, path string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		unlock, err = lockFile(path)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(lockPause):
		}
	}
}

// probe writes as much as the file holds, and a little more, beside it.
func (w *Writer) probe() error {
	data, err := w.read()
	if err != nil {
		return err
	}
	name, err := w.temp(append(data, make([]byte, 4<<10)...))
	if name != "" {
		os.Remove(name)
	}
	return err
}

// read returns the file's text; a missing one is empty.
func (w *Writer) read() ([]byte, error) {
	data, err := readFile(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Update changes the file. change may be called several times, each time with what the file holds then; it has no other effect than
// on the Document. The file is replaced as a whole: a reader sees the old text or the new. It keeps its mode and owner; a new one is
// for its owner alone. When change alters nothing, nothing is written.
func (w *Writer) Update(change func(*Document) error) error {
	for range writeTries {
		before, err := w.read()
		if err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
		d, err := ParseDocument(before)
		if err == nil {
			err = change(d)
		}
		if err != nil {
			return fmt.Errorf("configuration %s: %w", w.path, err)
		}
		if bytes.Equal(before, d.Bytes()) {
			return nil
		}
		err = w.replace(before, d.Bytes())
		if !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("configuration %s: somebody else keeps changing it; try again", w.path)
}

// Try tells whether a change could be made, without making it.
func (w *Writer) Try(change func(*Document) error) error {
	data, err := w.read()
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	d, err := ParseDocument(data)
	if err == nil {
		err = change(d)
	}
	if err != nil {
		return fmt.Errorf("configuration %s: %w", w.path, err)
	}
	return nil
}

// errChanged means that somebody wrote the file meanwhile.
var errChanged = errors.New("changed meanwhile")

// replace puts data in the place of the file, when that still holds before.
func (w *Writer) replace(before, data []byte) error {
	name, err := w.temp(data)
	if err == nil {
		err = w.likeOld(name)
	}
	if err != nil {
		if name != "" {
			os.Remove(name)
		}
		return fmt.Errorf("configuration %s: %w", w.path, err)
	}
	if now, err := w.read(); err != nil || !bytes.Equal(now, before) {
		os.Remove(name)
		return errors.Join(errChanged, err)
	}
	err = os.Rename(name, w.path)
	if errors.Is(err, syscall.EBUSY) { // the file itself is a mount, as in a container: it can't be replaced
		err = w.overwrite(data)
		if err == nil {
			os.Remove(name)
		}
	}
	if err != nil {
		return fmt.Errorf("configuration %s: %w; what should stand there lies in %s: move it there by hand", w.path, err, name)
	}
	return syncFolder(filepath.Dir(w.path))
}

// temp writes data to a new file beside the real one, 0600 and on disk. With an error the name may be there all the same.
func (w *Writer) temp(data []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(w.path), "."+filepath.Base(w.path)+"-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return f.Name(), errors.Join(err, f.Close())
}

// likeOld gives a file the mode and owner of the one that it replaces.
func (w *Writer) likeOld(name string) error {
	old, err := os.Stat(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := chownLike(name, old); err != nil {
		return fmt.Errorf("keeping its owner: %w", err)
	}
	return os.Chmod(name, old.Mode().Perm())
}

// overwrite writes in place.
func (w *Writer) overwrite(data []byte) error {
	f, err := os.OpenFile(w.path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
