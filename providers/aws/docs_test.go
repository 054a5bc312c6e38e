package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeasg"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var pagePath = filepath.Join("..", "..", "docs", "drivers", "aws.md")

// TestPage holds the driver's page to its description.
func TestPage(t *testing.T) { drivertest.GroupPage(t, pagePath, aws{}.Describe().Options, *update) }

// TestPermissions compares the policy of the driver's page with what the calls need that the driver makes in all that it does, and with what its check
// looks at.
func TestPermissions(t *testing.T) {
	c := fakeasg.Start(t, fakeasg.Settings{})
	ask := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := info(t, c, 1)
	ask("info", err)
	_, err = increase(t, c, 2)
	ask("increase", err)
	connect := func(i int) {
		t.Helper()
		_, err := call[abi.ConnectInfo](t, abi.ExportConnectInfo, abi.ConnectRequest{ABI: abi.Version, Options: options(c), Instance: c.Live()[i].ID, AuthorizedKey: "ssh-ed25519 AAAA"})
		ask("connect", err)
	}
	connect(0)
	c.Set(func(s *fakeasg.Settings) { s.Platform, s.PasswordData = "Windows", "AAEC" })
	connect(1)
	_, err = decrease(t, c, c.Live()[0].ID)
	ask("decrease", err)
	data, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^\s+"([a-z0-9-]+:[A-Z]\w+)",?$`).FindAllStringSubmatch(string(data), -1) {
		told = append(told, m[1])
	}
	slices.Sort(told)
	if diff := cmp.Diff(c.Permissions(), told); diff != "" {
		t.Errorf("the policy of %s and what the driver needs: %s", pagePath, diff)
	}
	names := needs.Names()
	slices.Sort(names)
	if diff := cmp.Diff(told, names); diff != "" {
		t.Errorf("the policy of %s and the driver's table: %s", pagePath, diff)
	}
}

// TestCheck has what the driver tells of its permissions, and that it asks for nothing else.
func TestCheck(t *testing.T) {
	check := func(c *fakeasg.Cloud) (map[string]abi.Permission, error) {
		res, err := call[abi.CheckResult](t, abi.ExportCheck, abi.CheckRequest{ABI: abi.Version, Options: options(c)})
		found := map[string]abi.Permission{}
		for _, p := range res.Permissions {
			found[p.Name] = p
		}
		return found, err
	}
	c := fakeasg.Start(t, fakeasg.Settings{Min: 1})
	c.Inject(fakeasg.Denied.Of("DescribePolicies"))
	got, err := check(c)
	if err != nil || len(got) != len(needs.List) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, want := range map[string]abi.PermissionResult{
		maySee: abi.PermissionGranted, mayInstances: abi.PermissionGranted, mayPassword: abi.PermissionGranted, mayPolicies: abi.PermissionDenied, maySchedule: abi.PermissionGranted,
		mayGrow: abi.PermissionUnknown, mayEnd: abi.PermissionUnknown, mayLetIn: abi.PermissionUnknown,
	} {
		if got[name].Result != want {
			t.Errorf("%s: %+v, want %s", name, got[name], want)
		}
	}
	if n := c.Calls("SetDesiredCapacity") + c.Calls("TerminateInstanceInAutoScalingGroup") + c.Calls("SendSSHPublicKey"); n > 0 || c.Made() != 1 {
		t.Errorf("the check made %d calls that change something", n)
	}
	expired := fakeasg.Expired
	expired.Times = -1
	c.Inject(expired)
	_, err = check(c)
	wantSays(t, err, abi.Auth, "expired")
}
