package module

import (
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// maxRecords is how many decisions a chain remembers.
const maxRecords = 32

// Record is a decision that held for a while: those that only repeat it are counted.
type Record struct {
	First, Last time.Time
	Times       int
	Decision    fleet.Decision
	Shadows     []fleet.Step // what policies in shadow proposed, the last time
}

// note remembers a decision and what it was made of.
func (c *Chain) note(d fleet.Decision, s *seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = s
	if n := len(c.records); n > 0 && same(c.records[n-1].Decision, d) {
		r := &c.records[n-1]
		r.Last, r.Decision = d.At, d
		r.Times++
		return
	}
	if len(c.records) == maxRecords {
		c.records = slices.Delete(c.records, 0, 1)
	}
	c.records = append(c.records, Record{First: d.At, Last: d.At, Times: 1, Decision: d})
}

// same tells whether two decisions come to the same for people.
func same(a, b fleet.Decision) bool {
	return a.IdleTarget == b.IdleTarget && a.AsksAhead() == b.AsksAhead() && a.IdleTime == b.IdleTime && a.Reason == b.Reason && a.NoGrowth == b.NoGrowth &&
		a.GrowthLimit == b.GrowthLimit && a.MaxBuilds == b.MaxBuilds && len(a.Steps) == len(b.Steps)
}

// Records returns the last decisions, the oldest first.
func (c *Chain) Records() []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.records)
}
