package main

// kind is one payload: its name in hostfuncs/vectors and hostfuncs/schema, its struct, and who writes it.
type kind struct {
	name    string
	object  string
	byGuest bool
}

// kinds are all payloads, in the order of ABI.md.
var kinds = []kind{
	{"describe", "Describe", true},
	{"snapshot", "Snapshot", false},
	{"proposal", "Proposal", true},
	{"observe_request", "ObserveRequest", false},
	{"validate_request", "ValidateRequest", false},
	{"validate_result", "ValidateResult", true},
	{"create_request", "CreateRequest", false},
	{"list_request", "ListRequest", false},
	{"list_result", "ListResult", true},
	{"remove_request", "RemoveRequest", false},
	{"check_request", "CheckRequest", false},
	{"check_result", "CheckResult", true},
	{"instance", "Instance", true},
	{"group_request", "GroupRequest", false},
	{"group_info", "GroupInfo", true},
	{"increase_request", "IncreaseRequest", false},
	{"increase_result", "IncreaseResult", true},
	{"decrease_request", "DecreaseRequest", false},
	{"decrease_result", "DecreaseResult", true},
	{"connect_request", "ConnectRequest", false},
	{"connect_info", "ConnectInfo", true},
	{"result", "Result", true},
	{"log_record", "LogRecord", true},
	{"http_request", "HTTPRequest", true},
	{"http_response", "HTTPResponse", false},
}

// kindOf returns the name of the payload that a struct is, "" when it is only a part of one.
func kindOf(object string) string {
	for _, k := range kinds {
		if k.object == object {
			return k.name
		}
	}
	return ""
}
