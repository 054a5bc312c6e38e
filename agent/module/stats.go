package module

import (
	"cmp"
	"slices"
	"sync"
)

// Stats are the calls of one export of the modules of one name, over all generations.
type Stats struct {
	Module  string
	Kind    string
	Export  string
	Calls   uint64
	Errors  uint64
	Seconds float64 // that the calls took together
	Fuel    float64 // that they used together; see Usage
}

// counters holds the stats of a host.
type counters struct {
	mu    sync.Mutex // guards byKey
	byKey map[[3]string]*Stats
}

func (c *counters) note(kind, name, export string, u Usage, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [3]string{kind, name, export}
	s := c.byKey[key]
	if s == nil {
		if c.byKey == nil {
			c.byKey = map[[3]string]*Stats{}
		}
		s = &Stats{Kind: kind, Module: name, Export: export}
		c.byKey[key] = s
	}
	s.Calls++
	if failed {
		s.Errors++
	}
	s.Seconds += u.Time.Seconds()
	s.Fuel += float64(u.Fuel)
}

// Stats returns what was counted since the host was made, sorted by module and export.
func (h *Host) Stats() []Stats {
	h.counters.mu.Lock()
	defer h.counters.mu.Unlock()
	out := make([]Stats, 0, len(h.counters.byKey))
	for _, s := range h.counters.byKey {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Stats) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Module, b.Module), cmp.Compare(a.Export, b.Export))
	})
	return out
}
