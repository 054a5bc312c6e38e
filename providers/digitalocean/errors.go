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

const (
	todoToken = "see " + optToken + " or [credentials.digitalocean] in millwright.toml"
	todoScope = "give the token the scopes of the driver's documentation"
	todoSize  = "try another " + optRegion + " or " + optSize + ": alternatives in millwright.toml"
	todoQuota = "ask DigitalOcean for a higher droplet limit, or lower limit"
	todoMade  = "see that region, size, image, VPC and SSH key are there"
)

// phrase is by which words a refusal of the status 422 is known, since all of them have the same code, and what it means.
type phrase struct {
	words []string // one of them
	kind  abi.ErrorKind
	todo  string
}

// phrases are looked at in order. Source: DigitalOcean API, answers of POST and DELETE /v2/droplets and POST /v2/account/keys.
var phrases = []phrase{
	{[]string{"droplet limit", "exceed your"}, abi.Quota, todoQuota},
	{[]string{"pending event", "is locked"}, abi.Conflict, ""},
	{[]string{wordsInUse}, abi.Conflict, ""},
	{[]string{wordsNoKey}, abi.Invalid, "see " + optFingerprint},
	{[]string{"is not available in this region", "size is unavailable", "is currently not available", "currently unavailable", "out of capacity", "sold out",
		"is restricted", "region is not available"}, abi.Capacity, todoSize},
}

const (
	wordsInUse = "already in use on your account"
	wordsNoKey = "invalid key identifiers"
)

// refused is the error for an answer with a status of 300 or more. Source: DigitalOcean API, "HTTP Statuses".
func refused(res abi.HTTPResponse) *abi.Error {
	var body struct {
		ID      string `json:"id"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(res.Body, &body) // what is no JSON has no reason
	status := strconv.Itoa(res.Status)
	kind, todo := rest.KindOf(res.Status), ""
	switch {
	case res.Status == 401:
		todo = todoToken
	case res.Status == 403:
		todo = todoScope
	case res.Status == 422:
		kind, todo = known(body.Message)
	}
	e := rest.Told(kind, settings.Or(body.ID, status), settings.Or(body.Message, "DigitalOcean answered with status "+status), todo)
	if kind == abi.RateLimited || kind == abi.Transient {
		e.RetryAfterS = rest.RetryAfter(res.Headers)
	}
	return e
}

// known finds what the words of a 422 mean. Those that nobody knows are about what was asked for.
func known(message string) (abi.ErrorKind, string) {
	message = strings.ToLower(message)
	for _, p := range phrases {
		for _, words := range p.words {
			if strings.Contains(message, words) {
				return p.kind, p.todo
			}
		}
	}
	return abi.Invalid, todoMade
}

// says tells whether an error has these words of DigitalOcean's.
func says(err error, words string) bool {
	return err != nil && driver.Is(err, abi.Conflict, abi.Invalid) && strings.Contains(strings.ToLower(err.Error()), words)
}
