package journal

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrLocked means that another process holds the state directory.
var ErrLocked = errors.New("in use by another process")

// takeLock opens and locks the file at path and writes our process id into it. The kernel frees the lock when the process ends,
// however it ends, so the file itself stays and means nothing.
func takeLock(path string) (*os.File, error) {
	f, err := openLocked(path)
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("%w (%s); stop it first, or give this one a state directory of its own", ErrLocked, holder(path))
	}
	if err != nil {
		return nil, err
	}
	if err = f.Truncate(0); err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}

// holder says who holds the lock.
func holder(path string) string {
	data, err := os.ReadFile(path)
	pid := strings.TrimSpace(string(data))
	if err != nil || pid == "" {
		return "its process id is unknown"
	}
	return "process id " + pid
}
