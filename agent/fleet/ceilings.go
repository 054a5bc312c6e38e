package fleet

import "time"

// Ceilings are the operator's own limits, of millwright.toml, which hold whatever policies and config.toml say. 0 or less sets none.
type Ceilings struct {
	MaxMachines       int           // in any state
	MaxCreatesPerHour int           // machines that providers are asked for within an hour, failures included
	MaxMachineAge     time.Duration // since its creation was decided; an older machine takes no more jobs and goes
}

// Agent is what a runner's pool knows of the agent as a whole, for the ceilings.
type Agent struct {
	Machines   int // of the other runners, in any state
	Live       int // those of them that are not being removed
	Creates    int // machines that were asked for within the last hour, of all runners
	OwnCreates int // those of them that are the runner's own
}

// Freeze is the operator's word that nothing is created or removed. The zero value is none.
type Freeze struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is taken back
	Reason string    `json:"reason,omitempty"`
}

// Active tells whether f holds at now.
func (f Freeze) Active(now time.Time) bool {
	return !f.Since.IsZero() && (f.Until.IsZero() || now.Before(f.Until))
}

// Hold is the operator's word that a machine is kept for a look at it. The zero value is none.
type Hold struct {
	Until  time.Time `json:"until"`
	Reason string    `json:"reason,omitempty"`
}

// Held tells whether the machine is kept for a look at it. Who owns the machine takes the hold away when it ends.
func (m *Machine) Held() bool { return !m.Hold.Until.IsZero() }

// Kept tells whether the machine takes no jobs because the operator says so.
func (m *Machine) Kept() bool { return m.Cordoned || m.Held() }
