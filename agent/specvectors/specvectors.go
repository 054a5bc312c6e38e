// Package specvectors is the table of what docker+machine does in numbers, for tests: passes of scaling (V), period expressions (P), the
// documentation's example of periods (D), sequences (S) and bounds (B), and of what the scaling rule of [runners.autoscaler] does (A). Each vector has an id, says what it is about, and holds what is
// expected of the policies, of the plan and of the live pool. Where GitLab Runner does otherwise by a flaw, Today says what, and
// docs/differences.md lists it.
//
// Who runs vectors calls Run, which hands out all of a family for a tag and fails when an expectation is not asserted. So the numbers
// stand here alone, and the package's own test finds families that nobody runs.
package specvectors

import (
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Family is a kind of vector.
type Family string

// The families.
const (
	Passes    Family = "passes"    // V: one scaling pass over a fleet
	Periods   Family = "periods"   // P: one expression at one instant
	Examples  Family = "examples"  // D: the documentation's weekday and weekend sections at one instant
	Sequences Family = "sequences" // S and B: what becomes of a runner over time
	Instances Family = "instances" // A: how many instances a runner with [runners.autoscaler] wants
	Throttles Family = "throttles" // A24: how fast they are created
)

// Tag is who a vector is for.
type Tag string

// The tags.
const (
	Policy Tag = "policy" // a built-in policy, natively and as Wasm
	Plan   Tag = "plan"   // the pure step
	Pool   Tag = "pool"   // the live pool with a cloud in memory, in virtual time
)

// Vector is one example.
type Vector struct {
	ID    string // V12; several instants of one expression share it
	Case  string // tells those apart; "" mostly
	What  string
	Today string // what GitLab Runner does, where Millwright does not; "" where it does the same

	Config   Config  // of passes and sequences
	Machines []Group // of passes: the fleet, from the oldest machine to the newest
	Period   Period  // of periods and examples
	Scaling  Scaling // of instances and throttles

	Want map[Tag]Want // what is expected; the keys are the vector's tags
}

// Name is the vector's as a test.
func (v Vector) Name() string {
	if v.Case == "" {
		return v.ID
	}
	return v.ID + " " + v.Case
}

// Want is what is expected, by name: texts, whole numbers and truth values.
type Want map[string]any

// Config is a runner's configuration in GitLab's words. IdleTime is seconds; what is not there is 0.
type Config struct {
	Concurrent, Limit                 int
	IdleCount, IdleCountMin, IdleTime int
	IdleScaleFactor                   float64
	MaxBuilds, MaxGrowthRate          int
}

// Limits are the guard rails of c.
func (c Config) Limits() fleet.Limits {
	return fleet.Limits{Limit: c.Limit, MaxGrowthRate: c.MaxGrowthRate, MaxBuilds: c.MaxBuilds}
}

// Settings are c as policies see it.
func (c Config) Settings() abi.RunnerSettings {
	return abi.RunnerSettings{
		Limit: c.Limit, Concurrent: c.Concurrent, IdleCount: c.IdleCount, IdleCountMin: c.IdleCountMin, IdleScaleFactor: c.IdleScaleFactor,
		IdleTimeS: int64(c.IdleTime), MaxGrowthRate: c.MaxGrowthRate, MaxBuilds: c.MaxBuilds,
	}
}

// Group is machines alike.
type Group struct {
	State fleet.State
	N     int
	Idle  int // seconds
	Used  int // jobs so far
}

// Fleet makes the vector's machines as they are at now: m000, m001, ..., from the oldest to the newest.
func (v Vector) Fleet(now time.Time) fleet.Fleet {
	var f fleet.Fleet
	for _, g := range v.Machines {
		for range g.N {
			m := &fleet.Machine{
				Name: machineName(len(f)), State: g.State, UsedCount: g.Used,
				CreatedAt: now.Add(time.Duration(len(f))*time.Second - 24*time.Hour),
			}
			if g.State == fleet.Idle || g.State == fleet.Acquired {
				m.IdleSince = now.Add(-time.Duration(g.Idle) * time.Second)
			}
			f = append(f, m)
		}
	}
	return f
}

// Period is an expression at an instant.
type Period struct {
	Expression string
	Zone       string // IANA name
	Now        string // RFC 3339
}

// All returns the whole table.
func All() []Vector {
	var all []Vector
	for _, f := range []Family{Passes, Periods, Examples, Sequences, Instances, Throttles} {
		all = append(all, Of(f)...)
	}
	return all
}

// Of returns a family.
func Of(f Family) []Vector {
	switch f {
	case Passes:
		return passes
	case Periods:
		return periods
	case Examples:
		return examples
	case Sequences:
		return sequences
	case Instances:
		return instances
	case Throttles:
		return throttles
	}
	return nil
}
