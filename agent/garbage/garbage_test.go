package garbage

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func percent() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

// awaitPercent collects until the collector has been told.
func awaitPercent(t *testing.T, what string, ok func(int) bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		if ok(percent()) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %d %%", what, percent())
		}
	}
}

func TestWanted(t *testing.T) {
	for _, tt := range []struct {
		least, lives uint64
		want         int
	}{
		{6 << 20, 100 << 20, 25}, {6 << 20, 24 << 20, 25}, {6 << 20, 12 << 20, 50}, {6 << 20, 4 << 20, 150}, {6 << 20, 1 << 20, mostPercent}, {6 << 20, 0, mostPercent}, {0, 1, 25},
	} {
		if got := wanted(25, tt.least, tt.lives); got != tt.want {
			t.Errorf("%d of %d: %d %%, want %d", tt.least, tt.lives, got, tt.want)
		}
	}
}

// The collector follows the heap as it grows and shrinks, and those who are frugal come first.
func TestKeep(t *testing.T) {
	Keep(25, 6<<20)
	small := func(p int) bool { return p > 50 }
	few := func(p int) bool { return p == 25 }
	awaitPercent(t, "a small heap", small)
	large := make([]byte, 64<<20)
	awaitPercent(t, "a large heap", few)
	runtime.KeepAlive(large)

	one, two := Frugal(), Frugal()
	large = nil
	runtime.GC()
	one()
	runtime.GC()
	if p := percent(); p != frugalPercent {
		t.Errorf("%d %% while somebody is frugal", p)
	}
	two()
	awaitPercent(t, "a heap that has shrunk", small)
}

// What somebody else has set lower stays.
func TestFrugalAlready(t *testing.T) {
	Keep(10, 0)
	awaitPercent(t, "few", func(p int) bool { return p == 10 })
	end := Frugal()
	if p := percent(); p != 10 {
		t.Errorf("%d %%", p)
	}
	end()
}
