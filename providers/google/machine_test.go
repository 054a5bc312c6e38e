package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMachines compares what stands in the cloud after create with golden files: what Google would be asked for, option by option.
func TestMachines(t *testing.T) {
	all := []string{
		"google-zone=europe-west1-b", "google-machine-type=n2-standard-4", "google-min-cpu-platform=Intel Skylake", "google-username=Build.Er",
		"google-machine-image=https://www.googleapis.com/compute/v1/projects/debian-cloud/global/images/family/debian-12",
		"google-service-account=ci@project-1.iam.gserviceaccount.com", "google-scopes=https://www.googleapis.com/auth/cloud-platform",
		"google-disk-size=50", "google-disk-type=hyperdisk-balanced", "google-provisioned-iops=3000", "google-provisioned-throughput=140",
		"google-network=projects/host-1/global/networks/shared", "google-subnetwork=projects/host-1/regions/europe-west1/subnetworks/ci",
		"google-address=static-1", "google-tags=ci,build", "google-use-internal-ip", "google-label=team:ci", "google-metadata=a=b=c", "google-metadata=ssh-keys=them:KEY",
		"google-accelerator=count=1,type=nvidia-tesla-t4", "google-open-port=8080",
	}
	for name, tc := range map[string]struct {
		list    []string
		expires string
	}{
		"defaults":      {nil, ""},
		"all":           {all, ""},
		"internal-only": {[]string{"google-use-internal-ip-only", "google-no-service-account", "google-subnetwork=ci"}, "2026-08-20T10:00:00Z"},
		"preemptible":   {[]string{"google-preemptible"}, "2026-08-20T10:00:00Z"},
		"spot":          {[]string{"google-spot"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, fakegce.Settings{})
			c.Reserve(testProject, "europe-west1", "static-1", "198.51.100.7")
			o := options(t, c, tc.list...)
			req := request("m1", o)
			req.ExpiresAt = tc.expires
			if _, err := nativeDriver.Create(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			shown := find(t, o, "m1", runs)
			if want := len(o[optAccelerator]); shown.GPUs != want { // one where the option is given
				t.Errorf("it has %d GPUs, want %d", shown.GPUs, want)
			}
			made := c.Instance(testProject, o.Get(optZone), "m1")
			for _, changing := range []string{"creationTimestamp", "id", "status"} {
				delete(made, changing)
			}
			drivertest.Golden(t, name, map[string]any{"instance": made, "address": shown.Address, "ssh_user": shown.SSHUser}, *update)
		})
	}
}

