//go:build unix

package config

import (
	"fmt"
	"os"
)

// readPrivate reads a file that only its owner can write. The check is made on the open file, so that nobody can change it in between.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return nil, fmt.Errorf("%s: group or others can write it (mode %04o), and it grants rights; run chmod go-w %s", path, mode, path)
	}
	return readAll(f)
}
