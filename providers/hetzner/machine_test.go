package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakehcloud"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func keyOption(id int64) string { return "hetzner-existing-key-id=" + strconv.FormatInt(id, 10) }

// TestMachines compares what Hetzner is asked for with golden files, option by option.
func TestMachines(t *testing.T) {
	all := []string{
		"hetzner-image=ubuntu-24.04", "hetzner-image-arch=arm", "hetzner-server-type=cax11", "hetzner-server-location=fsn1", "hetzner-additional-key=" + testKey + " them",
		"hetzner-key-label=kind=key", "hetzner-server-label=team=ci", "hetzner-user-data=#!/bin/sh\nhostname", "hetzner-networks=ci", "hetzner-volumes=cache", "hetzner-firewalls=web",
		"hetzner-firewalls=40000003", "hetzner-primary-ipv4=192.0.2.7", "hetzner-primary-ipv6=v6", "hetzner-placement-group=mine", "hetzner-ssh-user=builder", "hetzner-ssh-port=2222",
	}
	for name, list := range map[string][]string{
		"defaults": nil, "all": all, "ipv6-only": {"hetzner-disable-public-4"}, "private": {"hetzner-disable-public", "hetzner-networks=ci"},
		"snapshot": {"hetzner-image-id=4711", "hetzner-disable-public-ipv6"}, "spread": {"hetzner-auto-spread"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, fakehcloud.Settings{DeleteTime: 20 * time.Millisecond})
			for _, what := range []struct{ what, name, ip string }{{"networks", "ci", ""}, {"volumes", "cache", ""}, {"firewalls", "web", ""}, {"primary_ips", "v4", "192.0.2.7"}, {"primary_ips", "v6", ""}} {
				c.Reserve(what.what, what.name, what.ip)
			}
			o := options(t, c, list...)
			req := request("m1", o)
			req.Labels = map[string]string{"stage": "build & test"}
			if name == "all" {
				req.ExpiresAt = "2026-08-20T10:00:00Z"
			}
			made, err := nativeDriver.Create(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			shown := find(t, o, "m1", runs)
			sent := map[string]any{}
			for _, pattern := range []string{"POST /v1/servers", "POST /v1/ssh_keys", "POST /v1/placement_groups"} {
				var body any
				if data := c.Body(pattern); data != nil {
					if err := json.Unmarshal(data, &body); err != nil {
						t.Fatal(err)
					}
					sent[pattern] = body
				}
			}
			drivertest.Golden(t, name, map[string]any{"sent": sent, "address": shown.Address, "ssh_user": shown.SSHUser, "ssh_port": shown.SSHPort, "state": made.State}, *update)
			removeAll(t, o, made.State, "m1")
			find(t, o, "m1", func(i abi.Instance) bool { return i.Name == "" })
			keys, groups := c.Names()
			if left := c.Leftovers(testOwner.ID); len(left)+len(keys)+len(groups) > 0 {
				t.Errorf("left are %v, the keys %v and the groups %v", left, keys, groups)
			}
		})
	}
}

// removeAll removes as the host does: until there is no conflict.
func removeAll(t *testing.T, o abi.Options, state abi.Raw, names ...string) {
	t.Helper()
	for _, name := range names {
		for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
			err := nativeDriver.Remove(t.Context(), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: o, State: state})
			if err == nil {
				break
			}
			if !errors.Is(err, hostside.ErrConflict) || time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
}

// TestBurst makes and removes 200 machines and counts what that takes of Hetzner's rate limit.
func TestBurst(t *testing.T) {
	const machines = 200
	c := start(t, fakehcloud.Settings{})
	o := options(t, c)
	creates, lists, removes := nativeDriver.Burst(t, machines, func(name string) abi.CreateRequest { return request(name, o) },
		func(i abi.Instance) { removeAll(t, o, i.State, i.Name) }, c.Calls)
	if creates != 3*machines || lists != machines/perPage+1 || removes != 2*machines {
		t.Errorf("%d machines took %d calls to make, %d to list and %d to remove; want 3 each, %d, and 2 each", machines, creates, lists, removes, machines/perPage+1)
	}
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Error(left)
	}
}

