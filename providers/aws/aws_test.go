package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeasg"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestOptions has the keys of plugin_config and what is wrong with them.
func TestOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		o    abi.Options
		want string // in the problem; "": there is none
	}{
		"GitLab's example":      {abi.Options{"name": {"my-linux-asg"}, "profile": {abi.SecretGiven}, "config_file": {abi.SecretGiven}, "credentials_file": {abi.SecretGiven}}, ""},
		"a Mac's":               {abi.Options{"name": {"mac2metal"}, "region": {"us-west-2"}}, ""},
		"China and GovCloud":    {abi.Options{"name": {"a"}, "region": {"us-gov-west-1"}}, ""},
		"a zone":                {abi.Options{"name": {"a"}, "region": {"us-west-2a"}}, "a region, such as us-east-1"},
		"an address":            {abi.Options{"name": {"a"}, "region": {"evil.example.com/"}}, "a region"},
		"no name":               {abi.Options{}, "the name of an Auto Scaling group"},
		"an ARN":                {abi.Options{"name": {"arn:aws:autoscaling:a:1:autoScalingGroup"}}, "without colons"},
		"an endpoint with path": {abi.Options{"name": {"a"}, "endpoint": {"https://a.example.com/x"}}, "without a path"},
	} {
		problems := aws{}.Validate(abi.ValidateRequest{Options: tc.o})
		if tc.want == "" && len(problems) > 0 || tc.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, tc.want)) {
			t.Errorf("%s: %v, want %q", name, problems, tc.want)
		}
	}
	_, err := call[abi.ListResult](t, abi.ExportList, abi.ListRequest{Options: abi.Options{"name": {"a"}}})
	wantSays(t, err, abi.Invalid, "region: is not known", "plugin_config")
}

// TestPlaces has where the APIs answer.
func TestPlaces(t *testing.T) {
	for region, want := range map[string]string{"eu-west-1": "https://autoscaling.eu-west-1.amazonaws.com/", "cn-north-1": "https://autoscaling.cn-north-1.amazonaws.com.cn/"} {
		if got := (place{region: region}).url(scaling); got != want {
			t.Errorf("%s: %s", region, got)
		}
	}
}

// TestInfo has what of a group would fight with the agent, and what to paste.
func TestInfo(t *testing.T) {
	type problem struct {
		text    string
		warning bool
	}
	for name, tc := range map[string]struct {
		s    fakeasg.Settings
		most int
		want []problem
	}{
		"as it should be":    {fakeasg.Settings{}, 10, nil},
		"too small":          {fakeasg.Settings{Max: 5}, 10, []problem{{"update-auto-scaling-group --region eu-west-1 --auto-scaling-group-name 'builders' --max-size 10`, or write max_instances = 5", false}}},
		"a minimum":          {fakeasg.Settings{Min: 1}, 10, []problem{{"--min-size 0", true}}},
		"a lifetime":         {fakeasg.Settings{Lifetime: 86400}, 10, []problem{{"--max-instance-lifetime 0", true}}},
		"it balances zones":  {fakeasg.Settings{Processes: []string{}}, 10, []problem{{"suspend-processes --region eu-west-1 --auto-scaling-group-name 'builders' --scaling-processes AZRebalance", true}}},
		"of one zone":        {fakeasg.Settings{Processes: []string{}, Zones: 1}, 10, nil},
		"nothing protected":  {fakeasg.Settings{Processes: []string{}, Unprotected: true}, 10, []problem{{"--new-instances-protected-from-scale-in", true}, {"AZRebalance", false}}},
		"it does not launch": {fakeasg.Settings{Processes: []string{"AZRebalance", "Launch"}}, 10, []problem{{"resume-processes", false}}},
		"it scales by itself": {fakeasg.Settings{Policies: []string{"cpu"}, ScheduledActions: []string{"night"}}, 10,
			[]problem{{"delete-policy --region eu-west-1 --auto-scaling-group-name 'builders' --policy-name 'cpu'", false}, {"delete-scheduled-action", false}}},
		"its alarms are suspended": {fakeasg.Settings{Policies: []string{"cpu"}, Processes: []string{"AZRebalance", "AlarmNotification"}}, 10, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := info(t, fakeasg.Start(t, tc.s), tc.most)
			if err != nil || got.ID != "aws/eu-west-1/123456789012/builders" {
				t.Errorf("%+v, %v", got, err)
			}
			if len(got.Problems) != len(tc.want) {
				t.Fatalf("the problems are %+v, want %+v", got.Problems, tc.want)
			}
			for i, p := range got.Problems {
				if !strings.Contains(p.Message, tc.want[i].text) || p.Warning != tc.want[i].warning {
					t.Errorf("%+v, want %+v", p, tc.want[i])
				}
			}
		})
	}
}

