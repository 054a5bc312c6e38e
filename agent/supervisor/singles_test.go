package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakearm"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakeec2"
	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
	"github.com/millwright-ci/millwright/agent/internal/boxes"
)

// Runners whose instances a machine driver makes one by one, with docker-machine's options in plugin_config. They are TOML, since the ways to write an
// option are a part of what is tried.
const (
	singleGoogle = `
[[runners]]
  name = "single"
  url = "https://gitlab.com"
  token = "<token>"
  executor = "instance"
  [runners.autoscaler]
    plugin = "google"
    capacity_per_instance = 1
    max_instances = 2
    update_interval_when_expecting = "300ms"
    [runners.autoscaler.plugin_config]
      MachineOptions = ["google-project=project-1", "google-zone=us-central1-b", "google-username=builder", "google-disk-size=20"]
    [[runners.autoscaler.policy]]
      idle_count = 0
      idle_time = "1s"
`
	singleAmazon = `
[[runners]]
  name = "single"
  url = "https://gitlab.com"
  token = "<token>"
  executor = "docker-autoscaler"
  [runners.docker]
    image = "busybox:1.35"
    pull_policy = "if-not-present"
    wait_for_services_timeout = -1
  [runners.autoscaler]
    plugin = "amazonec2"
    capacity_per_instance = 1
    max_use_count = 2
    max_instances = 2
    update_interval_when_expecting = "300ms"
    delete_instances_on_shutdown = true
    [runners.autoscaler.plugin_config]
      amazonec2-access-key = "AKIAOFTHERUNNER"
      amazonec2-secret-key = "the-secret-key-of-the-runner"
      amazonec2-region = "eu-west-3"
      amazonec2-ami = "ami-12c6146b"
      amazonec2-endpoint = "<endpoint>"
      amazonec2-insecure-transport = true
      amazonec2-root-size = 20
      amazonec2-request-spot-instance = true
      engine-registry-mirror = ["<mirror>"]
    [[runners.autoscaler.policy]]
      idle_count = 1
      idle_time = "20m"
`
	singleAzure = `
[[runners]]
  name = "single"
  url = "https://gitlab.com"
  token = "<token>"
  executor = "instance"
  [runners.autoscaler]
    plugin = "azure"
    capacity_per_instance = 2
    max_instances = 1
    update_interval_when_expecting = "300ms"
    [runners.autoscaler.plugin_config]
      azure-subscription-id = "` + fakearm.Subscription + `"
      azure-client-id = "88888888-0000-0000-0000-000000000000"
      azure-ssh-user = "builder"
      azure-open-port = [8080, 9090]
      azure-no-public-ip = true
    [[runners.autoscaler.policy]]
      idle_count = 1
      idle_time = "20m"
`
)

// singles starts an agent with such a runner. The fake cloud answers at the endpoint; credential is what the operator gives the driver.
func (w *world) singles(driver, endpoint, text string, credential config.Credential, fill ...string) {
	w.t.Helper()
	w.config = *w.parsed(text, fill...)
	op := &config.Operator{Drivers: map[string]config.OperatorDriver{driver: {Endpoint: endpoint}}}
	if credential.Kind != "" {
		op.Credentials = map[string]config.Credential{driver: credential}
	}
	w.start(builtins(w.t, "providers/"+driver), helperBinary(w.t), func(o *Options) {
		o.Operator = func() (*config.Operator, error) { return op, nil }
		o.FindPlugin = func(string) (string, error) { return "", os.ErrNotExist } // there is no binary
	})
	a := w.config.Runners[0].Autoscaler
	if by := w.s.drivers.ServedBy(a); by != driver {
		w.t.Errorf("the instances are made by %q", by)
	}
	for _, p := range w.s.drivers.CheckPlugin(w.t.Context(), a) {
		if !p.Warning {
			w.t.Errorf("plugin_config: %+v", p)
		}
	}
}

// ownBoxes are machines for a fake cloud.
func ownBoxes(t *testing.T) *boxes.Boxes {
	t.Helper()
	return boxes.Open(t, filepath.Join("..", "..", ".cache", "demo-images"))
}

// onInstance has a job run on an instance as the login builder.
func (w *world) onInstance() {
	w.t.Helper()
	id := w.coordinator.Enqueue(shelled("build", "id -un; pwd"))
	w.succeeds(id)
	if trace := w.trace(id); !strings.Contains(trace, "\nbuilder\n/home/builder/builds/") {
		w.t.Errorf("the job ran elsewhere:\n%s", trace)
	}
}

// A VM of Google's is made for a job, which runs on it; then it goes, since nobody wants an idle one.
func TestGoogleSingles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud, err := fakegce.Start(fakegce.Settings{OpTime: 50 * time.Millisecond, BootTime: 100 * time.Millisecond, Hardware: ownBoxes(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	w.singles("google", cloud.URL(), singleGoogle, config.Credential{Kind: "google-oauth2", CredentialsFile: fakegce.Account(t, "ya29.x")})
	w.onInstance()
	w.until("the fleet is at zero", func() bool { return len(w.s.Machines()) == 0 })
	if n := cloud.Record()["compute.instances.insert"]; n != 1 {
		t.Errorf("%d VMs were made", n)
	}
	w.nothingLeft(cloud.Leftovers)
	w.enough()
	for _, wrong := range cloud.Wrong() {
		t.Errorf("Google would refuse this request: %s", wrong)
	}
}

// A job runs in containers on an instance of EC2, whose engine is set up as for docker+machine, with the keys of plugin_config; the agent's end takes
// the instance away.
func TestAmazonSingles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	helper(t)
	hardware := ownBoxes(t)
	cloud := fakeec2.Own(t).Cloud(t, fakeec2.Settings{Region: "eu-west-3", AccessKey: "AKIAOFTHERUNNER", Hardware: hardware})
	w.singles("amazonec2", cloud.URL(), singleAmazon, config.Credential{}, "<mirror>", hardware.Mirror, "<endpoint>", cloud.URL())
	w.untilReady(1)
	payload := shelled("build", "echo in $(busybox | head -1)")
	payload.Image = &coordinator.Image{Name: "busybox:1.35"}
	id := w.coordinator.Enqueue(payload)
	w.succeeds(id)
	if trace := w.trace(id); !strings.Contains(trace, "\nin BusyBox v1.35") {
		t.Errorf("the job ran elsewhere:\n%s", trace)
	}
	w.enough()
	w.nothingLeft(cloud.Leftovers)
}

// Jobs run on a virtual machine of Azure's, by its private address; it goes with its runner. Azure's library remembers the tokens of managed identities
// for all of the process, by client id; hence one that no other test has.
func TestAzureSingles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud := fakearm.Start(t).Cloud(t, fakearm.Settings{Token: "of-the-machine", OpTime: 100 * time.Millisecond, GoneTime: 100 * time.Millisecond, Hardware: ownBoxes(t)})
	w.singles("azure", cloud.URL, singleAzure, config.Credential{})
	w.untilReady(1)
	w.onInstance()
	w.reload(func(c *config.Config) { c.Runners = nil })
	w.until("nothing is left of the runner", func() bool { return len(w.s.Machines()) == 0 })
	w.nothingLeft(cloud.Leftovers)
	w.enough()
	for _, wrong := range cloud.Wrong() {
		t.Errorf("Azure would refuse this request: %s", wrong)
	}
}

// nothingLeft waits until the cloud has nothing of the agent's, parts of machines that go with them included.
func (w *world) nothingLeft(of func(owner string) []string) {
	w.t.Helper()
	w.until("the cloud has nothing of the agent's", func() bool { return len(of(w.s.Owner())) == 0 })
}