// TestOneFirewallRule makes many machines at the same time in a fresh project.
func TestOneFirewallRule(t *testing.T) {
	c := start(t, slow)
	o := options(t, c, "google-open-port=8080", "google-open-port=53/udp")
	var wg sync.WaitGroup
	for _, name := range strings.Fields("m1 m2 m3 m4 m5 m6 m7 m8") {
		wg.Go(func() {
			if _, err := nativeDriver.Create(t.Context(), request(name, o)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	find(t, o, "m8", runs)
	rule, err := json.Marshal(c.Firewall(testProject, "docker-machines")["allowed"])
	if want := `[{"IPProtocol":"tcp","ports":["2376","8080"]},{"IPProtocol":"udp","ports":["53"]}]`; err != nil || string(rule) != want {
		t.Errorf("the rule allows %s, want %s", rule, want)
	}
	create(t, "m9", options(t, c, "google-open-port=9090"))
	find(t, o, "m9", runs)
	rule, _ = json.Marshal(c.Firewall(testProject, "docker-machines")["allowed"])
	if want := `[{"IPProtocol":"tcp","ports":["2376","8080","9090"]},{"IPProtocol":"udp","ports":["53"]}]`; string(rule) != want {
		t.Errorf("the rule allows %s, want %s", rule, want)
	}
	if n := c.Record()["compute.firewalls.patch"]; n != 1 {
		t.Errorf("the rule was changed %d times, want once", n)
	}
	before := c.Record()["compute.firewalls.get"]
	create(t, "m10", options(t, c, "google-skip-firewall-create"))
	if after := c.Record()["compute.firewalls.get"]; after != before {
		t.Error("google-skip-firewall-create looks at the rule")
	}
}

// TestSharedNetwork has the rule made in the project of the network.
func TestSharedNetwork(t *testing.T) {
	c := start(t, fakegce.Settings{})
	create(t, "m1", options(t, c, "google-network=https://www.googleapis.com/compute/v1/projects/host-1/global/networks/shared"))
	if c.Firewall(testProject, ruleName) != nil || c.Firewall("host-1", ruleName)["network"] != "https://www.googleapis.com/compute/v1/projects/host-1/global/networks/shared" {
		t.Errorf("the rule is %v", c.Firewall("host-1", ruleName))
	}
}

// TestTakenBack shows machines that Google takes back as such, and those that were switched off as stopped.
func TestTakenBack(t *testing.T) {
	c := start(t, fakegce.Settings{})
	for name, tc := range map[string]struct {
		option string
		want   abi.Status
	}{"m1": {"google-preemptible", abi.StatusInterrupted}, "m2": {"google-spot", abi.StatusInterrupted}, "m3": {"google-tags=a", abi.StatusStopped}} {
		o := options(t, c, tc.option)
		create(t, name, o)
		for _, status := range []string{"STOPPING", "TERMINATED"} {
			if err := c.Put(name, status); err != nil {
				t.Fatal(err)
			}
			find(t, o, name, func(i abi.Instance) bool { return i.Status == tc.want && strings.Contains(i.Message, status) })
		}
	}
}

// TestRemoveAnywhere removes a machine whose zone nobody remembers, and leaves a disk that is somebody's.
func TestRemoveAnywhere(t *testing.T) {
	c := start(t, fakegce.Settings{})
	create(t, "m1", options(t, c, "google-zone=europe-west1-b"))
	remove := func(name string) error {
		return nativeDriver.Remove(t.Context(), abi.RemoveRequest{ABI: abi.Version, Owner: testOwner, Name: name, Options: options(t, c)})
	}
	if err := c.Fail("partial list"); err != nil {
		t.Fatal(err)
	}
	if err := remove("m1"); err == nil {
		t.Error("a machine that may be in an unreadable zone counts as removed")
	}
	if err := c.Fail(""); err != nil {
		t.Fatal(err)
	}
	if err := remove("m1"); err != nil {
		t.Error(err)
	}
	if left := c.Leftovers(testOwner.ID); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestWithoutRights has a list do without what it does not need, and never call a machine gone.
func TestWithoutRights(t *testing.T) {
	c := start(t, fakegce.Settings{})
	o := options(t, c)
	create(t, "m1", o)
	for _, right := range []string{"compute.instances.setLabels", "compute.disks.setLabels"} { // a machine without labels would be nobody's
		c.Deny(right)
		_, err := nativeDriver.Create(t.Context(), request("m2", o))
		if err == nil || !strings.Contains(err.Error(), "auth: ") || !strings.Contains(err.Error(), right) {
			t.Errorf("without %s: %v", right, err)
		}
		c.Grant()
	}
	c.Deny("compute.disks.list")
	c.Deny("compute.globalOperations.list")
	find(t, o, "m1", runs)
	c.Deny("compute.instances.list")
	_, err := nativeDriver.List(t.Context(), abi.ListRequest{ABI: abi.Version, Owner: testOwner, Options: o})
	if err == nil || !strings.Contains(err.Error(), "auth: ") || !strings.Contains(err.Error(), "Required 'compute.instances.list' permission") {
		t.Errorf("got %v", err)
	}
}

// TestStartupScript runs what a machine runs when it boots, with an sshd that only names its key.
func TestStartupScript(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell here")
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "ssh_host_ed25519_key")
	tool := func(name, script string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tool("sshd", "echo port 22; echo hostkey /etc/ssh/ssh_host_rsa_key; echo hostkey "+key)
	tool("systemctl", "echo restarted >>"+filepath.Join(dir, "calls"))
	theirs := "#!/bin/sh\necho \"theirs $(umask)\" >>" + filepath.Join(dir, "calls")
	script := startupScript(request("m1", nil).Bootstrap, theirs)
	for range 2 {
		cmd := exec.CommandContext(context.Background(), shell, "-c", script)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "TMPDIR=" + dir}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for path, want := range map[string]string{key: "PRIVATE\nEND\n", key + ".pub": "ssh-ed25519 HOST m1\n", filepath.Join(dir, "calls"): "restarted\ntheirs 0022\ntheirs 0022\n"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", filepath.Base(path), got, err, want)
		}
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode: %v, %v", info, err)
	}
}
