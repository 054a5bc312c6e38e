package dropin_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestHammerReloads replaces a module many times while the chain decides without a pause: no decision fails, each sees the module of
// before or after, and the heap and the mapped code are what they were.
func TestHammerReloads(t *testing.T) {
	w := newWorld(t)
	for _, name := range module.BuiltinPolicies { // whose memory grows for a while with the calls
		w.drop(name+".wasm", moduletest.TinyPolicy(name, `{}`))
	}
	w.drop("a.wasm", wants(100))
	w.start()
	reload := func(from, to int) {
		ctx, stop := context.WithCancel(t.Context())
		var deciders sync.WaitGroup
		deciders.Go(func() {
			for ctx.Err() == nil {
				d := w.decide()
				if len(d.Steps) != 3 || d.Steps[2].Err != "" || d.IdleTarget < 100 {
					t.Errorf("decided %+v", d)
					return
				}
			}
		})
		for n := from; n < to; n++ {
			w.drop("a.wasm", wants(n))
			w.until("it is swapped", func() bool {
				r := w.r.Records()
				return len(r) > 0 && r[len(r)-1].Decision.IdleTarget == n
			})
		}
		stop()
		deciders.Wait()
	}
	reload(101, 131)
	before, code := moduletest.Footprint(t)
	reload(131, 331)
	after, codeAfter := moduletest.Footprint(t)
	t.Logf("before 200 reloads: live heap %d KB, mapped code %d KB; after: %d KB, %d KB", before>>10, code>>10, after>>10, codeAfter>>10)
	if after > before+before/10 || codeAfter > code+code/10 {
		t.Errorf("the heap went from %d to %d bytes, mapped code from %d to %d", before, after, code, codeAfter)
	}
	left, err := filepath.Glob(filepath.Join(w.state, "modules", "policies", "a", "*.wasm"))
	if err != nil || len(left) > 4 {
		t.Errorf("kept are %v, %v", left, err)
	}
}

// A writer that never leaves its file alone breaks nothing, and what it writes in the end is used.
func TestFlappingWriter(t *testing.T) {
	w := newWorld(t)
	w.drop("a.wasm", wants(7))
	w.start()
	w.decides(7)
	path := filepath.Join(w.policies, "a.wasm")
	for n := range 300 {
		data := wants(1000 + n)
		if n%3 == 0 {
			data = data[:n%len(data)]
		}
		if n%7 == 0 {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		w.write(path, data)
		if d := w.decide(); d.NoGrowth || d.IdleTarget < 5 {
			t.Fatalf("decided %+v", d)
		}
	}
	w.write(path, wants(8))
	w.decides(8)
	if s := w.status(abi.KindPolicy, "a"); s.Refused != "" {
		t.Errorf("it is %+v", s)
	}
}
