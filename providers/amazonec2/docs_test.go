package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var pagePath = filepath.Join("..", "..", "docs", "drivers", "amazonec2.md")

// TestPage holds the driver's page to its description.
func TestPage(t *testing.T) { drivertest.Page(t, pagePath, amazonec2{}.Describe().Options, *update) }

// TestPermissions compares the policy of the driver's page with what the calls need that the driver makes in all that it does.
func TestPermissions(t *testing.T) {
	t.Parallel()
	c := start(t, fakeec2.Settings{Region: "ca-central-1"})
	plain := options(t, c)
	create(t, "perm-1", plain)
	create(t, "perm-1", plain)
	all := options(t, c, "amazonec2-request-spot-instance", "amazonec2-iam-instance-profile=ci", "amazonec2-ami=099720109477/ubuntu/*xenial*", "amazonec2-open-port=8080")
	create(t, "perm-2", all)
	list(t, all)
	o := options(t, c, "amazonec2-zone=z") // has no default subnet
	if _, err := nativeDriver.Create(t.Context(), request("perm-3", o)); err == nil {
		t.Error("a machine was made in a zone that there is not")
	}
	remove(t, all, "perm-1", "perm-2", "perm-3")
	data, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^\s+"((?:ec2|iam):\w+)",?$`).FindAllStringSubmatch(string(data), -1) {
		told = append(told, m[1])
	}
	slices.Sort(told)
	if diff := cmp.Diff(c.Permissions(), told); diff != "" {
		t.Errorf("the policy of %s and what the driver needs: %s", pagePath, diff)
	}
	samePermissions(t, c, told)
}

// TestBurst counts the calls of 200 machines: EC2 refills 2 RunInstances and 5 other changes a second, and looks by filters at 20.
// Source: EC2 Developer Guide, "Request throttling for the Amazon EC2 API".
func TestBurst(t *testing.T) { // alone: another test may have the driver forget what it looked up
	const machines = 20 // each as the next; moto takes its time
	c := start(t, fakeec2.Settings{Region: "sa-east-1"})
	o := options(t, c)
	var names []string
	for i := range machines {
		names = append(names, fmt.Sprintf("burst-%d", i))
		create(t, names[i], o)
	}
	if n := len(list(t, o)); n != machines {
		t.Errorf("%d machines are listed", n)
	}
	remove(t, o, names...)
	want := map[string]int{
		"RunInstances": machines, "ImportKeyPair": machines, "TerminateInstances": machines, "DeleteKeyPair": machines, "DescribeInstances": machines + 1,
		"DescribeKeyPairs": 1, "DescribeSubnets": 1, "DescribeSecurityGroups": 1, "CreateSecurityGroup": 1, "AuthorizeSecurityGroupIngress": 1,
	}
	if diff := cmp.Diff(want, c.Record()); diff != "" {
		t.Error(diff)
	}
	if res, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o}); err != nil || len(res.Instances) > 0 || !res.Complete {
		t.Errorf("at the end: %+v, %v", res, err)
	}
}
