package fakecloud

import (
	"net"
	"strconv"
	"time"
)

// Status is a machine's state in the cloud's own words.
type Status string

// The statuses. A machine that is gone has none: it is in no answer.
const (
	Provisioning Status = "provisioning"
	Running      Status = "running"
	Stopped      Status = "stopped"
	Preempting   Status = "preempting" // a spot machine that is taken back soon
	Deleting     Status = "deleting"
)

// Instance is a machine as the API shows it.
type Instance struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Zone       string            `json:"zone,omitempty"`
	Type       string            `json:"type,omitempty"`
	Spot       bool              `json:"spot,omitempty"`
	Status     Status            `json:"status"`
	Message    string            `json:"message,omitempty"`
	Address    string            `json:"address,omitempty"` // absent before it runs
	SSHPort    int               `json:"ssh_port,omitempty"`
	EnginePort int               `json:"engine_port,omitempty"`
	CreatedAt  time.Time         `json:"created_at"`
	Tags       map[string]string `json:"tags,omitempty"`
}

// CreateRequest is the body of a creation.
type CreateRequest struct {
	Name     string            `json:"name"`
	Zone     string            `json:"zone"`
	Type     string            `json:"type"`
	Spot     bool              `json:"spot"`
	Tags     map[string]string `json:"tags"`
	UserData UserData          `json:"user_data"`
	// ExpiresAt is when the cloud ends the machine by itself; zero: never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// UserData is what the machine finds when it boots: who may log in, and its own host key.
type UserData struct {
	SSHUser        string `json:"ssh_user"`
	AuthorizedKey  string `json:"authorized_key"`
	HostKeyPrivate string `json:"host_key_private"`
}

// Page is one page of a list.
type Page struct {
	Instances   []Instance `json:"instances"`
	Next        string     `json:"next,omitempty"`        // of the page after it
	Unreachable []string   `json:"unreachable,omitempty"` // zones that gave no answer: their machines are missing
}

// instance is a machine with its course, so that a list that lags can tell how it stood. Cloud.mu guards it.
type instance struct {
	Instance // its status, address and ports are those of the present
	userData UserData
	fate     Act // of its creation: Mute or Close, or "" for a healthy one

	bootedAt time.Time // zero while it boots
	goingAt  time.Time // when it was asked to go; zero before
	goneAt   time.Time
	changes  []change // in order of time, of what else befell it

	timers  []*time.Timer
	machine *machine // its servers; nil without any
}

// change is a status that was set.
type change struct {
	at      time.Time
	status  Status
	message string
}

// seen returns the machine as it stood at that time; false when it was not there.
func (i *instance) seen(at time.Time) (Instance, bool) {
	if at.Before(i.CreatedAt) || !i.goneAt.IsZero() && !at.Before(i.goneAt) {
		return Instance{}, false
	}
	shown := i.Instance
	shown.Status, shown.Message = Provisioning, ""
	if !i.bootedAt.IsZero() && !at.Before(i.bootedAt) {
		shown.Status = Running
	} else {
		shown.Address, shown.SSHPort, shown.EnginePort = "", 0, 0
	}
	for _, ch := range i.changes {
		if !at.Before(ch.at) {
			shown.Status, shown.Message = ch.status, ch.message
		}
	}
	if !i.goingAt.IsZero() && !at.Before(i.goingAt) {
		shown.Status, shown.Message = Deleting, ""
	}
	return shown, true
}

// now is seen at the present.
func (i *instance) now() Instance {
	shown, _ := i.seen(time.Now())
	return shown
}

// portOf returns the port that l listens on.
func portOf(l net.Listener) int {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	return n
}
