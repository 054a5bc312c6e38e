package main

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/providers/internal/awsapi"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestMachines compares what AWS is asked for with golden files, option by option.
func TestMachines(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "eu-central-1"})
	subnet := first(subnetsOf(t, c)).subnet
	for name, tc := range map[string]struct {
		list    []string
		expires string
	}{
		"defaults": {nil, ""},
		"all": {[]string{
			"amazonec2-zone=b", "amazonec2-instance-type=m6i.large", "amazonec2-device-name=/dev/xvda", "amazonec2-root-size=50", "amazonec2-volume-type=gp3",
			"amazonec2-volume-iops=4000", "amazonec2-volume-throughput=250", "amazonec2-volume-encrypted", "amazonec2-volume-kms-key=alias/ci", "amazonec2-iam-instance-profile=ci",
			"amazonec2-ssh-user=admin", "amazonec2-ssh-port=2222", "amazonec2-tags=team,ci,Name,mine", "amazonec2-security-group=one", "amazonec2-security-group=two",
			"amazonec2-open-port=8080", "amazonec2-monitoring", "amazonec2-use-ebs-optimized-instance", "amazonec2-cpu-credits=unlimited", "amazonec2-use-private-address",
			"amazonec2-metadata-token=required", "amazonec2-metadata-token-response-hop-limit=2", "amazonec2-userdata=#!/bin/sh\nhostname\n",
		}, ""},
		"spot":     {[]string{"amazonec2-request-spot-instance", "amazonec2-spot-price=0.10", "amazonec2-block-duration-minutes=60"}, "2026-08-20T10:00:00Z"},
		"spot-cap": {[]string{"amazonec2-request-spot-instance", "amazonec2-spot-price="}, ""},
		"own":      {[]string{"amazonec2-subnet-id=" + subnet, "amazonec2-keypair-name=ci", "amazonec2-private-address-only"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, c, tc.list...)
			req := request("made-"+name, o)
			req.ExpiresAt = tc.expires
			if o.Get(optKeyPair) != "" {
				importKey(t, c, o)
			}
			before := len(c.Requests("RunInstances"))
			if _, err := nativeDriver.Create(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			defer remove(t, o, req.Name)
			shown := list(t, o)[req.Name]
			if shown.Address == "" || shown.Status != abi.StatusRunning {
				t.Errorf("listed as %+v", shown)
			}
			sent := c.Requests("RunInstances")[before]
			drivertest.Golden(t, name, map[string]any{"sent": plain(t, sent, subnet), "ssh_user": shown.SSHUser, "ssh_port": shown.SSHPort, "private": strings.HasPrefix(shown.Address, "10.")}, *update)
		})
	}
}

// TestZones puts machines into the subnet of their zone, unless a subnet is named.
func TestZones(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "ap-southeast-3"})
	all := subnetsOf(t, c)
	if len(all) < 2 {
		t.Fatalf("the cloud has the subnets %v", all)
	}
	for _, n := range all {
		zone := strings.TrimPrefix(n.zone, c.Region())
		for name, list := range map[string][]string{
			"by its letter": {"amazonec2-zone=" + zone}, "by its name": {"amazonec2-zone=" + n.zone}, "in a VPC": {"amazonec2-zone=" + zone, "amazonec2-vpc-id=" + n.vpc},
			"by its subnet": {"amazonec2-subnet-id=" + n.subnet},
		} {
			s, err := usable(options(t, c, list...))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.network(); err != nil || got != n {
				t.Errorf("%s %s: %+v, %v; want %+v", n.zone, name, got, err, n)
			}
		}
	}
}

// importKey puts the operator's own key pair into the cloud.
func importKey(t *testing.T, c *fakeec2.Cloud, o abi.Options) {
	t.Helper()
	p, err := reachable(o)
	if err != nil {
		t.Fatal(err)
	}
	f := newForm()
	f.put("KeyName", o.Get(optKeyPair))
	f.put("PublicKeyMaterial", base64.StdEncoding.EncodeToString([]byte(request("", nil).Bootstrap.AuthorizedKey)))
	if _, err := p.call("ImportKeyPair", f); err != nil {
		t.Fatal(err)
	}
}

func subnetsOf(t *testing.T, c *fakeec2.Cloud) []network {
	t.Helper()
	s, err := usable(options(t, c))
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.subnets(newForm())
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	return found
}

// plain is a request without what is another in each cloud.
func plain(t *testing.T, f url.Values, subnet string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, values := range f {
		value := values[0]
		switch {
		case name == "UserData":
			data, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				t.Error(err)
			}
			value = string(data)
		case value == subnet:
			value = "the subnet of the options"
		case strings.HasPrefix(value, "subnet-"), strings.HasPrefix(value, "sg-"), strings.HasPrefix(value, "key-"):
			value = value[:strings.IndexByte(value, '-')] + "-..."
		}
		out[name] = value
	}
	return out
}

