//go:build !wasip1

package main

import (
	"os"
	"slices"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/original"
	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	legacytest.Clean()
	os.Exit(code)
}

// meant is where the VM and the firewall rule differ from those that docker-machine 0.16.2 makes of the same options.
var meant = map[string]string{
	`instance\.labels\.millwright-(owner|runner|user|reach)`:                             "our labels, by which machines are found again",
	`instance\.disks\.0\.initializeParams\.labels\.millwright-(owner|runner|user|reach)`: "the same on the boot disk",
	`metadata\.sshKeys`:        "the old name of ssh-keys, which images of today do not read",
	`metadata\.ssh-keys`:       "the key goes with the insert; docker-machine sets it in a second call",
	`metadata\.enable-oslogin`: "with OS Login the key would be passed over",
	`metadata\.startup-script`: "the host key, which docker-machine does not check",
	`metadata\.user-data`:      "the same for cloud-init",
	`firewall\.network`:        "docker-machine makes a broken network of a URL for the rule",
}

// TestDockerMachine gives docker-machine's own driver and ours the same options in two clouds, and compares what stands there.
func TestDockerMachine(t *testing.T) {
	key := fakegce.Account(t, testToken)
	known := drivertest.NewKnown(meant)
	// What the two have different defaults for is always given: GitLab's versions changed it.
	same := []string{"google-project=" + testProject, "google-username=ci", "google-machine-image=debian-cloud/global/images/debian-12-bookworm-v20260813"}
	for name, list := range map[string][]string{
		"defaults": nil,
		"sizes":    {"google-machine-type=n2-standard-4", "google-disk-size=50", "google-disk-type=pd-ssd", "google-zone=europe-west1-b"},
		"network":  {"google-network=builds", "google-subnetwork=ci", "google-tags=ci,build", "google-open-port=8080/tcp", "google-open-port=53/udp"},
		"a shared network": {
			"google-network=https://www.googleapis.com/compute/v1/projects/" + testProject + "/global/networks/shared",
			"google-subnetwork=projects/host-1/regions/us-central1/subnetworks/ci",
		},
		"preemptible":         {"google-preemptible", "google-use-internal-ip"},
		"internal alone":      {"google-use-internal-ip-only"},
		"an address by name":  {"google-address=static-1"},
		"an address":          {"google-address=198.51.100.7"},
		"a service account":   {"google-service-account=ci@project-1.iam.gserviceaccount.com", "google-scopes=https://www.googleapis.com/auth/cloud-platform,https://www.googleapis.com/auth/logging.write"},
		"an image by its URL": {"google-machine-image=https://www.googleapis.com/compute/v1/projects/debian-cloud/global/images/family/debian-12"},
	} {
		t.Run(name, func(t *testing.T) {
			made := [2]any{}
			list := append(slices.Clone(same), list...)
			for i, create := range []func(*testing.T, *fakegce.Cloud, []string){
				func(t *testing.T, c *fakegce.Cloud, list []string) { dockerMachine(t, c, key, list) },
				func(t *testing.T, c *fakegce.Cloud, list []string) { create(t, "m1", options(t, c, list...)) },
			} {
				c := start(t, fakegce.Settings{})
				c.Reserve(testProject, "us-central1", "static-1", "198.51.100.7")
				create(t, c, list)
				made[i] = standing(t, c)
			}
			known.Check(t, drivertest.Differences(t, made[0], made[1]))
		})
	}
	known.Unused(t)
}

// dockerMachine makes the machine m1 by docker-machine's own driver.
func dockerMachine(t *testing.T, c *fakegce.Cloud, key string, list []string) {
	t.Helper()
	d := original.Driver(t, "google", "MILLWRIGHT_TEST_GCE="+c.URL(), "GOOGLE_APPLICATION_CREDENTIALS="+key)
	original.Make(t, d, testOwner, "m1", list)
}

// standing is what the cloud holds of the machine m1 and the rule, without what is another in each cloud. Lists whose order means nothing are
// sorted, and metadata is by key.
func standing(t *testing.T, c *fakegce.Cloud) map[string]any {
	t.Helper()
	vm := c.Instances(testProject)["m1"]
	if vm == nil {
		t.Fatal("there is no machine")
	}
	metadata := map[string]any{}
	sent, _ := vm["metadata"].(map[string]any)
	items, _ := sent["items"].([]any)
	for _, i := range items {
		i, _ := i.(map[string]any)
		metadata[i["key"].(string)] = i["value"]
	}
	for _, changing := range []string{"creationTimestamp", "id", "status", "metadata"} {
		delete(vm, changing)
	}
	for _, n := range vm["networkInterfaces"].([]any) {
		delete(n.(map[string]any), "networkIP")
		configs, _ := n.(map[string]any)["accessConfigs"].([]any)
		for _, a := range configs {
			if a := a.(map[string]any); a["natIP"] != "198.51.100.7" {
				delete(a, "natIP")
			}
		}
	}
	rule := c.Firewall(testProject, ruleName)
	ports := map[string]any{}
	allowed, _ := rule["allowed"].([]any)
	for _, a := range allowed {
		a, _ := a.(map[string]any)
		for _, p := range a["ports"].([]any) {
			ports[a["IPProtocol"].(string)+" "+p.(string)] = "open"
		}
	}
	for _, changing := range []string{"creationTimestamp", "id", "allowed"} {
		delete(rule, changing)
	}
	return map[string]any{"instance": vm, "metadata": metadata, "firewall": rule, "ports": ports}
}
