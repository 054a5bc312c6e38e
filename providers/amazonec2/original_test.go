//go:build !wasip1

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/original"
	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/providers/internal/awsapi"
)

func TestMain(m *testing.M) {
	code := m.Run()
	legacytest.Clean()
	os.Exit(code)
}

// meantSpot is where what is asked of AWS for a spot instance differs. docker-machine asks for a request that AWS then fulfils.
var meantSpot = map[string]string{
	`InstanceMarketOptions\..*`:   "the instance is asked for at once",
	`InstanceCount|M(in|ax)Count`: "the same",
	`TagSpecification\..*`:        "our tags, on everything, as it is made",
	`ClientToken`:                 "it makes the instance once, however often the call is repeated",
	`MetadataOptions\..*`:         "an option of GitLab's versions",
	`UserData`:                    "the host key",
}

// TestDockerMachineSpot compares what AWS is asked for: moto heeds little of what a spot request says of its instance.
func TestDockerMachineSpot(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "ap-southeast-2"})
	list := []string{
		"amazonec2-endpoint=" + c.URL(), "amazonec2-insecure-transport", "amazonec2-region=" + c.Region(), "amazonec2-ami=" + testImage, "amazonec2-zone=ap-southeast-2a",
		"amazonec2-request-spot-instance", "amazonec2-spot-price=0.10", "amazonec2-root-size=50", "amazonec2-instance-type=m4.large",
	}
	d := original.Driver(t, "amazonec2", "AWS_ACCESS_KEY_ID="+testKey, "AWS_SECRET_ACCESS_KEY="+testSecret)
	original.Make(t, d, testOwner, "om-spot", list)
	original.Remove(t, d, testOwner, "om-spot")
	o := options(t, c, list...)
	create(t, "om-spot", o)
	defer remove(t, o, "om-spot")
	theirs, ours := map[string]string{}, map[string]string{}
	for name, values := range c.Requests("RequestSpotInstances")[0] {
		theirs[strings.TrimPrefix(name, "LaunchSpecification.")] = values[0]
	}
	for name, values := range c.Requests("RunInstances")[0] {
		ours[name] = values[0]
	}
	if bid := ours["InstanceMarketOptions.SpotOptions.MaxPrice"]; bid != theirs["SpotPrice"] {
		t.Errorf("docker-machine bids %s, ours %s", theirs["SpotPrice"], bid)
	}
	delete(theirs, "SpotPrice")
	delete(theirs, "Action")
	delete(ours, "Action")
	known := drivertest.NewKnown(meantSpot)
	known.Check(t, drivertest.Differences(t, theirs, ours))
	known.Unused(t)
}

// meant is where what stands in the cloud differs from what docker-machine 0.16.2 makes of the same options.
var meant = map[string]string{
	`(instance|volume|key)\.tagSet\.millwright-.*`: "our tags, by which machines are found again",
	`(volume|key)\.tagSet\..*`:                     "docker-machine tags the instance alone",
	`groups\..*\.tagSet\.millwright-shared`:        "what machines share says so",
}

