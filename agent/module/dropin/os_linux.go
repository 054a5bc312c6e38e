package dropin

import (
	"io/fs"
	"syscall"
)

// identity tells which file info is of and when it was changed last, even by somebody who sets back its time.
func identity(info fs.FileInfo) (device, inode uint64, changed int64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, 0
	}
	return uint64(st.Dev), st.Ino, st.Ctim.Nano() //nolint:unconvert // Dev is narrower on some architectures
}

// mountedReadOnly is ST_RDONLY of statfs(2).
const mountedReadOnly = 1

func readOnly(path string) bool {
	var st syscall.Statfs_t
	return syscall.Statfs(path, &st) == nil && st.Flags&mountedReadOnly != 0
}
