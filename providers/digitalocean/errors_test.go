package main

import (
	"errors"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakedo"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestRefusals gives create what DigitalOcean answers in trouble, each with the kind that must follow and what people must read.
func TestRefusals(t *testing.T) {
	c := start(t, fakedo.Settings{})
	for fault, tc := range map[string]struct {
		kind error
		says []string
	}{
		"stock-out":  {hostside.ErrCapacity, []string{"Size is not available in this region", "alternatives in millwright.toml", "(unprocessable_entity)"}},
		"quota":      {hostside.ErrQuota, []string{"will exceed your droplet limit", "ask DigitalOcean for a higher droplet limit"}},
		"rate limit": {hostside.ErrRateLimited, []string{"API Rate limit exceeded", "(too_many_requests)"}},
		"auth":       {hostside.ErrAuth, []string{"Unable to authenticate you", "digitalocean-access-token or [credentials.digitalocean]", "(unauthorized)"}},
		"no right":   {hostside.ErrAuth, []string{"missing the required permission ssh_key:create", "the scopes of the driver's documentation"}},
		"trouble":    {hostside.ErrTransient, []string{"Server Error (server_error)"}},
		"junk":       {hostside.ErrTransient, []string{"makes no sense"}},
		"other body": {hostside.ErrTransient, []string{"what was asked for is not in it"}},
		"proxy page": {hostside.ErrTransient, []string{"makes no sense"}},
	} {
		t.Run(fault, func(t *testing.T) {
			if err := c.Fail(fault); err != nil {
				t.Fatal(err)
			}
			_, err := nativeDriver.Create(t.Context(), request("m1", options(t, c)))
			if !errors.Is(err, tc.kind) {
				t.Errorf("%v; the kind must be %v", err, tc.kind)
			}
			for _, words := range tc.says {
				if err != nil && !strings.Contains(err.Error(), words) {
					t.Errorf("%v does not say %q", err, words)
				}
			}
		})
	}
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
