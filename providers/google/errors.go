package main

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
	todo string
}

const (
	todoCapacity = "try another " + optZone + " or " + optMachineType + ": alternatives in millwright.toml"
	todoQuota    = "raise the quota, or lower limit"
	// todoCredential is where the operator gives it.
	todoCredential = "GOOGLE_APPLICATION_CREDENTIALS or [credentials.google] in millwright.toml"
	todoRights     = "give the agent's service account the role of the driver's documentation"
)

// meanings are those of the codes of operations and of the reasons of refusals, in lower case and without underscores.
// Source: Compute Engine documentation, "Troubleshooting VM creation", "Resource errors", "API rate quotas".
var meanings = map[string]meaning{
	"zoneresourcepoolexhausted": {abi.Capacity, todoCapacity}, "zoneresourcepoolexhaustedwithdetails": {abi.Capacity, todoCapacity},
	"regionresourcepoolexhausted": {abi.Capacity, todoCapacity}, "resourcepoolexhausted": {abi.Capacity, todoCapacity},
	"stockout": {abi.Capacity, todoCapacity}, "insufficientcapacity": {abi.Capacity, todoCapacity}, "vmmincountnotreached": {abi.Capacity, todoCapacity},
	"resourceavailability": {abi.Capacity, todoCapacity},

	"quotaexceeded": {abi.Quota, todoQuota}, "limitexceeded": {abi.Quota, todoQuota}, "dailylimitexceeded": {abi.Quota, todoQuota},
	"ipspaceexhausted":            {abi.Quota, "the subnetwork is full: use a larger one"},
	"ipspaceexhaustedwithdetails": {abi.Quota, "the subnetwork is full: use a larger one"},

	"ratelimitexceeded": {abi.RateLimited, ""}, "userratelimitexceeded": {abi.RateLimited, ""}, "concurrentoperationslimitexceeded": {abi.RateLimited, ""},
	"resourceoperationrateexceeded": {abi.RateLimited, ""}, "operationrateexceeded": {abi.RateLimited, ""},

	"accessnotconfigured": {abi.Auth, "enable the Compute Engine API in the project"},
	"servicedisabled":     {abi.Auth, "enable the Compute Engine API in the project"},
	"forbidden":           {abi.Auth, todoRights}, "insufficientpermissions": {abi.Auth, todoRights}, "permissionserror": {abi.Auth, todoRights},
	"autherror": {abi.Auth, "the credential is refused: see " + todoCredential},

	"alreadyexists": {abi.Conflict, ""}, "resourcealreadyexists": {abi.Conflict, ""}, "conditionnotmet": {abi.Conflict, ""},
	"resourcenotready": {abi.Conflict, ""}, "resourceinuse": {abi.Conflict, ""}, "resourceinusebyanotherresource": {abi.Conflict, ""},

	"resourcenotfound": {abi.Invalid, "see that zone, machine type, image, network and service account are there"},

	"externalresourcenotfound": {abi.Invalid, "see that zone, machine type, image, network and service account are there"},
	"invalidusage":             {abi.Invalid, ""}, "invalidfieldvalue": {abi.Invalid, ""}, "unsupportedoperation": {abi.Invalid, ""},
}

// meaningOf returns what a code means; false when it is none of those.
func meaningOf(code string) (meaning, bool) {
	m, ok := meanings[strings.ToLower(strings.ReplaceAll(code, "_", ""))]
	return m, ok
}

// failure is why an operation failed; nil when it did not, or not yet.
func (o operation) failure() error {
	if len(o.Error.Errors) == 0 {
		if o.HTTPStatus >= 400 {
			return &abi.Error{Kind: kindOf(o.HTTPStatus), Code: strconv.Itoa(o.HTTPStatus), Message: "the operation failed with status " + strconv.Itoa(o.HTTPStatus)}
		}
		return nil
	}
	errors := o.Error.Errors
	if len(errors) > 1 && errors[0].Code == "VM_MIN_COUNT_NOT_REACHED" {
		errors = errors[1:] // a bulk insert's summary, before its reason
	}
	first := errors[0]
	for _, e := range errors { // one that we know says more
		if _, ok := meaningOf(e.Code); ok {
			first = e
			break
		}
	}
	m, ok := meaningOf(first.Code)
	if !ok {
		m.kind = abi.Transient
		if o.HTTPStatus != 0 {
			m.kind = kindOf(o.HTTPStatus)
		}
	}
	return told(m, first.Code, first.Message)
}

// refused is the error for an answer with a status of 300 or more. The cloud's reason says more than its status.
// Source: Compute Engine API, "Troubleshooting errors"; google.rpc.ErrorInfo for details.
func refused(res abi.HTTPResponse) *abi.Error {
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
		m.todo = todoRights
		if res.Status == 401 {
			m.todo = meanings["autherror"].todo
		}
	}
	e := told(m, code, opts.Or(body.Error.Message, "the cloud answered with status "+status))
	if e.Kind == abi.RateLimited || e.Kind == abi.Transient {
		e.RetryAfterS = rest.RetryAfter(res.Headers)
	}
	return e
}

func told(m meaning, code, message string) *abi.Error {
	return rest.Told(m.kind, code, message, m.todo)
}

// kindOf is what a status means by itself. 412 is for a resource that somebody else changed meanwhile.
func kindOf(status int) abi.ErrorKind {
	if status == 412 {
		return abi.Conflict
	}
	return rest.KindOf(status)
}
