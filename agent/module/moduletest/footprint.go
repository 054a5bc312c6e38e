package moduletest

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// Footprint returns what modules may leave behind in this process, in bytes: the live heap, once finalizers and pools have let go, and
// the native code of modules; 0 where the system does not tell.
func Footprint(t testing.TB) (heap, code uint64) {
	t.Helper()
	var m runtime.MemStats
	for range 5 { // what a finalizer lets go of may have one of its own
		ran := make(chan struct{})
		runtime.SetFinalizer(new([16]byte), func(*[16]byte) { close(ran) })
		runtime.GC()
		<-ran
	}
	runtime.ReadMemStats(&m)
	memory, files := NativeCode()
	return m.HeapAlloc, memory + files
}

// NativeCode returns how many bytes of native code the modules of this process have in memory, which is anonymous then, and in files
// without a name; 0 where the system does not tell.
func NativeCode() (memory, files uint64) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to, offset, inode uint64
		var mode, device string
		n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %x %s %d", &from, &to, &mode, &offset, &device, &inode)
		switch {
		case n < 6 || !strings.Contains(mode, "x"):
		case inode == 0:
			memory += to - from
		case strings.HasSuffix(lines.Text(), "(deleted)"):
			files += to - from
		}
	}
	return memory, files
}
