package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
	"github.com/millwright-ci/millwright/providers/internal/cloudinit"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// cloudsOwn is what the cloud adds to names of its own.
var cloudsOwn = regexp.MustCompile(`(m1-nic|m1-ip|ci-builds)-[0-9a-f]{8}`)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMachines compares what stands in the cloud after create with golden files: what Azure would be asked for, option by option.
func TestMachines(t *testing.T) {
	t.Parallel()
	const identity = "/subscriptions/" + fakearm.Subscription + "/resourceGroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/ci"
	server := fakearm.Start(t)
	for name, tc := range map[string]struct {
		list []string
		kind []string // of what is shown beside the machine, by its beginning
	}{
		"defaults": {nil, []string{"networkinterfaces/m1", "publicipaddresses/m1", "disks/m1", "networksecuritygroups/", "virtualnetworks/", "availabilitysets/"}},
		"all": {[]string{
			"azure-location=West Europe", "azure-size=Standard_NC4as_T4_v3", "azure-image=/CommunityGalleries/g/Images/ci/Versions/latest", "azure-plan=p:o:n",
			"azure-vnet=net:ci", "azure-subnet=builds", "azure-subnet-prefix=100.64.0.0/16", "azure-availability-set=ci", "azure-fault-domain-count=2", "azure-update-domain-count=5",
			"azure-storage-type=Premium_LRS", "azure-disk-size=64", "azure-ssh-user=builder", "azure-docker-port=2377", "azure-dns=ci-builds", "azure-static-public-ip",
			"azure-open-port=8080", "azure-open-port=53/udp", "azure-tags=team,ci,cost,low", "azure-managed-identity=system", "azure-managed-identity=" + identity, "azure-accelerated-networking",
		}, []string{"networkinterfaces/m1", "publicipaddresses/m1", "networksecuritygroups/", "virtualnetworks/", "availabilitysets/"}},
		"spot":            {[]string{"azure-spot", "azure-eviction-policy=Deallocate", "azure-max-price=0.05"}, nil},
		"low-priority":    {[]string{"azure-low-priority", "azure-availability-zone=2"}, nil},
		"private":         {[]string{"azure-no-public-ip", "azure-availability-set="}, []string{"networkinterfaces/m1"}},
		"private-address": {[]string{"azure-private-ip-address=192.168.7.7", "azure-use-private-ip", "azure-availability-zone=1"}, []string{"networkinterfaces/m1", "publicipaddresses/m1"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := cloud(t, server, fakearm.Settings{})
			o := options(t, c, tc.list...)
			create(t, "m1", o)
			shown := find(t, o, "m1", runs)
			if shown.CreatedAt == "" || shown.ID == "" {
				t.Errorf("%+v", shown)
			}
			objects := map[string]any{"machine": stable(c.Show(in("virtualMachines", "m1"))), "ssh_user": shown.SSHUser, "engine_port": shown.EnginePort, "address": shown.Address != ""}
			for _, id := range c.IDs() {
				kind := id[strings.LastIndex(id[:strings.LastIndexByte(id, '/')], "/")+1:]
				if slices.ContainsFunc(tc.kind, func(k string) bool { return strings.HasPrefix(kind, k) }) {
					objects[strings.SplitN(kind, "/", 2)[0]] = stable(c.Show(id))
				}
			}
			data, err := json.Marshal(objects)
			if err != nil {
				t.Fatal(err)
			}
			drivertest.Golden(t, name, json.RawMessage(cloudsOwn.ReplaceAll(data, []byte("$1-XXXXXXXX"))), *update)
			if err := remove(t, "m1", o); err != nil {
				t.Error(err)
			}
			if left := c.Leftovers(testOwner.ID); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// stable leaves out what differs from one cloud to the next.
func stable(o map[string]any) map[string]any {
	for name, v := range o {
		switch v := v.(type) {
		case map[string]any:
			stable(v)
		case []any:
			for _, e := range v {
				if e, ok := e.(map[string]any); ok {
					stable(e)
				}
			}
		}
		if slices.Contains([]string{"vmId", "timeCreated", "customData", "ipAddress", "etag"}, name) || name == "privateIPAddress" && v != "192.168.7.7" {
			delete(o, name)
		}
	}
	return o
}

// TestUserData has the host key in what cloud-init reads, with the operator's own.
func TestUserData(t *testing.T) {
	w, problems := read(abi.Options{optSubscription: {fakearm.Subscription}, optCustomData: {"#!/bin/sh\nhostname\n"}})
	for _, p := range problems {
		if !p.Warning {
			t.Fatal(p)
		}
	}
	req := wanted("m1", nil)
	req.ExpiresAt = "2026-08-20T10:00:00Z"
	data, err := base64.StdEncoding.DecodeString(w.body(req, "").Properties.OSProfile.CustomData)
	if err != nil || !strings.Contains(string(data), "    PRIVATE\n    END\n") || !strings.Contains(string(data), "\nhostname\n") ||
		!strings.Contains(string(data), cloudinit.End(req.ExpiresAt)) {
		t.Errorf("%s, %v", data, err)
	}
}

// TestTakenBack shows machines that Azure takes back as such, and those that were switched off as stopped.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	for name, tc := range map[string]struct {
		option string
		want   abi.Status
	}{
		"m1": {"azure-spot", abi.StatusInterrupted}, "m2": {"azure-low-priority", abi.StatusInterrupted}, "m3": {"azure-tags=a,b", abi.StatusStopped},
	} {
		o := options(t, c, tc.option)
		create(t, name, o)
		for _, power := range []string{"deallocating", "deallocated", "stopped"} {
			if err := c.Put(name, power); err != nil {
				t.Fatal(err)
			}
			find(t, o, name, func(i abi.Instance) bool { return i.Status == tc.want && strings.Contains(i.Message, power) })
		}
	}
}

// TestGoing has a machine that takes its time to go: it counts as gone, and its name is taken until it is.
func TestGoing(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{GoneTime: 500 * time.Millisecond, PageSize: 2})
	o := options(t, c)
	for _, name := range []string{"m1", "m2", "m3"} { // on more than one page
		create(t, name, o)
	}
	for _, name := range []string{"m1", "m2", "m3"} {
		find(t, o, name, runs)
		if err := remove(t, name, o); err != nil {
			t.Error(err)
		}
	}
	if i := find(t, o, "m3", func(i abi.Instance) bool { return i.Status != abi.StatusRunning }); i.Name != "" && i.Status != abi.StatusGone {
		t.Errorf("%+v", i)
	}
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(20 * time.Millisecond) {
		_, err := nativeDriver.Create(t.Context(), wanted("m3", o))
		if err == nil {
			break
		}
		if !errors.Is(err, hostside.ErrConflict) || !strings.Contains(err.Error(), "is being deleted") || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	find(t, o, "m3", runs)
}

// TestAged has a machine that failed long ago, and that nobody removed, show as something to remove.
func TestAged(t *testing.T) {
	at := time.Date(2026, 8, 24, 10, 0, 0, 0, time.UTC)
	failed := abi.Instance{Name: "m1", Status: abi.StatusGone, Error: &abi.Error{Kind: abi.Capacity}, CreatedAt: at.Format(time.RFC3339)}
	if i := aged(failed, at.Add(time.Minute)); i.Status != abi.StatusGone || i.Error == nil {
		t.Errorf("after a minute: %+v", i)
	}
	if i := aged(failed, at.Add(time.Hour)); i.Status != abi.StatusStopped || i.Error != nil {
		t.Errorf("after an hour: %+v", i)
	}
}

// TestWithoutRights has a list do without what it does not need, and never call a machine gone.
func TestWithoutRights(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	o := options(t, c)
	create(t, "m1", o)
	c.Deny("Microsoft.Resources/subscriptions/resourceGroups/resources/read")
	c.Deny("subscription: Microsoft.Compute/virtualMachines/read")
	if i := find(t, o, "m1", runs); i.Address == "" {
		t.Errorf("%+v", i)
	}
	c.Deny("Microsoft.Network/publicIPAddresses/read")
	res, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if !errors.Is(err, hostside.ErrAuth) || res.Complete {
		t.Errorf("got %+v, %v", res, err)
	}
}

// TestTheirs leaves alone what others made, whatever it is called.
func TestTheirs(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	theirs := map[string]string{"theirs": "yes"}
	c.Add(inGroup(defaultGroup), theirs)
	for _, id := range []string{
		in("virtualMachines", "m1"), in("networkInterfaces", "m1-nic"), in("publicIPAddresses", "m1-ip"), in("disks", "m1-os-disk"),
		in("virtualNetworks", "docker-machine-vnet"), in("networkSecurityGroups", "docker-machine-firewall"), in("availabilitySets", "docker-machine"),
	} {
		c.Add(id, theirs)
	}
	c.Add(in("networkInterfaces", "other"), map[string]string{tagOwner: "another-owner", tagMachine: "m1"})
	o := options(t, c)
	before := c.IDs()
	if _, err := nativeDriver.Create(t.Context(), wanted("m1", o)); !errors.Is(err, hostside.ErrConflict) || !strings.Contains(err.Error(), "did not make") {
		t.Errorf("create of a name that is somebody's: %v", err)
	}
	if err := remove(t, "m1", o); err != nil {
		t.Error(err)
	}
	create(t, "m2", o) // in their network, beside its own subnet
	find(t, o, "m2", runs)
	if err := remove(t, "m2", o); err != nil {
		t.Error(err)
	}
	find(t, o, "m2", func(i abi.Instance) bool { return i.Name == "" })
	if diff := cmp.Diff(before, c.IDs()); diff != "" {
		t.Errorf("what was there has changed: %s", diff)
	}
	shown, err := json.Marshal(c.Show(in("virtualNetworks", "docker-machine-vnet")))
	if err != nil || !strings.Contains(string(shown), `"name":"theirs"`) || !strings.Contains(string(shown), `"name":"docker-machine"`) || !strings.Contains(string(shown), `"theirs":"yes"`) {
		t.Errorf("the network is %s", shown)
	}
	for _, id := range []string{inGroup(defaultGroup), in("networkSecurityGroups", "docker-machine-firewall"), in("availabilitySets", "docker-machine")} {
		if shown, err := json.Marshal(c.Show(id)); err != nil || !strings.Contains(string(shown), `"theirs":"yes"`) || strings.Contains(string(shown), tagShared) {
			t.Errorf("%s is %s", id, shown)
		}
	}
}

// TestLeftBehind finds parts of machines that are gone by their tags, whatever they are called, and removes them.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	o := options(t, c)
	c.Add(inGroup(defaultGroup), nil)
	ours := map[string]string{tagOwner: testOwner.ID, tagMachine: "m1"}
	c.Add(in("disks", "left-disk"), ours)
	c.Add(in("publicIPAddresses", "left-ip"), ours)
	found := find(t, o, "m1", func(i abi.Instance) bool { return i.Status == abi.StatusCreating })
	if !strings.HasPrefix(found.Message, "there is only its ") {
		t.Errorf("%+v", found)
	}
	if err := remove(t, "m1", o); err != nil {
		t.Error(err)
	}
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
