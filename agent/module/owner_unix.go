//go:build unix

package module

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ownedByUs refuses a folder of another user.
func ownedByUs(info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	return fmt.Errorf("belongs to the user %d, not to the agent's (%d); native code from there would be run, so give the agent one of its own", st.Uid, os.Geteuid())
}