// TestDockerMachine gives docker-machine's own driver and ours the same options, one after the other, and compares what stands in the cloud.
func TestDockerMachine(t *testing.T) {
	c := start(t, fakeec2.Settings{Region: "us-east-2"})
	subnet := first(subnetsOf(t, c))
	dir := t.TempDir()
	userdata := filepath.Join(dir, "user-data")
	if err := os.WriteFile(userdata, []byte("#cloud-config\npackages: [git]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "id_rsa")
	for _, path := range []string{key, key + ".pub"} {
		if err := os.WriteFile(path, []byte("the operator's"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	importKey(t, c, options(t, c, "amazonec2-keypair-name=om"))
	known := drivertest.NewKnown(meant)
	for name, list := range map[string][]string{
		"defaults":        nil,
		"sizes":           {"amazonec2-instance-type=m4.large", "amazonec2-root-size=50", "amazonec2-volume-type=standard", "amazonec2-device-name=/dev/xvda", "amazonec2-zone=us-east-2b"},
		"groups":          {"amazonec2-security-group=one", "amazonec2-security-group=two", "amazonec2-open-port=8080", "amazonec2-open-port=53/udp"},
		"tags":            {"amazonec2-tags=team,ci,cost,42"},
		"subnet":          {"amazonec2-subnet-id=" + subnet.subnet, "amazonec2-vpc-id=" + subnet.vpc, "amazonec2-private-address-only"},
		"vpc":             {"amazonec2-vpc-id=" + subnet.vpc},
		"monitored":       {"amazonec2-monitoring", "amazonec2-use-ebs-optimized-instance", "amazonec2-iam-instance-profile=ci", "amazonec2-use-private-address"},
		"key pair":        {"amazonec2-keypair-name=om", "amazonec2-ssh-keypath=" + key},
		"user data":       {"amazonec2-userdata=" + userdata},
		"readonly groups": {"amazonec2-security-group=read", "amazonec2-security-group-readonly", "amazonec2-ssh-user=admin", "amazonec2-ssh-port=2222"},
	} {
		t.Run(name, func(t *testing.T) {
			machine := "om-" + strings.ReplaceAll(name, " ", "-")
			list := append([]string{
				"amazonec2-endpoint=" + c.URL(), "amazonec2-insecure-transport", "amazonec2-region=" + c.Region(), "amazonec2-ami=" + testImage, "amazonec2-zone=us-east-2a",
			}, list...)
			d := original.Driver(t, "amazonec2", "AWS_ACCESS_KEY_ID="+testKey, "AWS_SECRET_ACCESS_KEY="+testSecret)
			original.Make(t, d, testOwner, machine, list)
			theirs := standing(t, c, machine)
			original.Remove(t, d, testOwner, machine)
			removeGroups(t, c)
			o := options(t, c, list...)
			if o.Get(optUserdata) != "" {
				data, err := os.ReadFile(o.Get(optUserdata)) // as the host does
				if err != nil {
					t.Fatal(err)
				}
				o[optUserdata] = []string{string(data)}
			}
			create(t, machine, o)
			defer remove(t, o, machine)
			known.Check(t, drivertest.Differences(t, theirs, standing(t, c, machine)))
		})
	}
	known.Unused(t)
}

// standing is what the cloud holds of a machine and of what it uses, without what is another each time. Sets are by their keys.
func standing(t *testing.T, c *fakeec2.Cloud, machine string) map[string]any {
	t.Helper()
	p, err := reachable(options(t, c))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(action, set, filter string, values ...string) []awsapi.Element {
		f := newForm()
		if filter != "" {
			f.filter(filter, values...)
		}
		a, err := p.call(action, f)
		if err != nil {
			t.Fatal(err)
		}
		return a.Items(set)
	}
	var vm awsapi.Element
	for _, r := range ask("DescribeInstances", "reservationSet", "tag:Name", machine) {
		for _, i := range r.Items("instancesSet") {
			if i.At("instanceState", "name") == "running" {
				vm = i
			}
		}
	}
	if vm.At("instanceId") == "" {
		t.Fatal("there is no instance " + machine)
	}
	out := map[string]any{"instance": object(vm)}
	for _, v := range ask("DescribeVolumes", "volumeSet", "attachment.instance-id", vm.At("instanceId")) {
		out["volume"] = object(v)
	}
	for _, k := range ask("DescribeKeyPairs", "keySet", "key-name", machine) {
		out["key"] = object(k)
	}
	groups := map[string]any{}
	for _, g := range vm.Items("networkInterfaceSet") {
		for _, g := range g.Items("groupSet") {
			for _, g := range ask("DescribeSecurityGroups", "securityGroupInfo", "group-id", g.At("groupId")) {
				groups[g.At("groupName")] = object(g)
			}
		}
	}
	out["groups"] = groups
	return out
}

// removeGroups lets the next machine make its security groups anew.
func removeGroups(t *testing.T, c *fakeec2.Cloud) {
	t.Helper()
	p, err := reachable(options(t, c))
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.call("DescribeSecurityGroups", newForm())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range a.Items("securityGroupInfo") {
		if g.At("groupName") == "default" {
			continue
		}
		f := newForm()
		f.put("GroupId", g.At("groupId"))
		if _, err := p.call("DeleteSecurityGroup", f); err != nil {
			t.Fatal(err)
		}
	}
	remembered.forget()
}

// changing are ids, addresses and times.
var changing = []string{
	"instanceId", "volumeId", "attachmentId", "networkInterfaceId", "privateIpAddress", "privateDnsName", "ipAddress", "dnsName", "publicIp", "publicDnsName", "keyPairId",
	"createTime", "keyFingerprint", "launchTime", "attachTime", "reservationId", "macAddress", "ipv6Address", "groupId", "securityGroupArn",
}

// object is an element as JSON has it: tags by their keys.
func object(e awsapi.Element) any {
	if len(e.Children) == 0 {
		return e.Text
	}
	out := map[string]any{}
	for i, c := range e.Children {
		switch {
		case slices.Contains(changing, c.Name):
		case c.Name == "item" && c.At("key") != "":
			out[c.At("key")] = c.At("value")
		case c.Name == "item":
			out[strconv.Itoa(i)] = object(c)
		default:
			out[c.Name] = object(c)
		}
	}
	return out
}
