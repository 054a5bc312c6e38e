package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// deadlineMS bounds one request. None of ours waits for an operation.
const deadlineMS = 20_000

// Versions of the API, by provider. Compute's is the first whose machines carry tags for the interface and the address that are made with them.
const (
	versionCompute   = "2025-04-01"
	versionDisks     = "2025-01-02"
	versionNetwork   = "2024-05-01"
	versionResources = "2021-04-01"
)

// answer is what a body is read into.
type answer interface {
	// whole tells whether the body has what the answer is about. What some proxy made up has not.
	whole() bool
}

// status is the answer to a request whose body is of no interest.
type status struct{}

func (status) whole() bool { return true }

// request is one call.
type request struct {
	method  string
	path    string // below the endpoint, or a whole URL of it
	version string
	query   url.Values
	headers map[string]string
	body    any
}

// call sends one request and reads the answer into out. Every failure, a status of 300 and more included, is an *abi.Error.
func (p place) call(r request, out answer) (abi.HTTPResponse, error) {
	req := abi.HTTPRequest{Method: r.method, URL: p.endpoint + r.path, DeadlineMS: deadlineMS, Sign: &abi.Sign{Scheme: "azure-ad", Credential: p.credential}}
	if strings.Contains(r.path, "://") {
		if !strings.HasPrefix(strings.ToLower(r.path), strings.ToLower(p.endpoint)+"/") {
			return abi.HTTPResponse{}, p.nonsense(r.method, "it leads to "+quote(r.path))
		}
		req.URL = r.path
	}
	if r.version != "" {
		query := url.Values{"api-version": {r.version}}
		for key, values := range r.query {
			query[key] = values
		}
		req.URL += "?" + query.Encode()
	}
	req.Headers = map[string][]string{}
	for name, value := range r.headers {
		req.Headers[name] = []string{value}
	}
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return abi.HTTPResponse{}, err
		}
		req.Body, req.Headers["Content-Type"] = data, []string{"application/json"}
	}
	res := host.HTTPSend(req)
	switch {
	case res.Error != nil:
		return res, p.unanswered(res.Error)
	case res.Status >= 300:
		return res, refused(res)
	}
	if _, ok := out.(status); ok {
		return res, nil
	}
	if err := json.Unmarshal(res.Body, out); err != nil {
		return res, p.nonsense(r.method, err.Error())
	}
	if !out.whole() {
		return res, p.nonsense(r.method, "what was asked for is not in it")
	}
	return res, nil
}

func (p place) nonsense(method, why string) error {
	return &abi.Error{Kind: abi.Transient, Message: "the answer of " + p.endpoint + " to " + method + " makes no sense: " + why}
}

// get reads a resource.
func (p place) get(id, version string, out answer) error {
	_, err := p.call(request{method: "GET", path: id, version: version}, out)
	return err
}

// id joins parts of a path below a resource group.
func (p place) id(group string, parts ...string) string {
	path := "/subscriptions/" + p.subscription + "/resourceGroups/" + url.PathEscape(group)
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

func (p place) compute(parts ...string) string {
	return p.id(p.group, append([]string{"providers", "Microsoft.Compute"}, parts...)...)
}

func (p place) network(group string, parts ...string) string {
	return p.id(group, append([]string{"providers", "Microsoft.Network"}, parts...)...)
}

// resource is what all of Azure's have, as far as we look at it.
type resource struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Tags       map[string]string `json:"tags"`
	Properties struct {
		ProvisioningState string `json:"provisioningState"`
	} `json:"properties"`
}

func (r *resource) whole() bool { return r.ID != "" }

// page is one page of a list.
type page[T any] struct {
	Value    *[]T   `json:"value"`
	NextLink string `json:"nextLink"`
}

func (p *page[T]) whole() bool { return p.Value != nil }

// mostPages bounds a list. A page has some hundred entries.
const mostPages = 200

// pages reads a list, all pages of it or none. now is the cloud's time, since there is no other clock.
func pages[T any](p place, path, version string, query url.Values) (all []T, now time.Time, err error) {
	r := request{method: "GET", path: path, version: version, query: query}
	for range mostPages {
		var got page[T]
		res, err := p.call(r, &got)
		if err != nil {
			return nil, now, err
		}
		if t, err := time.Parse(time.RFC1123, rest.Header(res.Headers, "Date")); err == nil {
			now = t
		}
		all = append(all, *got.Value...)
		if got.NextLink == "" {
			return all, now, nil
		}
		r = request{method: "GET", path: got.NextLink} // with all that it takes
	}
	return nil, now, &abi.Error{Kind: abi.Transient, Message: "the list has more than 200 pages"}
}

// looks is how often in a row a change is asked after. There is no clock to wait with: what takes longer the next call finds.
const looks = 4

// operation is what a change is doing. Source: Azure documentation, "Track asynchronous Azure operations".
type operation struct {
	Status string  `json:"status"`
	Error  problem `json:"error"`
}

func (o *operation) whole() bool { return o.Status != "" }

// put makes a resource and looks whether it is there. What takes its time is an error of the kind transient, with the time to wait.
func (p place) put(what, id, version string, body any) error {
	var made resource
	res, err := p.call(request{method: "PUT", path: id, version: version, body: body}, &made)
	if err != nil {
		return err
	}
	follow, wait := rest.Header(res.Headers, "Azure-AsyncOperation"), rest.RetryAfter(res.Headers)
	for range looks {
		switch made.Properties.ProvisioningState {
		case "", "Succeeded":
			return nil
		case "Failed", "Canceled":
			return &abi.Error{Kind: abi.Transient, Message: what + " could not be made"}
		}
		if follow == "" {
			err = p.get(id, version, &made)
		} else {
			made.Properties.ProvisioningState, res, err = p.followed(follow)
		}
		if err != nil {
			return err
		}
		wait = max(wait, rest.RetryAfter(res.Headers))
	}
	return &abi.Error{Kind: abi.Transient, RetryAfterS: max(wait, 1), Message: what + " is being made; the next try finds it"}
}

// followed asks an operation how far it is.
func (p place) followed(link string) (string, abi.HTTPResponse, error) {
	var op operation
	res, err := p.call(request{method: "GET", path: link}, &op)
	if err == nil && (op.Status == "Failed" || op.Status == "Canceled") {
		err = op.Error.failure(200)
	}
	return op.Status, res, err
}