// TestPolicyOfThePlugin has the rights that fleeting-plugin-aws asks for: what may not be looked at is told, and the group is used.
func TestPolicyOfThePlugin(t *testing.T) {
	c := fakeasg.Start(t, fakeasg.Settings{})
	c.Inject(fakeasg.Denied.Of("DescribePolicies"))
	c.Inject(fakeasg.Denied.Of("DescribeScheduledActions"))
	got, err := info(t, c, 10)
	if err != nil || len(got.Problems) != 2 || !got.Problems[0].Warning || !strings.Contains(got.Problems[0].Message, "autoscaling:DescribePolicies is refused") {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestList has lifecycle states in the agent's words.
func TestList(t *testing.T) {
	c := fakeasg.Start(t, fakeasg.Settings{Min: 1})
	id := c.Live()[0].ID
	for _, tc := range []struct {
		state, health string
		want          abi.Status // "" is that it is none of the group's
	}{
		{"Pending", "Healthy", abi.StatusCreating}, {"Pending:Wait", "Healthy", abi.StatusCreating}, {"InService", "Healthy", abi.StatusRunning},
		{"InService", "Unhealthy", abi.StatusInterrupted}, {"Terminating:Wait", "Healthy", abi.StatusGone}, {"Terminated", "Healthy", abi.StatusGone}, {"Detaching", "Healthy", abi.StatusGone},
		{"Standby", "Healthy", abi.StatusUnknown}, {"Warmed:Stopped", "Healthy", ""},
	} {
		c.Show(id, tc.state, tc.health)
		got, err := list(t, c)
		var status abi.Status
		if len(got.Instances) == 1 {
			status = got.Instances[0].Status
		}
		if err != nil || !got.Complete || status != tc.want {
			t.Errorf("%s, %s: %+v, %v; want %q", tc.state, tc.health, got, err, tc.want)
		}
	}
}

// TestNoGroup has a group that is not there: that is an error, and never an empty list.
func TestNoGroup(t *testing.T) {
	c := fakeasg.Start(t, fakeasg.Settings{Name: "another"})
	_, err := list(t, c)
	wantSays(t, err, abi.NotFound, "there is no Auto Scaling group builders in eu-west-1")
	_, err = decrease(t, c, "i-1")
	wantSays(t, err, abi.NotFound)
}

// TestScale has a group that grows as far as it may, and shrinks by what is named.
func TestScale(t *testing.T) {
	c := fakeasg.Start(t, fakeasg.Settings{Max: 3})
	for _, tc := range []struct{ n, want int }{{2, 2}, {2, 1}} {
		if got, err := increase(t, c, tc.n); err != nil || got != tc.want {
			t.Errorf("an increase by %d granted %d, %v", tc.n, got, err)
		}
	}
	_, err := increase(t, c, 1)
	wantSays(t, err, abi.Quota, "may have 3")
	live := c.Live()
	if got, err := decrease(t, c, live[0].ID, "i-ofanothergroup", live[2].ID); err != nil || got.Error != nil || len(got.Instances) != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if left := c.Live(); len(left) != 1 || left[0].ID != live[1].ID || c.Made() != 3 {
		t.Errorf("%+v are left of %d", left, c.Made())
	}
	if n := c.Calls("TerminateInstanceInAutoScalingGroup"); n != 2 {
		t.Errorf("%d instances were ended; one that is none of the group's must not be asked for", n)
	}
}

// TestMinimum has a group that may not shrink further: it says so.
func TestMinimum(t *testing.T) {
	c := fakeasg.Start(t, fakeasg.Settings{Min: 1})
	got, err := decrease(t, c, c.Live()[0].ID)
	if err != nil || len(got.Instances) != 0 || got.Error == nil || got.Error.Kind != abi.Conflict || !strings.Contains(got.Error.Message, "lower the minimum of the group to 0") {
		t.Errorf("%+v, %v, %v", got, got.Error, err)
	}
}

// TestPartialDecrease has AWS lose patience in the midst of removals: what was taken on is told, and the rest is left for later.
func TestPartialDecrease(t *testing.T) {
	c := fakeasg.Start(t, fakeasg.Settings{})
	if _, err := increase(t, c, 4); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, i := range c.Live() {
		ids = append(ids, i.ID)
	}
	if _, err := decrease(t, c, ids[0]); err != nil {
		t.Fatal(err)
	}
	throttled := fakeasg.Throttled.Of("TerminateInstanceInAutoScalingGroup")
	throttled.Times = -1
	c.Inject(throttled)
	got, err := decrease(t, c, ids...)
	if err != nil || !slices.Equal(got.Instances, ids[:1]) || got.Error == nil || got.Error.Kind != abi.RateLimited || got.Error.RetryAfterS != 7 {
		t.Errorf("%+v, %v, %v", got, got.Error, err)
	}
	if n := c.Calls("TerminateInstanceInAutoScalingGroup"); n != 2 {
		t.Errorf("AWS was asked %d times after it had said that this is too often", n-1)
	}
}

// TestFaults has what befalls each call, by kind.
func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fakeasg.Fault
		kind  abi.ErrorKind
		retry int
		says  string
	}{
		"throttled": {fakeasg.Throttled, abi.RateLimited, 7, "Rate exceeded"},
		"trouble":   {fakeasg.Broken, abi.Transient, 3, "temporary failure"},
		"a gateway": {fakeasg.Bare, abi.Transient, 0, "502"},
		"denied":    {fakeasg.Denied, abi.Auth, 0, "docs/drivers/aws.md"},
		"expired":   {fakeasg.Expired, abi.Auth, 0, "[credentials.aws]"},
		"junk":      {fakeasg.Junk, abi.Transient, 0, "makes no sense"},
		"lost":      {fakeasg.Lost, abi.Transient, 0, ""},
		"contended": {fakeasg.Fault{Status: 400, Code: "ScalingActivityInProgress", Message: "wait"}, abi.Conflict, 0, "wait"},
	} {
		t.Run(name, func(t *testing.T) {
			c := fakeasg.Start(t, fakeasg.Settings{})
			tc.fault.Times = -1
			c.Inject(tc.fault)
			_, listed := list(t, c)
			_, grown := increase(t, c, 1)
			_, shrunk := decrease(t, c, "i-1")
			_, told := info(t, c, 1)
			for _, err := range []error{listed, grown, shrunk, told} {
				wantSays(t, err, tc.kind, tc.says)
				if e, ok := err.(*abi.Error); ok && e.RetryAfterS != tc.retry {
					t.Errorf("it asks to wait %d s, want %d", e.RetryAfterS, tc.retry)
				}
			}
		})
	}
}

