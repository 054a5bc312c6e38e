package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

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
	todoRights   = "give the agent's service account the role of the driver's documentation"
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
	"autherror": {abi.Auth, "the credential is refused: see GOOGLE_APPLICATION_CREDENTIALS or [credentials.google] in millwright.toml"},

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
	first := o.Error.Errors[0]
	for _, e := range o.Error.Errors { // one that we know says more
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
	e := told(m, code, or(body.Error.Message, "the cloud answered with status "+status))
	if e.Kind == abi.RateLimited || e.Kind == abi.Transient {
		e.RetryAfterS = retryAfter(res.Headers)
	}
	return e
}

// told is an error in the cloud's words with what to do.
func told(m meaning, code, message string) *abi.Error {
	const most = 1000
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "..."
	}
	message = strings.TrimRight(message, ". \n")
	if m.todo != "" {
		message += "; " + m.todo
	}
	return &abi.Error{Kind: m.kind, Code: code, Message: message}
}

func kindOf(status int) abi.ErrorKind {
	switch {
	case status == 401 || status == 403:
		return abi.Auth
	case status == 404:
		return abi.NotFound
	case status == 409 || status == 412:
		return abi.Conflict
	case status == 429:
		return abi.RateLimited
	case status == 408 || status >= 500 || status < 400: // a redirect is no answer of this API
		return abi.Transient
	}
	return abi.Invalid
}

// retryAfter reads the header of that name, seconds or a date, in seconds; 0 when there is none.
func retryAfter(headers map[string][]string) int {
	text := header(headers, "Retry-After")
	if n, err := strconv.Atoi(text); err == nil {
		return max(n, 0)
	}
	until, err := time.Parse(time.RFC1123, text)
	if err != nil {
		return 0
	}
	now, err := time.Parse(time.RFC1123, header(headers, "Date")) // we have no clock
	if err != nil {
		return 0
	}
	return max(int(until.Sub(now).Seconds()), 0)
}

func header(headers map[string][]string, name string) string {
	for key, values := range headers {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// unanswered is the error for a request that got no answer. It may have been carried out all the same.
func (p place) unanswered(err *abi.HTTPError) *abi.Error {
	e := &abi.Error{Kind: abi.Transient, Code: err.Kind, Message: p.endpoint + ": " + err.Message}
	switch err.Kind {
	case "denied":
		e.Kind = abi.Auth
	case "credential":
		e.Kind = abi.Auth
		e.Message += "; see GOOGLE_APPLICATION_CREDENTIALS or [credentials.google] in millwright.toml"
	case "invalid":
		e.Kind = abi.Invalid
	}
	return e
}
