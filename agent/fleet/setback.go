package fleet

import (
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Setbacks are what failed creations have taught about a runner's machines. They hold later ones back, over restarts too. The zero value is
// none.
type Setbacks struct {
	At     time.Time `json:"at"`      // when they were written down, by the clock of then
	MadeOf string    `json:"made_of"` // a digest of what machines were to be made of; they say nothing of anything else
	// PassedOver are the alternatives that the provider had none of, by their names, with the time until they are not tried.
	PassedOver map[string]time.Time `json:"passed_over,omitempty"`
	Pauses     []Pause              `json:"pauses,omitempty"`
}

// Pause is why and until when nothing is created, for one kind of error.
type Pause struct {
	Kind     abi.ErrorKind `json:"kind"`
	Failures int           `json:"failures"` // in a row
	Since    time.Time     `json:"since"`    // of the last that counted
	Until    time.Time     `json:"until"`
	Err      string        `json:"error"` // the last
}

// None tells whether nothing is held back.
func (s Setbacks) None() bool { return len(s.PassedOver) == 0 && len(s.Pauses) == 0 }

// Last returns when the last of them ends.
func (s Setbacks) Last() time.Time {
	var last time.Time
	for _, until := range s.PassedOver {
		if until.After(last) {
			last = until
		}
	}
	for _, p := range s.Pauses {
		if p.Until.After(last) {
			last = p.Until
		}
	}
	return last
}
