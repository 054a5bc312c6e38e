package main

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// The keys of the tags on each machine. The provider keeps them with the machine from the first moment on.
const (
	tagOwner  = "millwright-owner"
	tagRunner = "millwright-runner"
)

// instance is a machine in the provider's terms.
type instance struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Status     string            `json:"status"`
	Message    string            `json:"message"`
	Address    string            `json:"address"`
	SSHPort    int               `json:"ssh_port"`
	EnginePort int               `json:"engine_port"`
	CreatedAt  string            `json:"created_at"`
	Tags       map[string]string `json:"tags"`
}

// host turns it into the host's terms.
func (i instance) host() abi.Instance {
	return abi.Instance{
		Name: i.Name, ID: i.ID, Status: status(i.Status), Message: i.Message, Address: i.Address,
		SSHPort: i.SSHPort, EnginePort: i.EnginePort, CreatedAt: i.CreatedAt,
	}
}

// status is the host's word for the provider's. What we do not know is unknown, which is not gone.
func status(s string) abi.Status {
	switch s {
	case "provisioning":
		return abi.StatusCreating
	case "running":
		return abi.StatusRunning
	case "stopped":
		return abi.StatusStopped
	case "preempting":
		return abi.StatusInterrupted
	case "deleting":
		return abi.StatusGone // there is no way back from it
	}
	return abi.StatusUnknown
}

// call sends one request to the API and reads the answer into out, unless that is nil. in is the body, nil for none.
func call(o abi.Options, method, path string, in, out any) error {
	req := abi.HTTPRequest{Method: method, URL: o.Get(optEndpoint) + path}
	if name := o.Get(optCredential); name != "" {
		req.Sign = &abi.Sign{Scheme: "bearer", Credential: name} // the host attaches it; we never see it
	}
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		req.Body, req.Headers = body, map[string][]string{"Content-Type": {"application/json"}}
	}
	res := host.HTTPSend(req)
	switch {
	case res.Error != nil:
		return unanswered(o, res.Error)
	case res.Status >= 400:
		return refused(res)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(res.Body, out); err != nil {
		return &abi.Error{Kind: abi.Transient, Message: "the answer to " + method + " " + path + " is no JSON: " + err.Error()}
	}
	return nil
}

// unanswered is the error for a request that got no answer. It may have been carried out all the same.
func unanswered(o abi.Options, err *abi.HTTPError) *abi.Error {
	e := &abi.Error{Kind: abi.Transient, Code: err.Kind, Message: o.Get(optEndpoint) + ": " + err.Message}
	switch err.Kind {
	case "denied":
		e.Kind = abi.Auth
		e.Message += "; grant it to this driver in millwright.toml"
	case "invalid", "too_large":
		e.Kind = abi.Invalid
	}
	return e
}

// refused is the error for an answer of 400 or more. The provider's code says more than its status.
func refused(res abi.HTTPResponse) *abi.Error {
	var answer struct {
		Error struct{ Code, Message string }
	}
	_ = json.Unmarshal(res.Body, &answer) // what is no JSON has no code
	e := &abi.Error{Kind: kindOf(res.Status), Message: answer.Error.Message, Code: answer.Error.Code}
	switch e.Code {
	case "QUOTA_EXCEEDED":
		e.Kind = abi.Quota
		e.Message += "; raise the quota, or lower Limit"
	case "ZONE_RESOURCE_POOL_EXHAUSTED":
		e.Kind = abi.Capacity
		e.Message += "; try another " + optZone + " or " + optType
	}
	if e.Message == "" {
		e.Message = "the provider answered with status " + strconv.Itoa(res.Status)
	}
	for name, values := range res.Headers {
		if (name == "Retry-After" || name == "retry-after") && len(values) > 0 {
			e.RetryAfterS, _ = strconv.Atoi(values[0])
		}
	}
	return e
}

func kindOf(status int) abi.ErrorKind {
	switch {
	case status == 401 || status == 403:
		return abi.Auth
	case status == 404:
		return abi.NotFound
	case status == 409:
		return abi.Conflict
	case status == 408 || status >= 500:
		return abi.Transient
	case status == 429:
		return abi.RateLimited
	}
	return abi.Invalid
}

// is tells whether err is of a kind.
func is(err error, kind abi.ErrorKind) bool {
	var e *abi.Error
	return errors.As(err, &e) && e.Kind == kind
}
