package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/driver"
)

// meaning is what a code of Hetzner's is to the host, and what to do about it.
type meaning struct {
	kind abi.ErrorKind
	todo string
}

const (
	todoToken    = "see " + optToken + " or [credentials.hetzner] in millwright.toml"
	todoCapacity = "try another " + optLocation + " or " + optType + ": alternatives in millwright.toml"
	todoQuota    = "ask Hetzner for a higher limit, or lower limit"
	todoMade     = "see that server type, image, location, networks, firewalls, volumes and SSH key are there"
)

// meanings are those of the codes of refusals and of actions that failed. Source: Hetzner Cloud API, "Errors", and those of "Create a Server".
var meanings = map[string]meaning{
	"unauthorized": {abi.Auth, todoToken}, "forbidden": {abi.Auth, "give the token the right to write"}, "token_readonly": {abi.Auth, "give the token the right to write"},
	"not_found": {abi.NotFound, ""}, "invalid_input": {abi.Invalid, todoMade}, "json_error": {abi.Invalid, ""}, "invalid_server_type": {abi.Invalid, todoMade},
	"unsupported_error": {abi.Invalid, todoMade}, "protected": {abi.Invalid, "take the protection off the server"}, "resource_locked": {abi.Invalid, "ask Hetzner's support"},
	"deprecated_api_endpoint": {abi.Invalid, "use a newer agent"}, "incompatible_network_type": {abi.Invalid, todoMade}, "private_net_only_server": {abi.Invalid, "leave the firewalls out, or give the machine a public address"},
	"primary_ip_assigned": {abi.Invalid, "one primary IP is for one machine at a time"}, "primary_ip_already_assigned": {abi.Invalid, "one primary IP is for one machine at a time"},
	"primary_ip_datacenter_mismatch": {abi.Invalid, "use one of the machine's location"}, "primary_ip_version_mismatch": {abi.Invalid, todoMade},
	"volume_already_attached": {abi.Invalid, "one volume is for one machine at a time"}, "networks_overlap": {abi.Invalid, todoMade},
	"uniqueness_error": {abi.Conflict, ""}, "conflict": {abi.Conflict, ""}, "locked": {abi.Conflict, ""}, "resource_in_use": {abi.Conflict, ""},
	"resource_limit_exceeded": {abi.Quota, todoQuota}, "resource_unavailable": {abi.Capacity, todoCapacity}, "placement_error": {abi.Capacity, todoCapacity},
	"no_space_left_in_location": {abi.Capacity, todoCapacity}, "no_subnet_available": {abi.Quota, "the network is full: use a larger one"},
	"ip_not_available": {abi.Quota, "the network is full: use a larger one"}, "rate_limit_exceeded": {abi.RateLimited, ""},
	"maintenance": {abi.Transient, ""}, "service_error": {abi.Transient, ""}, "server_error": {abi.Transient, ""}, "unknown_error": {abi.Transient, ""},
	"bad_gateway": {abi.Transient, ""}, "timeout": {abi.Transient, ""}, "robot_unavailable": {abi.Transient, ""},
}

// longestPause is how many seconds the whole agent is asked to wait at most when there were too many calls: Hetzner gives one back each second, and its
// header names the instant at which all of them are.
const longestPause = 60

// refused is the error for an answer with a status of 300 or more. The code says more than the status.
func refused(res abi.HTTPResponse) *abi.Error {
	var body struct {
		Error struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Details json.RawMessage `json:"details"`
		} `json:"error"`
	}
	_ = json.Unmarshal(res.Body, &body) // what is no JSON has no reason
	status := strconv.Itoa(res.Status)
	m, ok := meanings[body.Error.Code]
	if !ok {
		m.kind = rest.KindOf(res.Status)
		if m.kind == abi.Auth {
			m.todo = todoToken
		}
	}
	message := settings.Or(body.Error.Message, "Hetzner answered with status "+status) + fields(body.Error.Details)
	e := rest.Told(m.kind, settings.Or(body.Error.Code, status), message, m.todo)
	if m.kind == abi.RateLimited || m.kind == abi.Transient {
		e.RetryAfterS = min(rest.RetryAfter(res.Headers), longestPause)
	}
	return e
}

// fields names the fields that an invalid_input is about.
func fields(details json.RawMessage) string {
	var d struct {
		Fields []struct {
			Name     string   `json:"name"`
			Messages []string `json:"messages"`
		} `json:"fields"`
	}
	if json.Unmarshal(details, &d) != nil {
		return ""
	}
	var out strings.Builder
	for _, f := range d.Fields {
		out.WriteString(" (" + f.Name + ": " + strings.Join(f.Messages, ", ") + ")")
	}
	return out.String()
}

// failed is the error of an action.
func failed(code, message string) *abi.Error {
	m, ok := meanings[code]
	if !ok || m.kind == abi.NotFound {
		m = meaning{abi.Transient, ""}
	}
	return rest.Told(m.kind, code, settings.Or(message, "the action failed"), m.todo)
}

// missing makes of a 404 for something that the options name what it is.
func missing(err error) error {
	if !driver.Is(err, abi.NotFound) {
		return err
	}
	e := *err.(*abi.Error)
	e.Kind, e.Message = abi.Invalid, e.Message+"; "+todoMade
	return &e
}
