package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/native"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestRefusals gives create what AWS answers in trouble, each with the kind that must follow and what people must read.
func TestRefusals(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "us-west-1"})
	nativeDriver.Refused(t, c.Fail, func() abi.CreateRequest { return request("refused", options(t, c)) }, map[string]native.Refusal{
		"stock-out":                {Kind: hostside.ErrCapacity, Says: []string{"sufficient t2.micro capacity", "alternatives in millwright.toml", "(InsufficientInstanceCapacity)"}},
		"no such type in the zone": {Kind: hostside.ErrCapacity, Says: []string{"choosing us-east-1a", "alternatives in millwright.toml"}},
		"subnet full":              {Kind: hostside.ErrCapacity, Says: []string{"the subnet is full"}},
		"spot price":               {Kind: hostside.ErrCapacity, Says: []string{"raise amazonec2-spot-price"}},
		"quota":                    {Kind: hostside.ErrQuota, Says: []string{"vCPU limit of 32", "raise the quota", "(VcpuLimitExceeded)"}},
		"spot quota":               {Kind: hostside.ErrQuota, Says: []string{"Max spot instance count exceeded"}},
		"no image":                 {Kind: hostside.ErrInvalid, Says: []string{"does not exist", "see that image", "in the same region"}},
		"rate limit":               {Kind: hostside.ErrRateLimited, Says: []string{"Request limit exceeded (RequestLimitExceeded)"}},
		"auth":                     {Kind: hostside.ErrAuth, Says: []string{"amazonec2-access-key", "(AuthFailure)"}},
		"expired":                  {Kind: hostside.ErrAuth, Says: []string{"the clock of the agent's host is wrong"}},
		"not open":                 {Kind: hostside.ErrAuth, Says: []string{"subscribe the account"}},
		"trouble":                  {Kind: hostside.ErrTransient, Says: []string{"An internal error has occurred (InternalError)"}},
		"junk":                     {Kind: hostside.ErrTransient, Says: []string{"makes no sense: it is no XML"}},
		"proxy page":               {Kind: hostside.ErrTransient, Says: []string{"makes no sense: it is a html"}},
	})
	if err := c.Fail("another answer"); err != nil {
		t.Fatal(err)
	}
	if res, err := nativeDriver.List(t.Context(), abi.ListRequest{Owner: testOwner, Options: options(t, c)}); err == nil {
		t.Errorf("an answer without a list is the list %+v", res)
	}
	if err := c.Fail(""); err != nil {
		t.Fatal(err)
	}
	remove(t, options(t, c), "refused")
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Error(left)
	}
}

// TestDenied takes one right after the other from the role: what is lost is said, and nothing counts as gone.
func TestDenied(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "us-west-2"})
	o := options(t, c, "amazonec2-request-spot-instance")
	create(t, "denied", o)
	for action, listed := range map[string]bool{"DescribeInstances": false, "DescribeKeyPairs": true, "DescribeSpotInstanceRequests": true} {
		c.Deny(action)
		res, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
		if listed && (err != nil || len(res.Instances) != 1 || !res.Complete) || !listed && !errors.Is(err, hostside.ErrAuth) {
			t.Errorf("without %s: %+v, %v", action, res, err)
		}
	}
	for _, action := range []string{"DescribeInstances", "TerminateInstances"} {
		c.Deny(action)
		err := nativeDriver.Remove(t.Context(), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: "denied", Options: o})
		if !errors.Is(err, hostside.ErrAuth) {
			t.Errorf("removed without %s: %v", action, err)
		}
	}
	for _, action := range []string{"RunInstances", "ImportKeyPair"} {
		c.Deny(action)
		_, err := nativeDriver.Create(t.Context(), request("refused", o))
		wantSays(t, err, "auth", "You are not authorized to perform this operation: ec2:"+action+" is refused", "decode-authorization-message", "the policy of the driver's documentation")
		if strings.Contains(err.Error(), "aGVsbG8") {
			t.Errorf("what is encoded is shown: %v", err)
		}
	}
	c.Deny("CreateTags")
	_, err := nativeDriver.Create(t.Context(), request("refused", o))
	wantSays(t, err, "auth", "or ec2:CreateTags for its tags", "the policy of the driver's documentation")
	c.Deny("CancelSpotInstanceRequests")
	remove(t, o, "denied", "refused")
	c.Deny()
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Error(left)
	}
}

// TestNotSeenYet removes a machine that the API does not show: launched just now it is there, launched long ago it is gone.
func TestNotSeenYet(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "ap-northeast-1"})
	req := abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: "unseen", ID: "i-0123456789abcdef0", Options: options(t, c)}
	for name, tc := range map[string]struct {
		launched time.Time
		gone     bool
	}{
		"just now": {time.Now().Add(-time.Minute), false},
		"long ago": {time.Now().Add(-time.Hour), true},
	} {
		req.State = stateOf(tc.launched.Format(time.RFC3339))
		if err := nativeDriver.Remove(t.Context(), req); (err == nil) != tc.gone || err != nil && !errors.Is(err, hostside.ErrTransient) {
			t.Errorf("%s: %v", name, err)
		}
	}
	req.State = nil
	if err := nativeDriver.Remove(t.Context(), req); err != nil {
		t.Errorf("of no state: %v", err)
	}
}

// TestForeignKeyPair checks that a key pair of the machine's name that is somebody else's is a conflict, and stays.
func TestForeignKeyPair(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "ap-northeast-2"})
	o := options(t, c, "amazonec2-keypair-name=theirs")
	importKey(t, c, o)
	delete(o, optKeyPair)
	if _, err := nativeDriver.Create(t.Context(), request("theirs", o)); !errors.Is(err, hostside.ErrConflict) {
		t.Errorf("got %v", err)
	}
	remove(t, o, "theirs")
	if c.Record()["DeleteKeyPair"] > 0 {
		t.Error("the key pair was deleted")
	}
}

// TestReasons checks what a list tells of instances that ended by themselves.
func TestReasons(t *testing.T) {
	for reason, kind := range map[string]abi.ErrorKind{
		"Server.InsufficientInstanceCapacity": abi.Capacity, "Client.VolumeLimitExceeded": abi.Quota, "Client.InternalError": abi.Auth,
		"Server.InternalError": abi.Transient, "Server.SpotInstanceTermination": "", "Client.UserInitiatedShutdown": "", "Client.InstanceInitiatedShutdown": "", "": "",
	} {
		i := vm{state: "terminated", reason: reason, why: reason + ": words"}.instance()
		if i.Status != abi.StatusGone || (i.Error == nil) != (kind == "") || i.Error != nil && i.Error.Kind != kind {
			t.Errorf("%s: %+v with %v", reason, i, i.Error)
		}
	}
}
