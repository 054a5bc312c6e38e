//go:build unix

package provision

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/millwright-ci/millwright/agent/wait"
)

// lock takes the lock file at path, waiting for other processes, and returns its release. The kernel frees it when the process dies.
func lock(ctx context.Context, path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		if err := wait.For(ctx, 10*time.Millisecond); err != nil {
			f.Close()
			return nil, err
		}
	}
}
