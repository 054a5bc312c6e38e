package main

import (
	"errors"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
)

// TestRefusals gives create what Google answers in trouble, each with the kind that must follow and what people must read.
func TestRefusals(t *testing.T) {
	c := start(t, fakegce.Settings{})
	for fault, tc := range map[string]struct {
		kind error
		says []string
	}{
		"stock-out at once": {hostside.ErrCapacity, []string{"does not have enough resources", "alternatives in millwright.toml", "(RESOURCE_POOL_EXHAUSTED)"}},
		"quota at once":     {hostside.ErrQuota, []string{"Quota 'CPUS' exceeded", "raise the quota", "(quotaExceeded)"}},
		"rate limit":        {hostside.ErrRateLimited, []string{"Queries per minute", "(rateLimitExceeded)"}},
		"rate limit by 403": {hostside.ErrRateLimited, []string{"Rate Limit Exceeded"}},
		"auth":              {hostside.ErrAuth, []string{"GOOGLE_APPLICATION_CREDENTIALS", "(authError)"}},
		"no right":          {hostside.ErrAuth, []string{"Required 'compute.firewalls.get' permission", "google-skip-firewall-create", "give the agent's service account the role"}},
		"api off":           {hostside.ErrAuth, []string{"enable the Compute Engine API"}},
		"trouble":           {hostside.ErrTransient, []string{"Backend Error (backendError)"}},
		"junk":              {hostside.ErrTransient, []string{"makes no sense"}},
		"other kind":        {hostside.ErrTransient, []string{"what was asked for is not in it"}},
		"proxy page":        {hostside.ErrTransient, []string{"makes no sense"}},
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