// TestGroups checks which ports are opened in a group that is there already.
func TestGroups(t *testing.T) {
	rule := func(protocol, from, to string) awsapi.Element {
		e := awsapi.Element{Children: []awsapi.Element{{Name: "ipProtocol", Text: protocol}}}
		if from != "" {
			e.Children = append(e.Children, awsapi.Element{Name: "fromPort", Text: from}, awsapi.Element{Name: "toPort", Text: to})
		}
		return e
	}
	for name, tc := range map[string]struct {
		rule awsapi.Element
		want bool
	}{
		"the port":       {rule("tcp", "2376", "2376"), true},
		"a range":        {rule("tcp", "2000", "3000"), true},
		"all traffic":    {rule("-1", "", ""), true},
		"another port":   {rule("tcp", "22", "22"), false},
		"of UDP":         {rule("udp", "2376", "2376"), false},
		"of no port":     {rule("tcp", "", ""), false},
		"a wider number": {rule("tcp", "23760", "23769"), false},
	} {
		if got := (port{"tcp", 2376}).letInBy(tc.rule); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestReadonly checks that no rule is added where the operator wants none, and that what lacks a port gets it else.
func TestReadonly(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "ap-south-1"})
	defer remove(t, options(t, c), "ro-1", "ro-2", "ro-3")
	create(t, "ro-1", options(t, c, "amazonec2-security-group=mine", "amazonec2-security-group-readonly"))
	if n := c.Record()["AuthorizeSecurityGroupIngress"]; n != 0 {
		t.Errorf("%d rules were added", n)
	}
	create(t, "ro-2", options(t, c, "amazonec2-security-group=mine"))
	create(t, "ro-3", options(t, c, "amazonec2-security-group=mine", "amazonec2-open-port=8080"))
	var opened []string
	for _, r := range c.Requests("AuthorizeSecurityGroupIngress") {
		for name, values := range r {
			if strings.HasSuffix(name, ".FromPort") {
				opened = append(opened, values[0])
			}
		}
	}
	slices.Sort(opened)
	if diff := cmp.Diff([]string{"22", "2376", "8080"}, opened); diff != "" {
		t.Error(diff)
	}
}

// TestImages checks which image a machine is made of.
func TestImages(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "ap-southeast-1"})
	o := options(t, c, "amazonec2-ami=099720109477/ubuntu/images/hvm-ssd/ubuntu-*-amd64-server-*")
	create(t, "image-1", o)
	defer remove(t, o, "image-1")
	if sent := c.Requests("RunInstances")[0].Get("ImageId"); !strings.HasPrefix(sent, "ami-") {
		t.Errorf("the image is %s", sent)
	}
	for _, own := range []string{"resolve:ssm:/golden/ami", "ami-0123456789abcdef0"} { // AWS resolves the first by itself
		s, err := usable(options(t, c, "amazonec2-ami="+own))
		if err != nil {
			t.Fatal(err)
		}
		if id, err := s.imageID(); err != nil || id != own {
			t.Errorf("%s: %s, %v", own, id, err)
		}
	}
	_, err := nativeDriver.Create(t.Context(), request("image-2", options(t, c, "amazonec2-ami=self/none-*")))
	wantSays(t, err, "invalid", "self has no image none-* for x86_64")
	for list, want := range map[string]string{
		"amazonec2-region=eu-west-1":       "099720109477 ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-amd64-server-* x86_64",
		"amazonec2-region=us-gov-west-1":   "513442679011 ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-amd64-server-* x86_64",
		"amazonec2-instance-type=t4g.nano": "099720109477 ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-arm64-server-* arm64",
	} {
		before := len(c.Requests("DescribeImages"))
		o := options(t, c, list)
		delete(o, optAMI)
		s, err := usable(o)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.imageID() // which moto does not have
		asked := c.Requests("DescribeImages")[before]
		if got := asked.Get("Owner.1") + " " + asked.Get("Filter.1.Value.1") + " " + asked.Get("Filter.3.Value.1"); got != want {
			t.Errorf("%s: asked for %s", list, got)
		}
	}
}

func TestBootScript(t *testing.T) {
	req := request("m1", nil)
	if got := (settings{}).bootScript(req); got != "" {
		t.Errorf("got %q", got)
	}
	req.ExpiresAt = "2026-08-20T10:00:00Z'; reboot '"
	got := settings{keyPair: "ci", login: login{user: "ubuntu"}}.bootScript(req)
	for _, part := range []string{"getent passwd ubuntu", req.Bootstrap.AuthorizedKey, "date -d '2026-08-20T10:00:00Z' +%s", "shutdown -P"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q lacks %q", got, part)
		}
	}
}
