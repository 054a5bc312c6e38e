package abi

// Version is the ABI that this package describes. A module states it in its description.
//
// History: 1, the first.
const Version = 1

// Kinds of module, as a description states them.
const (
	KindPolicy = "policy"
	KindDriver = "driver"
)

// Exports of a module. A policy must export describe and decide, a driver describe, validate, create, list and remove.
const (
	ExportDescribe = "describe"
	ExportValidate = "validate"

	ExportDecide  = "decide"
	ExportObserve = "observe"

	ExportCreate = "create"
	ExportList   = "list"
	ExportRemove = "remove"
)

// Raw is a JSON value that is passed on as it is. Its zero value stands for null.
type Raw []byte

// MarshalJSON returns r itself, or null when r is empty.
func (r Raw) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON keeps a copy of data.
func (r *Raw) UnmarshalJSON(data []byte) error {
	*r = append((*r)[:0], data...)
	return nil
}

// ErrorKind tells the host what to do about a failed call; the host alone retries.
type ErrorKind string

// The kinds of error that cross the boundary.
const (
	NotFound    ErrorKind = "not_found"    // the thing does not exist (for remove: done)
	Conflict    ErrorKind = "conflict"     // it exists already, or is being changed by somebody else
	Quota       ErrorKind = "quota"        // the account's limit is reached
	Capacity    ErrorKind = "capacity"     // the provider has none left of what was asked for
	Auth        ErrorKind = "auth"         // credentials are missing, wrong or lack a right
	RateLimited ErrorKind = "rate_limited" // too many calls; see RetryAfterS
	Invalid     ErrorKind = "invalid"      // the request can never work as it stands
	Transient   ErrorKind = "transient"    // worth another try
)

// Error is a failure as data.
type Error struct {
	Kind        ErrorKind `json:"kind"`
	Message     string    `json:"message"`                 // what failed and what to do, for people
	Code        string    `json:"code,omitempty"`          // the provider's own code
	RetryAfterS int       `json:"retry_after_s,omitempty"` // seconds to wait at least, when the provider said so
}

func (e *Error) Error() string {
	if e.Code != "" {
		return string(e.Kind) + ": " + e.Message + " (" + e.Code + ")"
	}
	return string(e.Kind) + ": " + e.Message
}

// Describe is what every module returns from its describe export; its input is empty.
type Describe struct {
	ABI     int    `json:"abi"`
	Kind    string `json:"kind"` // policy or driver
	Name    string `json:"name"` // lower case letters, digits and hyphens
	Version string `json:"version,omitempty"`
	Summary string `json:"summary,omitempty"` // one line for people

	Hostnames []string `json:"hostnames,omitempty"` // what it wants to talk to: host[:port] with scheme, globs, unix:///path

	// Of policies only.
	Position     int          `json:"position,omitempty"`      // place in the chain; 0 means after the built-in ones (100)
	WantMachines bool         `json:"want_machines,omitempty"` // list the machines in the snapshot
	WantHistory  *HistoryWish `json:"want_history,omitempty"`  // give the past in the snapshot

	// Of drivers only.
	Options []Option `json:"options,omitempty"`
}

// Option is one driver option, as MachineOptions and the command line name it.
type Option struct {
	Name     string     `json:"name"` // with the driver's prefix: docker-image
	Type     OptionType `json:"type"`
	Env      string     `json:"env,omitempty"`     // environment variable that gives its default
	Default  string     `json:"default,omitempty"` // in the form a user would write
	Required bool       `json:"required,omitempty"`
	Secret   bool       `json:"secret,omitempty"` // reaches the guest as a reference, never as its value
	Help     string     `json:"help"`
}

// OptionType is the type of a driver option.
type OptionType string

// The types of option. A list option may be given several times; a bool stands alone or has =true or =false.
const (
	OptionString OptionType = "string"
	OptionInt    OptionType = "int"
	OptionBool   OptionType = "bool"
	OptionList   OptionType = "list"
)

// Options are a driver's options by name, each as the list of the values that were given (one, but for lists). A bool is "true"
// or "false". Defaults are filled in by the host.
type Options map[string][]string

// Get returns the last value of an option, or "" when it was not given.
func (o Options) Get(name string) string {
	if v := o[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// Bool tells whether a bool option is on.
func (o Options) Bool(name string) bool { return o.Get(name) == "true" }
