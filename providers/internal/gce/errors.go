package gce

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	opts "github.com/millwright-ci/millwright/providers/internal/settings"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// meaning is what a code of the cloud's is to the host, and what to do about it.
type meaning struct {
	kind abi.ErrorKind
	todo string // told as it is, but for the words below, which a driver has its own for
}

// What a driver says in its own words.
const (
	ofCapacity   = "capacity"
	ofMissing    = "missing"
	ofCredential = "credential"
	ofRights     = "rights"
)

const (
	todoQuota  = "raise the quota, or lower limit"
	todoSubnet = "the subnetwork is full: use a larger one"
	todoEnable = "enable the Compute Engine API in the project"
	todoRole   = "give the agent's service account the role of the driver's documentation"
)

// meanings are those of the codes of operations and of the reasons of refusals, in lower case and without underscores.
// Source: Compute Engine documentation, "Troubleshooting VM creation", "Resource errors", "API rate quotas".
var meanings = map[string]meaning{
	"zoneresourcepoolexhausted": {abi.Capacity, ofCapacity}, "zoneresourcepoolexhaustedwithdetails": {abi.Capacity, ofCapacity},
	"regionresourcepoolexhausted": {abi.Capacity, ofCapacity}, "resourcepoolexhausted": {abi.Capacity, ofCapacity},
	"stockout": {abi.Capacity, ofCapacity}, "insufficientcapacity": {abi.Capacity, ofCapacity}, "vmmincountnotreached": {abi.Capacity, ofCapacity},
	"resourceavailability": {abi.Capacity, ofCapacity},

	"quotaexceeded": {abi.Quota, todoQuota}, "limitexceeded": {abi.Quota, todoQuota}, "dailylimitexceeded": {abi.Quota, todoQuota},
	"ipspaceexhausted": {abi.Quota, todoSubnet}, "ipspaceexhaustedwithdetails": {abi.Quota, todoSubnet},

	"ratelimitexceeded": {abi.RateLimited, ""}, "userratelimitexceeded": {abi.RateLimited, ""}, "concurrentoperationslimitexceeded": {abi.RateLimited, ""},
	"resourceoperationrateexceeded": {abi.RateLimited, ""}, "operationrateexceeded": {abi.RateLimited, ""},

	"accessnotconfigured": {abi.Auth, todoEnable}, "servicedisabled": {abi.Auth, todoEnable},
	"forbidden": {abi.Auth, ofRights}, "insufficientpermissions": {abi.Auth, ofRights}, "permissionserror": {abi.Auth, ofRights},
	"autherror": {abi.Auth, ofCredential},

	"alreadyexists": {abi.Conflict, ""}, "resourcealreadyexists": {abi.Conflict, ""}, "conditionnotmet": {abi.Conflict, ""},
	"resourcenotready": {abi.Conflict, ""}, "resourceinuse": {abi.Conflict, ""}, "resourceinusebyanotherresource": {abi.Conflict, ""},

	"resourcenotfound": {abi.Invalid, ofMissing}, "externalresourcenotfound": {abi.Invalid, ofMissing},
	"invalidusage": {abi.Invalid, ""}, "invalidfieldvalue": {abi.Invalid, ""}, "unsupportedoperation": {abi.Invalid, ""},
}

// meaningOf returns what a code means; false when it is none of those.
func meaningOf(code string) (meaning, bool) {
	m, ok := meanings[strings.ToLower(strings.ReplaceAll(code, "_", ""))]
	return m, ok
}

// todo is what to do about something, in the driver's words.
func (t *Texts) todo(m meaning) string {
	switch m.todo {
	case ofCapacity:
		return t.Capacity
	case ofMissing:
		return t.Missing
	case ofCredential:
		return "the credential is refused: see " + t.credential()
	case ofRights:
		return opts.Or(t.Rights, todoRole)
	}
	return m.todo
}

// refused is the error for an answer with a status of 300 or more. The cloud's reason says more than its status.
// Source: Compute Engine API, "Troubleshooting errors"; google.rpc.ErrorInfo for details.
func (t *Texts) refused(res abi.HTTPResponse) *abi.Error {
	var body struct {
		Error struct {
			Message string `json:"message"`
			Status  string `json:"status"`
			Errors  []struct {
				Reason string `json:"reason"`
			} `json:"errors"`
			Details []struct {
				Reason string `json:"reason"`
			} `json:"details"`
		} `json:"error"`
	}
	_ = json.Unmarshal(res.Body, &body) // what is no JSON has no reason
	status := strconv.Itoa(res.Status)
	m, code := meaning{kind: kindOf(res.Status)}, status
	var reasons []string
	for _, e := range body.Error.Errors {
		reasons = append(reasons, e.Reason)
	}
	for _, d := range body.Error.Details {
		reasons = append(reasons, d.Reason)
	}
	for _, reason := range reasons {
		if code == status && reason != "" {
			code = reason
		}
		if known, ok := meaningOf(reason); ok && res.Status != 404 {
			m, code = known, reason
			break
		}
	}
	if m.kind == abi.Auth && m.todo == "" {
		m.todo = ofRights
		if res.Status == 401 {
			m.todo = ofCredential
		}
	}
	e := t.told(m, code, opts.Or(body.Error.Message, "the cloud answered with status "+status))
	if e.Kind == abi.RateLimited || e.Kind == abi.Transient {
		e.RetryAfterS = rest.RetryAfter(res.Headers)
	}
	return e
}

func (t *Texts) told(m meaning, code, message string) *abi.Error {
	return rest.Told(m.kind, code, message, t.todo(m))
}

// kindOf is what a status means by itself. 412 is for a resource that somebody else changed meanwhile.
func kindOf(status int) abi.ErrorKind {
	if status == 412 {
		return abi.Conflict
	}
	return rest.KindOf(status)
}
