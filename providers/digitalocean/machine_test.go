package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakedo"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestMachines compares what DigitalOcean is asked for with golden files, option by option.
func TestMachines(t *testing.T) {
	all := []string{
		"digitalocean-region=fra1", "digitalocean-size=s-2vcpu-4gb", "digitalocean-image=129211873", "digitalocean-ssh-user=builder", "digitalocean-ssh-port=2222",
		"digitalocean-ipv6", "digitalocean-private-networking", "digitalocean-backups", "digitalocean-monitoring", "digitalocean-userdata=#!/bin/sh\nhostname",
		"digitalocean-tags=ci, env:build", "digitalocean-vpc-uuid=5a4981aa-9653-4bd1-bef5-d6bff52042e4",
	}
	for name, list := range map[string][]string{
		"defaults": nil, "all": all, "private": {"digitalocean-use-private-address"}, "key": {"digitalocean-ssh-key-fingerprint=KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, fakedo.Settings{})
			operator := c.AddKey("operator", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPAxNrYMuBGu3rpsVmvAeiNdLhbVAhBpUmDKPChFJmCj operator")
			for i := range list {
				list[i] = strings.ReplaceAll(list[i], "=KEY", "="+operator)
			}
			o := options(t, c, list...)
			req := request("m1", o)
			req.Labels = map[string]string{"team": "build & test"}
			if name == "all" {
				req.ExpiresAt = "2026-08-20T10:00:00Z"
			}
			made, err := nativeDriver.Create(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			shown := find(t, o, "m1", runs)
			var sent any
			if err := json.Unmarshal(c.Body("POST /v2/droplets"), &sent); err != nil {
				t.Fatal(err)
			}
			drivertest.Golden(t, name, map[string]any{"droplet": sent, "address": shown.Address, "ssh_user": shown.SSHUser, "ssh_port": shown.SSHPort, "keys": c.Keys(), "state": made.State}, *update)
			remove(t, "m1", o, made.State)
			if left := c.Leftovers(testOwner.ID); len(left) > 0 || !slices.Equal(c.Keys(), []string{"operator"}) {
				t.Errorf("left are %v and the keys %v", left, c.Keys())
			}
		})
	}
}

// key is a public key of its own for each number.
func key(n int) string {
	return fmt.Sprintf("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPAxNrYMuBGu3rpsVmvAeiNdLhbVAhBpUmDKPC%06d", n)
}

// TestBurst makes and removes 200 machines and counts what that takes of DigitalOcean's rate limit.
func TestBurst(t *testing.T) {
	const machines = 200
	c := start(t, fakedo.Settings{})
	o := options(t, c)
	creates, lists, removes := nativeDriver.Burst(t, machines, func(name string) abi.CreateRequest { return request(name, o) },
		func(i abi.Instance) { remove(t, i.Name, o, i.State) }, c.Calls)
	if creates != 3*machines || lists != 2 || removes != 3*machines {
		t.Errorf("%d machines took %d calls to make, %d to list and %d to remove; want 3 each, 2, and 3 each", machines, creates, lists, removes)
	}
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Error(left)
	}
}

// TestLowBudget keeps the last calls of an hour for lists and removals.
func TestLowBudget(t *testing.T) {
	c := start(t, fakedo.Settings{})
	o := options(t, c)
	made := create(t, "m1", o)
	c.Use(4950)
	req := request("m2", o)
	req.Bootstrap.AuthorizedKey = key(2)
	_, err := nativeDriver.Create(t.Context(), req)
	var e *hostside.Error
	if !errors.As(err, &e) || e.Info.Kind != abi.RateLimited || e.Info.RetryAfterS < lowPause || !strings.Contains(err.Error(), "kept for lists and removals") {
		t.Errorf("got %v", err)
	}
	find(t, o, "m1", runs)
	remove(t, "m1", o, made.State)
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Error(left)
	}
}

// TestSomebodyElses leaves alone what bears no tag of the owner's: a droplet and a key of the machine's name.
func TestSomebodyElses(t *testing.T) {
	c := start(t, fakedo.Settings{})
	o := options(t, c)
	theirs := c.Add("m1", "ci")
	c.AddKey("m1", key(1))
	mine := create(t, "m1", o)
	if mine.ID == fmt.Sprint(theirs) {
		t.Error("somebody else's droplet was adopted")
	}
	remove(t, "m1", o, nil)
	remove(t, "m1", o, nil)
	if _, shown := c.Droplets("m1"); len(shown) != 1 || shown[0].ID != theirs {
		t.Errorf("what is there now: %v", shown)
	}
	if keys := c.Keys(); !slices.Equal(keys, []string{"m1"}) {
		t.Errorf("the keys are %v", keys)
	}
}

// TestKeyIsThere has a machine's key in the account under another name: it is used, and stays.
func TestKeyIsThere(t *testing.T) {
	c := start(t, fakedo.Settings{})
	o := options(t, c)
	c.AddKey("from before", testKey)
	made := create(t, "m1", o)
	if again := create(t, "m1", o); again.ID != made.ID {
		t.Errorf("the second create gave %s, the first %s", again.ID, made.ID)
	}
	remove(t, "m1", o, made.State)
	if keys := c.Keys(); !slices.Equal(keys, []string{"from before"}) {
		t.Errorf("the keys are %v", keys)
	}
}

// TestAfterACrash goes on where a creation ended between its key and its droplet, and removes what two creations that crossed each other made.
func TestAfterACrash(t *testing.T) {
	c := start(t, fakedo.Settings{})
	o := options(t, c)
	c.AddKey(keyName(testOwner.ID, "m1"), testKey)
	find(t, o, "m1", func(i abi.Instance) bool {
		return i.Status == abi.StatusGone && strings.Contains(i.Message, "only its SSH key")
	})
	create(t, "m1", o)
	c.Add("m1", tagOwner+testOwner.ID)
	res, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if err != nil || len(res.Instances) != 1 {
		t.Errorf("the list is %+v, %v", res, err)
	}
	remove(t, "m1", o, nil)
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Error(left)
	}
}

// TestWithoutKeyList has a token that may not list keys: machines are listed all the same.
func TestWithoutKeyList(t *testing.T) {
	c := start(t, fakedo.Settings{})
	o := options(t, c)
	made := create(t, "m1", o)
	c.Deny("ssh_key:read")
	find(t, o, "m1", runs)
	remove(t, "m1", o, made.State)
	untagged := start(t, fakedo.Settings{})
	untagged.Deny("tag:create") // a droplet without tags would be nobody's
	if _, err := nativeDriver.Create(t.Context(), request("m1", options(t, untagged))); !errors.Is(err, hostside.ErrAuth) || !strings.Contains(err.Error(), "tag:create") || len(untagged.Keys()) > 0 {
		t.Errorf("without the right to tag: %v, and the keys are %v", err, untagged.Keys())
	}
	c.Deny("droplet:read")
	_, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if !errors.Is(err, hostside.ErrAuth) || !strings.Contains(err.Error(), "droplet:read") {
		t.Errorf("got %v", err)
	}
}
