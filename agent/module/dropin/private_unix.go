//go:build unix

package dropin

import (
	"fmt"
	"os"
)

// private refuses a file or folder that group or others can write, since whoever can may run modules here. What lies on a file system
// that is mounted read-only, as Kubernetes mounts a ConfigMap, nobody can write.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 && !readOnly(path) {
		return fmt.Errorf("%s: group or others can write it (mode %04o), so it is ignored; run chmod go-w %s", path, mode, path)
	}
	return nil
}
