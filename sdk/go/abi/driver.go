package abi

// Owner tags everything that a driver creates, so that list finds it and remove touches nothing else.
type Owner struct {
	ID     string `json:"id"`     // random, made at the agent's first start, [0-9a-z]{16}
	Runner string `json:"runner"` // the runner's stable key; informative
}

// Bootstrap is what belongs to one machine alone and reaches its guest: how the host will log in and how it will know the
// machine again.
type Bootstrap struct {
	SSHUser        string `json:"ssh_user"`
	AuthorizedKey  string `json:"authorized_key"`   // one line for authorized_keys
	HostKeyPrivate string `json:"host_key_private"` // OpenSSH PEM, Ed25519
	HostKeyPublic  string `json:"host_key_public"`  // one line
}

// CreateRequest is the input of create. Create is idempotent by Name: called again it returns the machine that there is.
type CreateRequest struct {
	ABI       int               `json:"abi"`
	Owner     Owner             `json:"owner"`
	Name      string            `json:"name"` // the machine's name and its key, RFC 1123, at most 63 characters
	Options   Options           `json:"options"`
	Bootstrap Bootstrap         `json:"bootstrap"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// ListRequest is the input of list.
type ListRequest struct {
	ABI     int     `json:"abi"`
	Owner   Owner   `json:"owner"`
	Options Options `json:"options"`
}

// ListResult is the output of list: every instance that bears the owner's tag.
type ListResult struct {
	Instances []Instance `json:"instances"`
	Complete  bool       `json:"complete"` // false: a part could not be read, so absence means nothing
}

// RemoveRequest is the input of remove. Remove is idempotent: a machine that is gone is success.
type RemoveRequest struct {
	ABI     int     `json:"abi"`
	Owner   Owner   `json:"owner"`
	Name    string  `json:"name"`
	ID      string  `json:"id,omitempty"` // the instance's id, when known
	Options Options `json:"options"`
	State   Raw     `json:"state,omitempty"` // the driver's own, from the instance
}

// ValidateRequest is the input of validate: options as the user wrote them, with defaults filled in.
type ValidateRequest struct {
	ABI     int     `json:"abi"`
	Options Options `json:"options"`
	Config  Raw     `json:"config,omitempty"` // of policies
}

// ValidateResult lists what is wrong; empty means all is well.
type ValidateResult struct {
	Problems []Problem `json:"problems"`
}

// Problem is one thing that is wrong with an option.
type Problem struct {
	Option  string `json:"option"`
	Message string `json:"message"` // what was found and what is allowed
	Warning bool   `json:"warning,omitempty"`
}

// Status is the state of an instance as its provider reports it.
type Status string

// The statuses. Unknown is not gone.
const (
	StatusCreating    Status = "creating"
	StatusRunning     Status = "running"
	StatusStopped     Status = "stopped"
	StatusGone        Status = "gone"
	StatusInterrupted Status = "interrupted" // the provider takes it back soon
	StatusUnknown     Status = "unknown"
)

// Instance is the provider's record of a machine.
type Instance struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Status     Status `json:"status"`
	Message    string `json:"message,omitempty"`     // why, in the provider's words
	Address    string `json:"address,omitempty"`     // where the agent reaches it: IP or hostname
	SSHPort    int    `json:"ssh_port,omitempty"`    // 0 = 22
	SSHUser    string `json:"ssh_user,omitempty"`    // where the login is another one than the bootstrap's
	EnginePort int    `json:"engine_port,omitempty"` // 0 = 2376
	CreatedAt  string `json:"created_at,omitempty"`  // RFC 3339
	State      Raw    `json:"state,omitempty"`       // opaque to the host
}

// Result is the envelope that every export of a driver but describe returns: one of its fields is set.
type Result struct {
	OK    Raw    `json:"ok,omitempty"`
	Error *Error `json:"error,omitempty"`
}
