package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/providers/internal/rest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// unreachable is the error for a request that got no answer.
func (e engine) unreachable(err *abi.HTTPError) *abi.Error {
	where := "the engine at " + e.host + ": " + err.Message
	switch {
	case err.Kind == "credential":
		return &abi.Error{Kind: abi.Auth, Code: err.Kind, Message: where + "; name its certificate and key in [credentials.docker] of millwright.toml, or their folder by DOCKER_CERT_PATH"}
	case err.Kind == "denied":
		return &abi.Error{Kind: abi.Auth, Code: err.Kind, Message: where + "; grant this hostname to the driver in millwright.toml"}
	case strings.Contains(err.Message, "permission denied"):
		return &abi.Error{Kind: abi.Auth, Code: err.Kind, Message: where + "; run the agent as a user who may use the socket (root or group docker)"}
	case err.Kind == "connect":
		return &abi.Error{Kind: abi.Transient, Code: err.Kind, Message: where + "; start the engine or correct " + optHost}
	case err.Kind == "invalid" || err.Kind == "too_large":
		return &abi.Error{Kind: abi.Invalid, Code: err.Kind, Message: where}
	}
	return &abi.Error{Kind: abi.Transient, Code: err.Kind, Message: where}
}

// hints give a kind, and what to do, to what the engine says in words only. The first that matches counts; its words are in lower
// case.
var hints = []struct {
	words string
	kind  abi.ErrorKind
	todo  string
}{
	{"no such image", abi.Invalid, "build it with `go tool task machine-image`, pull it, or set " + optImage},
	{"no space left", abi.Capacity, "free disk space on the engine"},
	{"cannot allocate memory", abi.Capacity, "free memory on the engine's host"},
	{"non-overlapping", abi.Quota, "the engine has no address range left for a network; remove unused networks or let " + optNetwork + " name one that exists"},
	{"predefined address pools", abi.Quota, "the engine has no address range left for a network; remove unused networks or let " + optNetwork + " name one that exists"},
	{"no available ipv4 addresses", abi.Quota, "the network is full; let " + optNetwork + " name a larger one"},
	{"could not select device driver", abi.Invalid, "the engine has no GPU runtime; install it or leave out " + optGPUs},
	{"too many requests", abi.RateLimited, ""},
}

// refused is the error for an answer with a status of 400 or more.
func (e engine) refused(answered abi.HTTPResponse) *abi.Error {
	status, body := answered.Status, answered.Body
	var answer struct {
		Message string `json:"message"`
	}
	text := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &answer) == nil && answer.Message != "" {
		text = answer.Message
	}
	const most = 1000
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	res := &abi.Error{Kind: rest.KindOf(status), Message: text, Code: strconv.Itoa(status), RetryAfterS: rest.RetryAfter(answered.Headers)}
	lower := strings.ToLower(text)
	for _, h := range hints {
		if strings.Contains(lower, h.words) {
			res.Kind = h.kind
			if h.todo != "" {
				res.Message += "; " + h.todo
			}
			break
		}
	}
	return res
}

// saying tells whether err's text holds one of the words, which are in lower case.
func saying(err error, words ...string) bool {
	text := strings.ToLower(err.Error())
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}
