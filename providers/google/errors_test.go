package main

import (
	"errors"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestRefusals gives create what Google answers in trouble, each with the kind that must follow and what people must read.
func TestRefusals(t *testing.T) {
	c := start(t, fakegce.Settings{})
	nativeDriver.Refused(t, c.Fail, func() abi.CreateRequest { return request("m1", options(t, c)) }, map[string]native.Refusal{
		"stock-out at once": {Kind: hostside.ErrCapacity, Says: []string{"does not have enough resources", "alternatives in millwright.toml", "(RESOURCE_POOL_EXHAUSTED)"}},
		"quota at once":     {Kind: hostside.ErrQuota, Says: []string{"Quota 'CPUS' exceeded", "raise the quota", "(quotaExceeded)"}},
		"rate limit":        {Kind: hostside.ErrRateLimited, Says: []string{"Queries per minute", "(rateLimitExceeded)"}},
		"rate limit by 403": {Kind: hostside.ErrRateLimited, Says: []string{"Rate Limit Exceeded"}},
		"auth":              {Kind: hostside.ErrAuth, Says: []string{"GOOGLE_APPLICATION_CREDENTIALS", "(authError)"}},
		"no right":          {Kind: hostside.ErrAuth, Says: []string{"Required 'compute.firewalls.get' permission", "google-skip-firewall-create", "give the agent's service account the role"}},
		"api off":           {Kind: hostside.ErrAuth, Says: []string{"enable the Compute Engine API"}},
		"trouble":           {Kind: hostside.ErrTransient, Says: []string{"Backend Error (backendError)"}},
		"junk":              {Kind: hostside.ErrTransient, Says: []string{"makes no sense"}},
		"other kind":        {Kind: hostside.ErrTransient, Says: []string{"what was asked for is not in it"}},
		"proxy page":        {Kind: hostside.ErrTransient, Says: []string{"makes no sense"}},
	})
}

// TestWhatIsNotThere names what an option leads to and there is not.
func TestWhatIsNotThere(t *testing.T) {
	c := start(t, fakegce.Settings{})
	for option, says := range map[string]string{
		"google-zone=us-central1-z":        "zones/us-central1-z' was not found",
		"google-machine-type=no-such-type": "see that zone, machine type, image",
		"google-address=no-such-address":   "google-address no-such-address",
	} {
		_, err := nativeDriver.Create(t.Context(), request("m1", options(t, c, option)))
		if !errors.Is(err, hostside.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want the kind invalid and %q", option, err, says)
		}
	}
	long := strings.Repeat("a", 59)
	if _, err := nativeDriver.Create(t.Context(), request(long, options(t, c))); !errors.Is(err, hostside.ErrInvalid) || !strings.Contains(err.Error(), "shorten MachineName") {
		t.Errorf("a name of 59 letters: %v", err)
	}
}
