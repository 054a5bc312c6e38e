package module_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
)

// TestMemoryUsage checks that the memory which a call tells of is the guest's own.
func TestMemoryUsage(t *testing.T) {
	const mb = 1 << 20
	h := moduletest.Host(t, module.Limits{})
	none, err := h.Load(t.Context(), module.Source{Name: "none", Wasm: moduletest.TinyPolicy("none", "{}")})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		module      *module.Module
		orders      string
		least, most int64
		fails       bool
	}{
		"a guest without memory":  {none, `{}`, 0, 0, false},
		"a Go guest":              {theProbe(t), `{"do":"count"}`, mb, 8 * mb, false},
		"a guest that eats it up": {theProbe(t), `{"do":"eat"}`, 12 * mb, 16 * mb, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := tc.module
			m.Renew()
			_, u, err := m.Measure(t.Context(), "decide", decideWith(t, tc.orders), m.Grants())
			if (err != nil) != tc.fails || u.Memory < tc.least || u.Memory > tc.most {
				t.Errorf("%d bytes, %v; want %d to %d", u.Memory, err, tc.least, tc.most)
			}
		})
	}
}

// TestMemoryIsGivenBack checks that the addresses which an instance reserves are free again when it has been closed, or has failed.
func TestMemoryIsGivenBack(t *testing.T) {
	const instances, each = 40, 16 << 20
	m := theProbe(t)
	before := addresses(t)
	for i := range instances {
		if i%2 == 0 {
			m.Renew()
			if _, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"count"}`)); err != nil {
				t.Fatal(err)
			}
		} else if _, err := m.Call(t.Context(), "decide", decideWith(t, `{"do":"exit"}`)); err == nil {
			t.Fatal("it came back")
		}
	}
	if after := addresses(t); after > before+instances*each/4 {
		t.Errorf("%d MB of addresses after %d instances, %d MB before", after>>20, instances, before>>20)
	}
}

// addresses returns the size of the process's mappings in bytes.
func addresses(t *testing.T) (size int) {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this system doesn't tell how many addresses are in use")
	}
	if _, err := fmt.Sscan(string(statm), &size); err != nil {
		t.Fatal(err)
	}
	return size * os.Getpagesize()
}
