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
	// Requests are those that its calls sent by http_send, and Refused those of them that got no answer.
	Requests, Refused uint64
	Within            [len(StatsBounds)]uint64 // calls that took at most StatsBounds, of the same index; the rest took longer
}

// StatsBounds are durations in seconds by which calls are counted. A decision takes parts of a millisecond, a driver's call seconds.
var StatsBounds = [...]float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5, 15, 60}

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
	for i, bound := range StatsBounds {
		if u.Time.Seconds() <= bound {
			s.Within[i]++
		}
	}
	s.Fuel += float64(u.Fuel)
	s.Requests += uint64(u.Requests)
	s.Refused += uint64(u.Refused)
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