// TestConnect has how an instance is reached, by its system and by what connector_config says.
func TestConnect(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDx0L7bVmYcg0N0Qx6kK2DFQbB2lZ5kTqjAq3w1VQm0n millwright"
	inner, outer := "10.0.0.2", "198.51.0.2"
	for name, tc := range map[string]struct {
		s    fakeasg.Settings
		req  abi.ConnectRequest
		want abi.ConnectInfo
		keys []fakeasg.Key
	}{
		"Linux": {fakeasg.Settings{}, abi.ConnectRequest{AuthorizedKey: key},
			abi.ConnectInfo{OS: "linux", Arch: "amd64", Protocol: "ssh", Username: "ec2-user", InternalAddr: inner, ExternalAddr: outer, KeyAuthorized: true, TTLS: 60}, []fakeasg.Key{{User: "ec2-user", Public: key}}},
		"credentials of the operator's": {fakeasg.Settings{Architecture: "arm64"}, abi.ConnectRequest{Username: "me"},
			abi.ConnectInfo{OS: "linux", Arch: "arm64", Protocol: "ssh", Username: "me", InternalAddr: inner, ExternalAddr: outer}, nil},
		"a Mac": {fakeasg.Settings{Architecture: "arm64_mac"}, abi.ConnectRequest{AuthorizedKey: key, Username: "ec2-user"},
			abi.ConnectInfo{OS: "darwin", Arch: "arm64", Protocol: "ssh", Username: "ec2-user", InternalAddr: inner, ExternalAddr: outer, KeyAuthorized: true, TTLS: 60}, []fakeasg.Key{{User: "ec2-user", Public: key}}},
		"Windows": {fakeasg.Settings{Platform: "Windows", PasswordData: "AAEC"}, abi.ConnectRequest{AuthorizedKey: key},
			abi.ConnectInfo{OS: "windows", Arch: "amd64", Protocol: "winrm", Username: "Administrator", InternalAddr: inner, ExternalAddr: outer, EncryptedPassword: "AAEC"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tc.s.Min = 1
			c := fakeasg.Start(t, tc.s)
			tc.req.ABI, tc.req.Options, tc.req.Instance = abi.Version, options(c), c.Live()[0].ID
			got, err := call[abi.ConnectInfo](t, abi.ExportConnectInfo, tc.req)
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
			for i := range tc.keys {
				tc.keys[i].Instance = tc.req.Instance
			}
			if diff := cmp.Diff(tc.keys, c.Keys()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestConnectFails has what keeps an instance from being reached, by kind.
func TestConnectFails(t *testing.T) {
	c := fakeasg.Start(t, fakeasg.Settings{Min: 1, Ending: time.Hour})
	id := c.Live()[0].ID
	connect := func(id string) error {
		_, err := call[abi.ConnectInfo](t, abi.ExportConnectInfo, abi.ConnectRequest{ABI: abi.Version, Options: options(c), Instance: id, AuthorizedKey: "ssh-ed25519 AAAA"})
		return err
	}
	beat := func() error {
		_, err := call[struct{}](t, abi.ExportHeartbeat, abi.HeartbeatRequest{ABI: abi.Version, Options: options(c), Instance: id})
		return err
	}
	if err := beat(); err != nil {
		t.Errorf("heartbeat: %v", err)
	}
	wantSays(t, connect("i-0000000000000dead"), abi.NotFound, "does not exist")
	for name, tc := range map[string]struct {
		fault fakeasg.Fault
		kind  abi.ErrorKind
	}{
		"denied":    {fakeasg.Fault{Status: 400, Code: "AuthException", Message: "no"}, abi.Auth},
		"throttled": {fakeasg.Fault{Status: 400, Code: "ThrottlingException", Message: "slowly"}, abi.RateLimited},
		"junk":      {fakeasg.Junk, abi.Transient},
		"trouble":   {fakeasg.Fault{Status: 500, Code: "ServiceException", Message: "oh"}, abi.Transient},
	} {
		c.Inject(tc.fault.Of("SendSSHPublicKey"))
		if err := connect(id); err == nil || len(c.Keys()) > 0 {
			t.Errorf("%s: no error", name)
		} else {
			wantSays(t, err, tc.kind)
		}
	}
	c.Show(id, "InService", "Unhealthy")
	wantSays(t, beat(), abi.NotFound, "is not in service")
	c.Show(id, "Pending", "Healthy")
	wantSays(t, connect(id), abi.Conflict, "is pending")
}

// TestWindowsPassword has the host decrypt what AWS encrypted for the key pair.
func TestWindowsPassword(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte("pass word"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := fakeasg.Start(t, fakeasg.Settings{AccessKey: testKey, Min: 1, Platform: "Windows BYOL", PasswordData: base64.StdEncoding.EncodeToString(sealed)})
	got, err := asWasm(t, c, config.Connector{KeyPath: path}).Connect(t.Context(), c.Live()[0].ID)
	if err != nil || got.Password.Reveal() != "pass word" || got.Username != "Administrator" {
		t.Errorf("%+v, %v", got, err)
	}
}
