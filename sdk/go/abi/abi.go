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

// Exports of a module. A policy must export describe and decide, a driver describe, validate, create, list and remove; check is optional. A driver
// of groups has others in the place of create and remove: see ExportGroupInfo.
const (
	ExportDescribe = "describe"
	ExportValidate = "validate"

	ExportDecide  = "decide"
	ExportObserve = "observe"

	ExportCreate = "create"
	ExportList   = "list"
	ExportRemove = "remove"
	ExportCheck  = "check"

	ExportStart   = "start" // these are for people, and may be absent
	ExportStop    = "stop"
	ExportRestart = "restart"
	ExportKill    = "kill"
	ExportLogs    = "logs"
)

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
	Kind        ErrorKind `json:"kind"`                    // what the host does about it; one that it does not know counts as transient
	Message     string    `json:"message"`                 // what failed and what to do, for people
	Code        string    `json:"code,omitempty"`          // the provider's own code
	RetryAfterS int       `json:"retry_after_s,omitempty"` // how long to wait at least, when the provider said so; 0 leaves it to the host
}

func (e *Error) Error() string {
	if e.Code != "" {
		return string(e.Kind) + ": " + e.Message + " (" + e.Code + ")"
	}
	return string(e.Kind) + ": " + e.Message
}

// Describe is what every module returns from its describe export; its input is empty.
type Describe struct {
	ABI     int    `json:"abi"`               // the version that the module was written for
	Kind    string `json:"kind"`              // policy or driver
	Name    string `json:"name"`              // lower case letters, digits and hyphens
	Version string `json:"version,omitempty"` // the module's own, for people
	Summary string `json:"summary,omitempty"` // one line for people

	// What the module wants to talk to, as patterns of grants. Of a built-in driver they are granted, with {option} replaced by that
	// option's value; of all others they are a wish that the operator grants or not. In a policy's wish {name} is that text of its
	// configuration, of a URL its scheme, host and port.
	Hostnames []string `json:"hostnames,omitempty"`

	Position     int          `json:"position,omitempty"`      // of policies: place in the chain, lowest first; 0 means 100. periods is 10, idlescale 20
	WantMachines bool         `json:"want_machines,omitempty"` // of policies: list the machines in the snapshot, which costs more than all the rest
	WantHistory  *HistoryWish `json:"want_history,omitempty"`  // of policies: give the past in the snapshot

	// Of policies: what [config] of NAME.toml may hold, as a JSON Schema of the keywords that ABI.md names. The host checks it before the
	// module is asked to validate, and shows it to people.
	ConfigSchema Raw `json:"config_schema,omitempty"`

	// of drivers: it speaks to groups of instances, by the verbs of groups in the place of create and remove; its options are the keys of plugin_config
	Group bool `json:"group,omitempty"`

	Options []Option `json:"options,omitempty"` // of drivers: what can be set in MachineOptions and on the command line
}

// Option is one driver option, as MachineOptions and the command line name it.
type Option struct {
	Name     string     `json:"name"`               // with the driver's prefix: docker-image; of groups without one
	Type     OptionType `json:"type"`               // how its values are written; the host checks them
	Env      string     `json:"env,omitempty"`      // environment variable that gives its default; read for built-in modules only, or by grant
	Default  string     `json:"default,omitempty"`  // as a user would write it; a list's items separated by commas
	Required bool       `json:"required,omitempty"` // whether it must be set
	Secret   bool       `json:"secret,omitempty"`   // reaches the guest as the text [secret], never as its value
	Role     OptionRole `json:"role,omitempty"`     // what it means to the host; empty: nothing in particular
	Help     string     `json:"help"`               // one line for people

	// of a secret option, and of one for the region: which key of [credentials.NAME], with the driver's name, its value is for the machines of
	// the runner that gives it
	Credential CredentialKey `json:"credential,omitempty"`
}

// SecretGiven is what a driver finds in the place of a secret option's value.
const SecretGiven = "[secret]"

// CredentialKey is the part of the driver's own credential that a secret option gives. Only built-in drivers have such options; the credential is
// of the driver's name, and of the scheme that the driver signs with.
type CredentialKey string

// The keys of a credential that options can give, named as in [credentials.NAME] of millwright.toml.
const (
	CredentialSecret       CredentialKey = "secret"        // the token, password or secret key
	CredentialAccessKeyID  CredentialKey = "access_key_id" // of aws4
	CredentialSessionToken CredentialKey = "session_token" // of aws4
	CredentialUsername     CredentialKey = "username"      // of basic and keystone
	CredentialTenantID     CredentialKey = "tenant_id"     // of azure-ad
	CredentialClientID     CredentialKey = "client_id"     // of azure-ad

	CredentialProfile         CredentialKey = "profile"          // of aws4: the name of a profile in the two files that come next
	CredentialConfigFile      CredentialKey = "config_file"      // of aws4: the path of a file of profiles
	CredentialCredentialsFile CredentialKey = "credentials_file" // of aws4 and google-oauth2: the path of a file with keys
	// of aws4, of an option that is not secret: where it is not given, the host gives the region that the credential's own configuration names
	CredentialRegion CredentialKey = "region"
)

// OptionType is the type of a driver option.
type OptionType string

// The types of option. A list option may be given several times; a bool stands alone or has =true or =false.
const (
	OptionString OptionType = "string" // any text
	OptionInt    OptionType = "int"    // a whole number
	OptionBool   OptionType = "bool"   // true or false
	OptionList   OptionType = "list"   // any number of texts
)

// OptionRole is what a driver option means to the host, whatever its name is.
type OptionRole string

// The roles of options. A list must show the owner's machines of every zone, type and spot. Where a driver has options of the role account,
// these and the secret ones alone tell which machines share one list and one budget of calls; so a list must not depend on the others then.
// Options of the roles endpoint and file are for built-in drivers; no other is loaded with one of the role file.
const (
	RoleZone    OptionRole = "zone"    // where a machine is made, within what one list shows
	RoleType    OptionRole = "type"    // how large a machine is
	RoleSpot    OptionRole = "spot"    // whether the provider may take a machine back
	RoleAccount OptionRole = "account" // who is called and who pays: the project, the region, the endpoint
	// where the provider's API answers: of a built-in driver the operator alone sets it, as endpoint of [drivers.NAME] in millwright.toml
	RoleEndpoint OptionRole = "endpoint"
	// a path of the operator's, in a list key=path: create and validate get the file's content in its place, list and remove get nothing
	RoleFile OptionRole = "file"
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
