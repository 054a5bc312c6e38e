package journal

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// schemaVersion is the version of millwright.json. A reader takes every version up to its own, and a higher one as long as its
// reads_as says that it may; it ignores fields that it does not know.
//
// History: 1, the first.
const schemaVersion = 1

// record is millwright.json. Times are RFC 3339; a zero time is left out.
type record struct {
	Version int    `json:"version"`
	ReadsAs int    `json:"reads_as"` // the oldest version whose reader understands it
	Owner   string `json:"owner"`    // under which the machine was created

	Name    string      `json:"name"`
	Runner  string      `json:"runner"`
	Driver  string      `json:"driver"`
	Options abi.Options `json:"options,omitempty"`
	State   fleet.State `json:"state"`

	CreatedAt  time.Time `json:"created_at,omitzero"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	ReadyAt    time.Time `json:"ready_at,omitzero"`
	IdleSince  time.Time `json:"idle_since,omitzero"`
	StateSince time.Time `json:"state_since,omitzero"`

	Slots        int     `json:"slots,omitempty"`
	UsedCount    int     `json:"used_count"`
	JobID        int64   `json:"job_id,omitempty"`
	OtherJobs    []int64 `json:"other_job_ids,omitempty"` // beside job_id, on a machine with several slots
	RemoveReason string  `json:"remove_reason,omitempty"`
	RemoveTries  int     `json:"remove_tries,omitempty"`
	RemoveErr    string  `json:"remove_error,omitempty"`

	Cordoned bool        `json:"cordoned,omitempty"`
	Hold     *fleet.Hold `json:"hold,omitempty"`

	SSHUser  string        `json:"ssh_user,omitempty"`
	Instance *abi.Instance `json:"instance,omitempty"` // nil: the provider has not answered yet
}

func encodeRecord(owner string, m fleet.Machine) ([]byte, error) {
	r := record{
		Version: schemaVersion, ReadsAs: schemaVersion, Owner: owner,
		Name: m.Name, Runner: m.Runner, Driver: m.Driver, Options: m.Options, State: m.State,
		CreatedAt: m.CreatedAt, ReadyAt: m.ReadyAt, IdleSince: m.IdleSince, StateSince: m.StateSince,
		Slots: m.Slots, UsedCount: m.UsedCount, JobID: m.JobID, OtherJobs: m.OtherJobs, RemoveReason: m.RemoveReason, RemoveTries: m.RemoveTries,
		RemoveErr: m.RemoveErr, ExpiresAt: m.ExpiresAt, Cordoned: m.Cordoned, SSHUser: m.SSHUser,
	}
	if m.Held() {
		r.Hold = &m.Hold
	}
	if m.Instance.Name != "" || m.Instance.ID != "" {
		r.Instance = &m.Instance
	}
	data, err := json.MarshalIndent(r, "", "  ")
	return append(data, '\n'), err
}

// decodeRecord returns the machine and the owner that it was made under. The folder's name is the machine's, as in docker-machine.
func decodeRecord(name string, data []byte) (fleet.Machine, string, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return fleet.Machine{}, "", err
	}
	switch {
	case r.Version < 1:
		return fleet.Machine{}, "", fmt.Errorf("version %d; 1 or more is expected", r.Version)
	case r.Version > schemaVersion && r.ReadsAs > schemaVersion:
		return fleet.Machine{}, "", fmt.Errorf("version %d is of a newer Millwright; this one reads up to %d", r.Version, schemaVersion)
	case r.Driver == "":
		return fleet.Machine{}, "", fmt.Errorf("it names no driver")
	case !knownState(r.State):
		return fleet.Machine{}, "", fmt.Errorf("unknown state %q", r.State)
	}
	m := fleet.Machine{
		Name: name, Runner: r.Runner, Driver: r.Driver, Options: r.Options, State: r.State,
		CreatedAt: r.CreatedAt, ReadyAt: r.ReadyAt, IdleSince: r.IdleSince, StateSince: r.StateSince,
		Slots: r.Slots, UsedCount: r.UsedCount, JobID: r.JobID, OtherJobs: r.OtherJobs, RemoveReason: r.RemoveReason, RemoveTries: r.RemoveTries,
		RemoveErr: r.RemoveErr, ExpiresAt: r.ExpiresAt, Cordoned: r.Cordoned, SSHUser: r.SSHUser,
	}
	if r.Hold != nil {
		m.Hold = *r.Hold
	}
	if r.Instance != nil {
		m.Instance = *r.Instance
	}
	return m, r.Owner, nil
}

func knownState(s fleet.State) bool {
	switch s {
	case fleet.Creating, fleet.Idle, fleet.Acquired, fleet.Used, fleet.Removing:
		return true
	}
	return false
}
