package module_test

import (
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
		"a Go guest":              {moduletest.Load(t, h, probe), `{"do":"count"}`, mb, 8 * mb, false},
		"a guest that eats it up": {moduletest.Load(t, h, probe), `{"do":"eat"}`, 12 * mb, 16 * mb, true},
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
