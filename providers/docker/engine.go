package main

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/host"
)

// The minor versions of the engine's API, 1.x, that the driver speaks. 40 is Docker 19.03 and the least that today's engines
// still accept.
const (
	leastAPI  = 40
	newestAPI = 45
)

// Deadlines of calls in milliseconds. Removing waits for the file systems of the machine's containers.
const (
	deadlineMS       = 20_000
	removeDeadlineMS = 60_000
)

// engine is a Docker engine whose version is known.
type engine struct {
	settings
	prefix string // /v1.41
}

// connect asks the engine which version of the API to speak.
// Source: Docker Engine API, "Versioning" and "GET /version".
func connect(s settings) (engine, error) {
	e := engine{settings: s}
	var version struct {
		APIVersion    string `json:"ApiVersion"`
		MinAPIVersion string `json:"MinAPIVersion"`
	}
	if err := e.call("GET", "/version", nil, nil, &version); err != nil {
		return e, err
	}
	newest, oldest := minor(version.APIVersion), minor(version.MinAPIVersion)
	if newest < leastAPI {
		return e, &abi.Error{Kind: abi.Invalid, Message: "the engine at " + s.host + " speaks API " + version.APIVersion + "; 1." +
			strconv.Itoa(leastAPI) + " (Docker 19.03) is the least, so upgrade it"}
	}
	e.prefix = "/v1." + strconv.Itoa(max(min(newest, newestAPI), oldest))
	return e, nil
}

// minor returns x of version 1.x, else 0.
func minor(version string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(version, "1."))
	if err != nil {
		return 0
	}
	return n
}

// call sends one request with a JSON body (or none) and reads the JSON answer into out unless that is nil. Every failure, a status of
// 400 and more included, is an *abi.Error.
func (e engine) call(method, path string, query url.Values, body, out any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	answer, err := e.send(method, path, query, "application/json", data)
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return &abi.Error{Kind: abi.Transient, Message: method + " " + path + ": the engine at " + e.host + " answers no proper JSON: " + err.Error()}
	}
	return nil
}

func (e engine) send(method, path string, query url.Values, contentType string, body []byte) ([]byte, error) {
	target := e.prefix + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req := abi.HTTPRequest{Method: method, URL: e.base + target, Body: body, DeadlineMS: deadlineMS}
	if e.socket != "" {
		req.URL = abi.UnixURL(e.socket, target)
	}
	if strings.HasPrefix(e.base, "https:") {
		req.Sign = &abi.Sign{Scheme: "client-tls", Credential: "docker"}
	}
	if method == "DELETE" {
		req.DeadlineMS = removeDeadlineMS
	}
	if body != nil {
		req.Headers = map[string][]string{"Content-Type": {contentType}}
	}
	res := host.HTTPSend(req)
	if res.Error != nil {
		return nil, e.unreachable(res.Error)
	}
	if res.Status >= 400 {
		return nil, e.refused(res)
	}
	return res.Body, nil
}

// filters is the query of a list call: only what bears all the labels.
func filters(labels ...string) url.Values {
	text, _ := json.Marshal(map[string][]string{"label": labels}) // strings always marshal
	return url.Values{"filters": {string(text)}}
}
