package abi

// Exports of a driver of groups, which it has in the place of create and remove; heartbeat is optional.
const (
	ExportGroupInfo   = "group_info"
	ExportIncrease    = "increase"
	ExportDecrease    = "decrease"
	ExportConnectInfo = "connect_info"
	ExportHeartbeat   = "heartbeat"
)

// Bounds of what the host asks of a driver of groups, and of what it reads.
const (
	MaxDecrease  = 100    // instances in one decrease
	MaxGroupSize = 10_000 // instances in a list
)

// GroupRequest is the input of group_info.
type GroupRequest struct {
	ABI          int     `json:"abi"`                     // the version that the host speaks
	Owner        Owner   `json:"owner"`                   // who scales the group
	Options      Options `json:"options"`                 // which group: checked, with defaults filled in
	MaxInstances int     `json:"max_instances,omitempty"` // the runner's own bound; 0 sets none
}

// GroupInfo is the output of group_info: which group it is, and what of it would fight with the agent.
type GroupInfo struct {
	ID      string `json:"id"`                 // unique among the groups of the world: aws/eu-west-1/123456789012/builders
	MaxSize int    `json:"max_size,omitempty"` // instances that the group may have at most; 0 sets no bound
	Version string `json:"version,omitempty"`  // of what serves it, for people
	// what must be otherwise with the group, such as a scaling policy of its own; one that is no warning keeps the group from being used
	Problems []Problem `json:"problems"`
}

// IncreaseRequest is the input of increase.
type IncreaseRequest struct {
	ABI     int     `json:"abi"`     // the version that the host speaks
	Owner   Owner   `json:"owner"`   // who scales the group
	Options Options `json:"options"` // which group
	Count   int     `json:"count"`   // by how many instances
}

// IncreaseResult is the output of increase. The instances show up in list, with names that the group gives.
type IncreaseResult struct {
	Count int `json:"count"` // how many were granted; more than was asked for counts as that
}

// DecreaseRequest is the input of decrease.
type DecreaseRequest struct {
	ABI       int      `json:"abi"`       // the version that the host speaks
	Owner     Owner    `json:"owner"`     // who scales the group
	Options   Options  `json:"options"`   // which group
	Instances []string `json:"instances"` // the names of those to remove, as list gives them
}

// DecreaseResult is the output of decrease.
type DecreaseResult struct {
	Instances []string `json:"instances"`       // those whose removal was taken on, or that are gone
	Error     *Error   `json:"error,omitempty"` // why the others stay; absent when there are none
}

// ConnectRequest is the input of connect_info: an instance, and what connector_config says.
type ConnectRequest struct {
	ABI      int     `json:"abi"`                // the version that the host speaks
	Owner    Owner   `json:"owner"`              // who scales the group
	Options  Options `json:"options"`            // which group
	Instance string  `json:"instance"`           // its name, as list gives it
	OS       string  `json:"os,omitempty"`       // linux, windows, darwin; absent: the provider is to tell
	Arch     string  `json:"arch,omitempty"`     // in Go's words
	Protocol string  `json:"protocol,omitempty"` // ssh, winrm or winrm+https
	Username string  `json:"username,omitempty"` // absent: the driver's own default
	// the public half of a key that the host holds, one line for authorized_keys. A driver that can has the instance let it in, and says so.
	// Absent: the operator's own credentials are used, and none are to be made
	AuthorizedKey string `json:"authorized_key,omitempty"`
}

// HeartbeatRequest is the input of heartbeat; it says the same as that of connect_info, without a key.
type HeartbeatRequest = ConnectRequest

// ConnectInfo is the output of connect_info: how the instance is reached. What connector_config says wins over it.
type ConnectInfo struct {
	OS            string `json:"os,omitempty"`             // in Go's words, as the next; absent: unknown
	Arch          string `json:"arch,omitempty"`           // of the instance
	Protocol      string `json:"protocol,omitempty"`       // ssh, winrm or winrm+https; absent: ssh
	Port          int    `json:"port,omitempty"`           // 0 means the protocol's own
	Username      string `json:"username,omitempty"`       // whom to log in as
	InternalAddr  string `json:"internal_addr,omitempty"`  // IP address or hostname inside of the provider's network
	ExternalAddr  string `json:"external_addr,omitempty"`  // IP address or hostname in the internet
	KeyAuthorized bool   `json:"key_authorized,omitempty"` // whether the instance lets in the key of the request
	Password      string `json:"password,omitempty"`       // of the login
	// in the place of password: the login's, encrypted by RSA (PKCS #1 v1.5) for the key of key_path, as base64. The host decrypts it
	EncryptedPassword string `json:"encrypted_password,omitempty"`
	TTLS              int    `json:"ttl_s,omitempty"` // how long the key or the password is good for, from the answer on; 0: it does not end
}
