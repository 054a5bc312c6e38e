package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	hostside "github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSharedTakesTime has a network that is not there at once: the first machine is told to wait, and a later one is made.
func TestSharedTakesTime(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{SharedTime: 2 * time.Second})
	o := options(t, c)
	_, err := nativeDriver.Create(t.Context(), wanted("m1", o))
	var e *hostside.Error
	if !errors.As(err, &e) || e.Info.Kind != abi.Transient || e.Info.RetryAfterS != 7 || !strings.Contains(err.Error(), "is being made; the next try finds it") {
		t.Fatalf("got %v", err)
	}
	if n := c.Record()["operations"]; n == 0 || n > looks {
		t.Errorf("the operation was asked after %d times, want %d at most", n, looks)
	}
	for deadline := time.Now().Add(30 * time.Second); err != nil; _, err = nativeDriver.Create(t.Context(), wanted("m1", o)) {
		if !errors.Is(err, hostside.ErrTransient) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(100 * time.Millisecond)
	}
	find(t, o, "m1", runs)
}

// TestShared makes machines with what is there, with other subnets and groups, and with other ports, and looks at what is shared then.
func TestShared(t *testing.T) {
	t.Parallel()
	server := fakearm.Start(t)
	c := cloud(t, server, fakearm.Settings{})
	for _, more := range [][]string{nil, {"azure-subnet=second", "azure-subnet-prefix=10.2.0.0/16"}, {"azure-resource-group=other", "azure-vnet=docker-machine:docker-machine-vnet"}, {"azure-open-port=80"}, {"azure-open-port=80", "azure-open-port=443"}} {
		o := options(t, c, more...)
		create(t, "m1", o)
		find(t, o, "m1", runs)
		if err := remove(t, "m1", o); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		inGroup("docker-machine"), in("availabilitySets", "docker-machine"), in("networkSecurityGroups", "docker-machine-firewall"),
		in("networkSecurityGroups", "docker-machine-firewall-"), in("networkSecurityGroups", "docker-machine-firewall-"), in("virtualNetworks", "docker-machine-vnet"),
		inGroup("other"), inGroup("other") + "/providers/Microsoft.Compute/availabilitySets/docker-machine", inGroup("other") + "/providers/Microsoft.Network/networkSecurityGroups/docker-machine-firewall",
	}
	var got []string
	for _, id := range c.IDs() {
		if i := strings.Index(id, "firewall-"); i > 0 {
			id = id[:i+len("firewall-")]
		}
		got = append(got, id)
	}
	for i := range want {
		want[i] = strings.ToLower(want[i])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSecurityRules opens what was asked for, and nothing else.
func TestSecurityRules(t *testing.T) {
	w, problems := read(abi.Options{optSubscription: {fakearm.Subscription}, optSize: {"Standard_D2s_v5"}, optImage: {"a:b:c:d"}, optOpenPort: {"8080", "53/udp", "8080/tcp"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := map[string]int{}
	for _, r := range w.rules() {
		got[r.Name+" "+r.Properties.Protocol+"/"+r.Properties.Port] = r.Properties.Priority
	}
	want := map[string]int{"SSHAllowAny Tcp/22": 100, "DockerAllowAny Tcp/2376": 300, "Port53UdpAllowAny Udp/53": 1000, "Port8080TcpAllowAny Tcp/8080": 1001}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Azure Resource Manager lets an application and subscription write 200 times at once and ten times a second more, and read 250 times and 25.
// Source: Azure documentation, "Understand how Azure Resource Manager throttles requests".
const (
	mostWrites = 200
	mostReads  = 250
)

// TestBurst counts what 200 machines cost.
func TestBurst(t *testing.T) {
	t.Parallel()
	c := cloud(t, fakearm.Start(t), fakearm.Settings{})
	o := options(t, c, "azure-availability-set=")
	create(t, "m0", o)
	before := c.Record()
	const machines = 200
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for n := range machines {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if _, err := nativeDriver.Create(t.Context(), wanted("n"+strconv.Itoa(n), o)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	writes, reads := 0, 0
	for api, n := range c.Record() {
		if strings.Contains(api, "CreateOrUpdate") {
			writes += n - before[api]
		} else {
			reads += n - before[api]
		}
	}
	if writes > mostWrites || reads > mostReads {
		t.Errorf("%d machines take %d writes and %d reads, want %d and %d at most", machines, writes, reads, mostWrites, mostReads)
	}
	res, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if err != nil || len(res.Instances) != machines+1 {
		t.Fatalf("%d machines, %v", len(res.Instances), err)
	}
	seen := map[string]bool{}
	for _, i := range res.Instances {
		seen[i.ID] = true
	}
	if data, _ := json.Marshal(res.Instances[0]); len(seen) != machines+1 || res.Instances[0].Address == "" {
		t.Errorf("%d ids; the first machine is %s", len(seen), data)
	}
}
