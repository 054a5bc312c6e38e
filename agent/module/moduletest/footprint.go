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
// the anonymous memory that can be executed, which is the native code of modules; 0 where the system does not tell.
func Footprint(t testing.TB) (heap, code uint64) {
	t.Helper()
	var m runtime.MemStats
	for range 4 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, mappedCode()
}

func mappedCode() (sum uint64) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to, offset, inode uint64
		var mode, device string
		n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %x %s %d", &from, &to, &mode, &offset, &device, &inode)
		if n == 6 && inode == 0 && strings.Contains(mode, "x") {
			sum += to - from
		}
	}
	return sum
}
