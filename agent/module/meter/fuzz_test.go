package meter

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/tetratelabs/wazero"
)

// FuzzRewrite feeds bytes from anywhere: no panic, no memory beyond a multiple of their length, and what comes out compiles if what
// went in does.
func FuzzRewrite(f *testing.F) {
	f.Add(everything().bytes())
	f.Add(host(nil).bytes())
	for _, p := range hostile() {
		if wasm := p.bytes(); len(wasm) < 4096 {
			f.Add(wasm)
		}
	}
	for seed := range uint64(10) {
		f.Add(newRandom(seed, false, nil).p.bytes())
	}
	rt := wazero.NewRuntimeWithConfig(f.Context(), wazero.NewRuntimeConfigInterpreter())
	compile := func(t *testing.T, wasm []byte) error {
		m, err := rt.CompileModule(t.Context(), wasm)
		if err == nil {
			err = m.Close(t.Context())
		}
		return err
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		metered, err := Rewrite(wasm, Options{Limits: Limits{FunctionWork: 1 << 20}})
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20+500*uint64(len(wasm)) {
			t.Errorf("%d bytes took %d KB", len(wasm), took>>10)
		}
		if err != nil {
			return
		}
		if again, err := Rewrite(wasm, Options{Limits: Limits{FunctionWork: 1 << 20}}); err != nil || !bytes.Equal(again, metered) {
			t.Errorf("another time it is another module: %v", err)
		}
		if err := compile(t, metered); err == nil || hasCustom(wasm) {
			return // what stands in a custom section may break the engine, which is one reason to drop them
		}
		if compile(t, wasm) == nil {
			t.Errorf("it compiles, and metered it does not: %v", err)
		}
	})
}

func hasCustom(wasm []byte) bool {
	r := &reader{data: wasm, pos: len(header)}
	for r.more() {
		if r.byte() == sectionCustom {
			return true
		}
		r.bytes(r.u32())
	}
	return false
}
