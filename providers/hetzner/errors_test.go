package main

import (
	"errors"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakehcloud"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestRefusals gives create what Hetzner answers in trouble, each with the kind that must follow and what people must read.
func TestRefusals(t *testing.T) {
	c := start(t, fakehcloud.Settings{})
	nativeDriver.Refused(t, func(fault string) error { return c.Fail(fault) }, func() abi.CreateRequest { return request("m1", options(t, c)) }, map[string]native.Refusal{
		"stock-out":  {Kind: hostside.ErrCapacity, Says: []string{"error during placement", "alternatives in millwright.toml", "(resource_unavailable)"}},
		"quota":      {Kind: hostside.ErrQuota, Says: []string{"server limit reached", "ask Hetzner for a higher limit", "(resource_limit_exceeded)"}},
		"rate limit": {Kind: hostside.ErrRateLimited, Says: []string{"API Rate limit exceeded", "(rate_limit_exceeded)"}},
		"auth":       {Kind: hostside.ErrAuth, Says: []string{"Unable to authenticate you", "hetzner-api-token or [credentials.hetzner]", "(unauthorized)"}},
		"no right":   {Kind: hostside.ErrAuth, Says: []string{"give the token the right to write", "(forbidden)"}},
		"trouble":    {Kind: hostside.ErrTransient, Says: []string{"Server Error (maintenance)"}},
		"junk":       {Kind: hostside.ErrTransient, Says: []string{"makes no sense"}},
		"other body": {Kind: hostside.ErrTransient, Says: []string{"what was asked for is not in it"}},
		"proxy page": {Kind: hostside.ErrTransient, Says: []string{"makes no sense"}},
	})
	if keys, _ := c.Names(); len(keys) > 0 {
		t.Errorf("refused creations left %v", keys)
	}
}

// TestWhatIsNotThere names what an option leads to and there is not.
func TestWhatIsNotThere(t *testing.T) {
	c := start(t, fakehcloud.Settings{})
	for option, says := range map[string]string{
		"hetzner-server-location=moon":    "location moon not found; see that server type, image",
		"hetzner-server-type=cx99":        "server type cx99 not found",
		"hetzner-image=no-such-image":     "image no-such-image not found",
		"hetzner-networks=no-such":        `hetzner-networks: there is none of the name "no-such"`,
		"hetzner-firewalls=no-such":       "hetzner-firewalls: there is none",
		"hetzner-primary-ipv4=192.0.2.77": `there is no primary IP "192.0.2.77"`,
		"hetzner-existing-key-id=77":      "SSH key not found; see that",
	} {
		_, err := nativeDriver.Create(t.Context(), request("m1", options(t, c, option)))
		if !errors.Is(err, hostside.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want the kind invalid and %q", option, err, says)
		}
	}
	if keys, _ := c.Names(); len(keys) > 0 {
		t.Errorf("refused creations left %v", keys)
	}
}

func TestCodes(t *testing.T) {
	for code, kind := range map[string]abi.ErrorKind{
		"resource_unavailable": abi.Capacity, "placement_error": abi.Capacity, "resource_limit_exceeded": abi.Quota, "no_subnet_available": abi.Quota,
		"rate_limit_exceeded": abi.RateLimited, "locked": abi.Conflict, "uniqueness_error": abi.Conflict, "protected": abi.Invalid, "something_new": abi.Transient,
	} {
		if e := failed(code, "the words"); e.Kind != kind || e.Code != code {
			t.Errorf("an action's %s: %+v; the kind must be %s", code, e, kind)
		}
		e := refused(abi.HTTPResponse{Status: 503, Body: []byte(`{"error":{"code":"` + code + `","message":"the words"}}`)})
		if e.Kind != kind || e.Code != code {
			t.Errorf("%s: %+v; the kind must be %s", code, e, kind)
		}
	}
	e := refused(abi.HTTPResponse{Status: 422, Body: []byte(`{"error":{"code":"invalid_input","message":"invalid input","details":{"fields":[{"name":"image","messages":["is too long"]}]}}}`)})
	if !strings.Contains(e.Message, "(image: is too long)") {
		t.Errorf("got %+v", e)
	}
	e = refused(abi.HTTPResponse{Status: 429, Headers: map[string][]string{"Ratelimit-Reset": {"1787569200"}, "Date": {"Mon, 24 Aug 2026 10:00:00 GMT"}}})
	if e.RetryAfterS != longestPause {
		t.Errorf("it asks to wait %d s", e.RetryAfterS)
	}
}
