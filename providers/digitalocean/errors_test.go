package main

import (
	"errors"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakedo"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestRefusals gives create what DigitalOcean answers in trouble, each with the kind that must follow and what people must read.
func TestRefusals(t *testing.T) {
	c := start(t, fakedo.Settings{})
	nativeDriver.Refused(t, func(fault string) error { return c.Fail(fault) }, func() abi.CreateRequest { return request("m1", options(t, c)) }, map[string]native.Refusal{
		"stock-out":  {Kind: hostside.ErrCapacity, Says: []string{"Size is not available in this region", "alternatives in millwright.toml", "(unprocessable_entity)"}},
		"quota":      {Kind: hostside.ErrQuota, Says: []string{"will exceed your droplet limit", "ask DigitalOcean for a higher droplet limit"}},
		"rate limit": {Kind: hostside.ErrRateLimited, Says: []string{"API Rate limit exceeded", "(too_many_requests)"}},
		"auth":       {Kind: hostside.ErrAuth, Says: []string{"Unable to authenticate you", "digitalocean-access-token or [credentials.digitalocean]", "(unauthorized)"}},
		"no right":   {Kind: hostside.ErrAuth, Says: []string{"missing the required permission ssh_key:create", "the scopes of the driver's documentation"}},
		"trouble":    {Kind: hostside.ErrTransient, Says: []string{"Server Error (server_error)"}},
		"junk":       {Kind: hostside.ErrTransient, Says: []string{"makes no sense"}},
		"other body": {Kind: hostside.ErrTransient, Says: []string{"what was asked for is not in it"}},
		"proxy page": {Kind: hostside.ErrTransient, Says: []string{"makes no sense"}},
	})
	if keys := c.Keys(); len(keys) > 0 {
		t.Errorf("refused creations left %v", keys)
	}
}

// TestWhatIsNotThere names what an option leads to and there is not.
func TestWhatIsNotThere(t *testing.T) {
	c := start(t, fakedo.Settings{})
	for option, says := range map[string]string{
		"digitalocean-region=nyc9":                 "invalid region for Droplet creation; see that region, size, image",
		"digitalocean-size=s-99vcpu":               "invalid size for Droplet creation",
		"digitalocean-image=no-such-image":         "invalid image for Droplet creation",
		"digitalocean-ssh-key-fingerprint=7654321": "7654321 are invalid key identifiers for Droplet creation; see digitalocean-ssh-key-fingerprint",
	} {
		_, err := nativeDriver.Create(t.Context(), request("m1", options(t, c, option)))
		if !errors.Is(err, hostside.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want the kind invalid and %q", option, err, says)
		}
	}
	if _, err := nativeDriver.Create(t.Context(), request("under_score", options(t, c))); !errors.Is(err, hostside.ErrInvalid) || !strings.Contains(err.Error(), "change MachineName") {
		t.Errorf("a name with an underscore: %v", err)
	}
	if keys := c.Keys(); len(keys) > 0 {
		t.Errorf("refused creations left %v", keys)
	}
}

// TestWords has what DigitalOcean says with the one code of its refusals.
func TestWords(t *testing.T) {
	for message, kind := range map[string]abi.ErrorKind{
		"creating this/these droplet(s) will exceed your droplet limit":    abi.Quota,
		"Size is not available in this region.":                            abi.Capacity,
		"The image you specified is not available in this region.":         abi.Capacity,
		"Creating Droplets with this size is restricted. Open a ticket":    abi.Capacity,
		"Droplet already has a pending event.":                             abi.Conflict,
		"You specified an invalid image for Droplet creation.":             abi.Invalid,
		"SSH Key is already in use on your account":                        abi.Conflict,
		"3b:16:bf:e4:8b are invalid key identifiers for Droplet creation.": abi.Invalid,
		"a word that nobody has heard":                                     abi.Invalid,
	} {
		e := refused(abi.HTTPResponse{Status: 422, Body: []byte(`{"id":"unprocessable_entity","message":"` + message + `"}`)})
		if e.Kind != kind || e.Code != "unprocessable_entity" {
			t.Errorf("%s: %+v; the kind must be %s", message, e, kind)
		}
	}
}
