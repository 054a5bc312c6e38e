package main

import (
	"errors"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestRefusals gives create what Azure answers in trouble, each with the kind that must follow and what people must read.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	create(t, "m0", options(t, c)) // what machines share is there
	nativeDriver.Refused(t, c.Fail, func() abi.CreateRequest { return wanted("m1", options(t, c)) }, map[string]native.Refusal{
		"SkuNotAvailable": {Kind: hostside.ErrCapacity, Says: []string{"currently not available in location", "alternatives in millwright.toml", "(SkuNotAvailable)"}},
		"quota":           {Kind: hostside.ErrQuota, Says: []string{"exceeding approved Total Regional Cores quota", "raise the quota", "(OperationNotAllowed)"}},
		"QuotaExceeded":   {Kind: hostside.ErrQuota, Says: []string{"exceeding quota limits of Core", "(QuotaExceeded)"}},
		"set is full":     {Kind: hostside.ErrQuota, Says: []string{"leave azure-availability-set empty"}},
		"rate limit":      {Kind: hostside.ErrRateLimited, Says: []string{"being throttled", "(TooManyRequests)"}},
		"auth":            {Kind: hostside.ErrAuth, Says: []string{"AZURE_CLIENT_SECRET", "(ExpiredAuthenticationToken)"}},
		"no right":        {Kind: hostside.ErrAuth, Says: []string{"to perform action 'Microsoft.Compute/virtualMachines/read'", "the role of the driver's documentation"}},
		"not registered":  {Kind: hostside.ErrAuth, Says: []string{"az provider register"}},
		"no subscription": {Kind: hostside.ErrAuth, Says: []string{"see azure-subscription-id"}},
		"policy":          {Kind: hostside.ErrInvalid, Says: []string{"disallowed by policy", "a policy of the subscription forbids it"}},
		"trouble":         {Kind: hostside.ErrTransient, Says: []string{"(ServerTimeout)"}},
		"retryable":       {Kind: hostside.ErrTransient, Says: []string{"is not in Succeeded state"}},
		"junk":            {Kind: hostside.ErrTransient, Says: []string{"makes no sense"}},
		"empty object":    {Kind: hostside.ErrTransient, Says: []string{"what was asked for is not in it"}},
		"proxy page":      {Kind: hostside.ErrTransient, Says: []string{"makes no sense"}},
	})
}

// TestFailsLater has machines that are taken on and fail: the list says why, and they can be removed with all that they have.
func TestFailsLater(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	o := options(t, c)
	for _, code := range []string{"stock-out", "ZonalAllocationFailed", "OverconstrainedAllocationRequest"} {
		for _, denied := range []string{"", "subscription: Microsoft.Compute/virtualMachines/read"} {
			if err := c.Fail(code); err != nil {
				t.Fatal(err)
			}
			create(t, "m1", o)
			if denied != "" {
				c.Deny(denied)
			}
			found := find(t, o, "m1", func(i abi.Instance) bool { return i.Status == abi.StatusGone })
			if e := found.Error; e == nil || e.Kind != abi.Capacity || !strings.Contains(e.Message, "Allocation failed") || !strings.Contains(e.Code, "Allocation") {
				t.Errorf("%s: %+v", code, found.Error)
			}
			if err := remove(t, "m1", o); err != nil {
				t.Error(err)
			}
			if left := c.Leftovers(testOwner.ID); len(left) > 0 {
				t.Errorf("%s: left: %v", code, left)
			}
		}
	}
}

// TestWhatIsNotThere names what an option leads to and there is not.
func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	for option, tc := range map[string]struct {
		kind error
		says string
	}{
		"azure-location=nowhere":                    {hostside.ErrInvalid, "try another azure-location"},
		"azure-image=canonical:ubuntu:no-such:1":    {hostside.ErrInvalid, "see that image, size"},
		"azure-size=Standard_no_such":               {hostside.ErrInvalid, "provided for the VM size is not valid"},
		"azure-nsg=no-such":                         {hostside.ErrInvalid, "networkSecurityGroups/no-such referenced by"},
		"azure-enable-public-ip-standard-sku=false": {hostside.ErrQuota, "Basic SKU"},
	} {
		_, err := nativeDriver.Create(t.Context(), wanted("m1", options(t, c, option)))
		if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v; want %v and %q", option, err, tc.kind, tc.says)
		}
	}
	for _, name := range []string{strings.Repeat("a", 64), "12345", "a_b", "-a"} {
		if _, err := nativeDriver.Create(t.Context(), wanted(name, options(t, c))); !errors.Is(err, hostside.ErrInvalid) || !strings.Contains(err.Error(), "change MachineName") {
			t.Errorf("the name %s: %v", name, err)
		}
	}
}

func TestCodes(t *testing.T) {
	for _, tc := range []struct {
		problem problem
		status  int
		kind    abi.ErrorKind
	}{
		{problem{Code: "AllocationFailed"}, 200, abi.Capacity}, {problem{Code: "SomethingNewAllocationFailed"}, 200, abi.Capacity},
		{problem{Code: "OperationNotAllowed", Message: "Disk is attached"}, 409, abi.Conflict},
		{problem{Code: "OperationNotAllowed", Message: "exceeding Quota"}, 409, abi.Quota},
		{problem{Code: "PublicIPCountLimitReached"}, 400, abi.Quota}, {problem{Code: "LowPriorityCoresQuotaExceeded"}, 409, abi.Quota},
		{problem{Code: "BadRequest"}, 400, abi.Invalid}, {problem{Code: "SomethingNew"}, 200, abi.Transient}, {problem{}, 502, abi.Transient},
		{problem{}, 403, abi.Auth}, {problem{}, 404, abi.NotFound}, {problem{}, 412, abi.Conflict}, {problem{}, 429, abi.RateLimited},
		{problem{Code: "Conflict", Details: []problem{{Code: "QuotaExceeded"}}}, 409, abi.Quota},
		{problem{Code: "DeploymentFailed", Details: []problem{{Code: "Wrapped", Details: []problem{{Code: "SkuNotAvailable"}}}}}, 409, abi.Capacity},
	} {
		if e := tc.problem.failure(tc.status); e.Kind != tc.kind || e.Message == "" || e.Code == "" {
			t.Errorf("%+v with %d: %+v; the kind must be %s", tc.problem, tc.status, e, tc.kind)
		}
	}
}
