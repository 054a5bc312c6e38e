package abi

// Owner tags everything that a driver creates, so that list finds it and remove touches nothing else.
type Owner struct {
	ID     string `json:"id"`     // random, made at the agent's first start, [0-9a-z]{16}
	Runner string `json:"runner"` // the runner's stable key; informative
}

// Bootstrap is what belongs to one machine alone and reaches its guest: how the host will log in and how it will know the
// machine again.
type Bootstrap struct {
	SSHUser        string `json:"ssh_user"`         // the login that must exist
	AuthorizedKey  string `json:"authorized_key"`   // the key that it must let in, one line for authorized_keys
	HostKeyPrivate string `json:"host_key_private"` // the machine's host key, which the host will insist on: OpenSSH PEM, Ed25519
	HostKeyPublic  string `json:"host_key_public"`  // the same, public, one line
	// a script for sh that makes an engine of the machine when root runs it at the first boot; a driver whose provider runs one passes it on, and
	// where it did not run the host logs in. Absent: the host logs in anyway
	FirstBoot string `json:"first_boot,omitempty"`
}

// CreateRequest is the input of create. Create is idempotent by Name: called again it returns the machine that there is.
type CreateRequest struct {
	ABI       int               `json:"abi"`              // the version that the host speaks
	Owner     Owner             `json:"owner"`            // what all that is created must be tagged with
	Name      string            `json:"name"`             // the machine's name and its key, RFC 1123
	Options   Options           `json:"options"`          // checked, with defaults filled in
	Bootstrap Bootstrap         `json:"bootstrap"`        // what the machine must let in and be known by
	Labels    map[string]string `json:"labels,omitempty"` // for the provider's labels or tags, as far as it has them
	// RFC 3339, in UTC: when the provider may end the machine by itself, as far as it can; absent: never
	ExpiresAt string `json:"expires_at,omitempty"`
}

// ListRequest is the input of list.
type ListRequest struct {
	ABI     int     `json:"abi"`     // the version that the host speaks
	Owner   Owner   `json:"owner"`   // whose instances to list
	Options Options `json:"options"` // checked, with defaults filled in
	// also those of other owners, for people to look at; a driver that can't tell them lists the owner's own
	AllOwners bool `json:"all_owners,omitempty"`
}

// ListResult is the output of list: every instance that bears the owner's tag.
type ListResult struct {
	Instances []Instance `json:"instances"` // in any order; one without a proper name is left out, and the list is then not complete
	Complete  bool       `json:"complete"`  // false: a part could not be read, so that absence means nothing
}

// RemoveRequest is the input of remove. Remove is idempotent: a machine that is gone is success.
type RemoveRequest struct {
	ABI     int     `json:"abi"`             // the version that the host speaks
	Owner   Owner   `json:"owner"`           // whose machine it is; nothing without this tag may be touched
	Name    string  `json:"name"`            // the machine's name
	ID      string  `json:"id,omitempty"`    // the instance's, when it is known
	Options Options `json:"options"`         // checked, with defaults filled in
	State   Raw     `json:"state,omitempty"` // the driver's own, from the instance
}

// CheckRequest is the input of check, which tries what the driver needs to be allowed and makes nothing.
type CheckRequest struct {
	ABI     int     `json:"abi"`     // the version that the host speaks
	Owner   Owner   `json:"owner"`   // whose machines they would be
	Options Options `json:"options"` // as those of create: checked, with defaults filled in
}

// CheckResult is the output of check. No permissions at all mean that the driver has no check, as if it did not export it.
type CheckResult struct {
	Permissions []Permission `json:"permissions"` // each that the driver needs with these options, in the order in which to show them
}

// Permission is one thing that the driver needs to be allowed, and whether it is.
type Permission struct {
	Name    string           `json:"name"`              // as the provider names it: ec2:RunInstances
	Result  PermissionResult `json:"result"`            // one that the host does not know counts as unknown
	Purpose string           `json:"purpose,omitempty"` // what it is for, one line
	Without string           `json:"without,omitempty"` // what follows where it is missing: what is not done then, and what goes on
	Fix     string           `json:"fix,omitempty"`     // what to do where it is not granted
	Message string           `json:"message,omitempty"` // why it is denied or not known, in the provider's words
}

