// Package rest is what drivers of JSON APIs share: one request, its answer, and how much of the provider's patience is left.
package rest

import (
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// deadlineMS bounds one request.
const deadlineMS = 20_000

// API is where requests go and how they are signed.
type API struct {
	Endpoint string // scheme://host[:port]
	Sign     abi.Sign
	Token    string // in words, where the operator gives the credential
	// Refused is the error for an answer with a status of 300 or more.
	Refused func(abi.HTTPResponse) *abi.Error
}

// Answer is what a body is read into.
type Answer interface {
	// Whole tells whether the body has what the answer is about. What some proxy made up has not.
	Whole() bool
}

// Call sends one request and reads the answer into out; nil is for requests that are answered by a status alone, 204. Every failure, a status of 300
// and more included, is an *abi.Error. What is left of the rate limit is returned also then, as far as the answer tells.
func (a API) Call(method, path string, query url.Values, body any, out Answer) (Budget, error) {
	req := abi.HTTPRequest{Method: method, URL: a.Endpoint + path, DeadlineMS: deadlineMS, Sign: &a.Sign}
	if len(query) > 0 {
		req.URL += "?" + query.Encode()
	}
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return Budget{}, err
		}
		req.Body, req.Headers = data, map[string][]string{"Content-Type": {"application/json"}}
	}
	res := host.HTTPSend(req)
	if res.Error != nil {
		return Budget{}, a.unanswered(res.Error)
	}
	budget := budgetOf(res.Headers)
	switch {
	case res.Status >= 300:
		return budget, a.Refused(res)
	case out == nil && res.Status != 204:
		return budget, a.nonsense(method, "its status is "+strconv.Itoa(res.Status)+", not 204")
	case out == nil:
		return budget, nil
	}
	if err := json.Unmarshal(res.Body, out); err != nil {
		return budget, a.nonsense(method, err.Error())
	}
	if !out.Whole() {
		return budget, a.nonsense(method, "what was asked for is not in it")
	}
	return budget, nil
}

func (a API) nonsense(method, why string) error {
	return &abi.Error{Kind: abi.Transient, Message: "the answer of " + a.Endpoint + " to " + method + " makes no sense: " + why}
}

// unanswered is the error for a request that got no answer. It may have been carried out all the same.
func (a API) unanswered(err *abi.HTTPError) *abi.Error {
	e := &abi.Error{Kind: abi.Transient, Code: err.Kind, Message: a.Endpoint + ": " + err.Message}
	switch err.Kind {
	case "denied", "credential":
		e.Kind = abi.Auth
		e.Message += "; " + a.Token
	case "invalid":
		e.Kind = abi.Invalid
	}
	return e
}