// TestLowBudget keeps the last calls of an hour for lists and removals.
func TestLowBudget(t *testing.T) {
	c := start(t, fakehcloud.Settings{})
	o := options(t, c)
	create(t, "m1", o)
	c.Use(3560)
	_, err := nativeDriver.Create(t.Context(), request("m2", o))
	var e *hostside.Error
	if !errors.As(err, &e) || e.Info.Kind != abi.RateLimited || e.Info.RetryAfterS < lowPause {
		t.Errorf("got %v", err)
	}
	removeAll(t, o, nil, "m1", "m2")
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Error(left)
	}
}

// TestSomebodyElses leaves alone what bears no label of the owner's: a server of the machine's name, and a key.
func TestSomebodyElses(t *testing.T) {
	c := start(t, fakehcloud.Settings{})
	o := options(t, c)
	theirs := c.Add("m1", map[string]string{"team": "ci"})
	c.AddKey("theirs", testKey, nil)
	if _, err := nativeDriver.Create(t.Context(), request("m1", o)); !errors.Is(err, hostside.ErrConflict) || !strings.Contains(err.Error(), "that this agent did not make") {
		t.Errorf("got %v", err)
	}
	removeAll(t, o, nil, "m1")
	create(t, "m2", o) // with a key that is somebody else's
	removeAll(t, o, nil, "m2")
	if keys, _ := c.Names(); !slices.Equal(keys, []string{"theirs"}) || c.Put("m1", "running") != nil {
		t.Errorf("server %d is gone, or the keys are %v", theirs, keys)
	}
}

// TestWithoutRights has a token that may only read, and then not even that: nothing counts as gone.
func TestWithoutRights(t *testing.T) {
	c := start(t, fakehcloud.Settings{})
	o := options(t, c)
	create(t, "m1", o)
	c.Deny(mayWrite)
	find(t, o, "m1", runs)
	if _, err := nativeDriver.Create(t.Context(), request("m2", o)); !errors.Is(err, hostside.ErrAuth) || !strings.Contains(err.Error(), "give the token the right to write") {
		t.Errorf("create with a token that reads: %v", err)
	}
	gone := abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: "m1", Options: o}
	if err := nativeDriver.Remove(t.Context(), gone); !errors.Is(err, hostside.ErrAuth) {
		t.Errorf("remove with a token that reads: %v", err)
	}
	c.Deny(mayRead)
	res, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if !errors.Is(err, hostside.ErrAuth) || res.Complete {
		t.Errorf("list with a token without rights: %+v, %v", res, err)
	}
	if err := nativeDriver.Remove(t.Context(), gone); !errors.Is(err, hostside.ErrAuth) {
		t.Errorf("remove with a token without rights: %v", err)
	}
}

// TestSpread fills placement groups, ten machines in each, and removes each with its last machine.
func TestSpread(t *testing.T) {
	c := start(t, fakehcloud.Settings{DeleteTime: 20 * time.Millisecond})
	o := options(t, c, "hetzner-auto-spread")
	var names []string
	var state abi.Raw
	for n := range 12 {
		names = append(names, fmt.Sprintf("m%d", n))
		state = create(t, names[n], o).State
	}
	if _, groups := c.Names(); len(groups) != 2 {
		t.Errorf("the groups are %v", groups)
	}
	removeAll(t, o, state, names...)
	if _, groups := c.Names(); len(groups) > 0 {
		t.Errorf("left are the groups %v", groups)
	}
}

// TestFailedAction tells by the list why a creation failed after Hetzner took it.
func TestFailedAction(t *testing.T) {
	c := start(t, fakehcloud.Settings{})
	o := options(t, c)
	if err := c.Fail("half-made"); err != nil {
		t.Fatal(err)
	}
	made := create(t, "m1", o)
	if made.ID == "" || made.Status != abi.StatusCreating {
		t.Errorf("create returned %+v", made)
	}
	shown := find(t, o, "m1", func(i abi.Instance) bool { return i.Status == abi.StatusGone })
	if shown.Error == nil || shown.Error.Kind != abi.Capacity || !strings.Contains(shown.Error.Message, "no host had room; try another hetzner-server-location") {
		t.Errorf("got %+v", shown.Error)
	}
}