// PermissionResult is what a try of a permission came to.
type PermissionResult string

// The results of a check.
const (
	PermissionGranted PermissionResult = "granted" // the provider says that it would do it
	PermissionDenied  PermissionResult = "denied"  // the provider says that it would not
	PermissionUnknown PermissionResult = "unknown" // it can't be told without making something, or the provider did not say
)

// SwitchRequest is the input of start, stop, restart and kill; it says the same as that of remove.
type SwitchRequest = RemoveRequest

// CodeNoSwitch is the code of the error, of the kind invalid, with which a driver says that it can't switch machines off and on.
const CodeNoSwitch = "no_switch"

// LogsRequest is the input of logs; it says the same as that of remove. The result is a string: the end of what the machine wrote to its console,
// as its provider keeps it. The host shows 1 MB of it at most.
type LogsRequest = RemoveRequest

// CodeNoLogs is the code of the error, of the kind invalid, with which a driver says that its provider keeps no console.
const CodeNoLogs = "no_logs"

// ValidateRequest is the input of validate.
type ValidateRequest struct {
	ABI     int     `json:"abi"`              // the version that the host speaks
	Options Options `json:"options"`          // of drivers: as the user wrote them, with defaults filled in
	Config  Raw     `json:"config,omitempty"` // of policies: the module's own configuration
}

// ValidateResult lists what is wrong; empty means all is well.
type ValidateResult struct {
	Problems []Problem `json:"problems"` // one for each thing that is wrong
}

// Problem is one thing that is wrong with an option.
type Problem struct {
	Option  string `json:"option"`            // the option's name, or the path into config; empty when it is about no one of them
	Message string `json:"message"`           // what was found and what is allowed
	Warning bool   `json:"warning,omitempty"` // true when it may stay
}

// Status is the state of an instance as its provider reports it.
type Status string

// The statuses. Unknown is not gone.
const (
	StatusCreating    Status = "creating"    // asked for; there may be no address yet
	StatusRunning     Status = "running"     // up
	StatusStopped     Status = "stopped"     // there, and switched off
	StatusGone        Status = "gone"        // deleted, or being deleted with no way back
	StatusInterrupted Status = "interrupted" // the provider takes it back soon
	StatusUnknown     Status = "unknown"     // the provider does not say, or says what the driver does not know; it is not gone
)

// Instance is the provider's record of a machine.
type Instance struct {
	Name       string `json:"name"`                  // the machine's
	ID         string `json:"id"`                    // the provider's
	Status     Status `json:"status"`                // one that the host does not know counts as unknown, and unknown is not gone
	Message    string `json:"message,omitempty"`     // why, in the provider's words
	Address    string `json:"address,omitempty"`     // IP address or hostname where the agent reaches it; absent while there is none
	SSHPort    int    `json:"ssh_port,omitempty"`    // 0 means 22
	SSHUser    string `json:"ssh_user,omitempty"`    // where the login is another one than the bootstrap's
	EnginePort int    `json:"engine_port,omitempty"` // 0 means 2376
	GPUs       int    `json:"gpus,omitempty"`        // NVIDIA GPUs that it has; the host waits until they answer
	CreatedAt  string `json:"created_at,omitempty"`  // RFC 3339
	State      Raw    `json:"state,omitempty"`       // the driver's own, opaque to the host, handed back to remove
	Owner      string `json:"owner,omitempty"`       // the id of the owner's tag; required in the answer to all_owners
	// of status gone: why the provider never made it, where that shows only after create has answered, as a stock-out does at some
	Error *Error `json:"error,omitempty"`
}

// Result is the envelope that every export of a driver but describe returns: one of its fields is set.
type Result struct {
	OK    Raw    `json:"ok,omitempty"`    // the export's result
	Error *Error `json:"error,omitempty"` // why there is none
}
