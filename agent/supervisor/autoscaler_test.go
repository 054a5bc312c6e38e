package supervisor

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/driver/fleeting/fleetingtest"
	"github.com/millwright-ci/millwright/agent/internal/boxes"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// startEngine is an instance_ready_command that starts the engine of an instance made of the machine image, with a mirror.
func startEngine(mirror string) string {
	return `sudo() { if [ "$(id -u)" = 0 ]; then "$@"; else command sudo "$@"; fi; }
sudo mkdir -p /etc/docker && echo '{"registry-mirrors": ["` + mirror + `"]}' | sudo tee /etc/docker/daemon.json >/dev/null &&
sudo service docker start && sudo chmod 666 /var/run/docker.sock 2>/dev/null; i=0
while [ ! -S /var/run/docker.sock ] && [ $i -lt 600 ]; do i=$((i+1)); sleep 0.1; done; sudo chmod 666 /var/run/docker.sock`
}

// mirrorOf is the registry that fleet gave the runner's machines.
func mirrorOf(r config.Runner) string {
	url, _ := r.Autoscaler.PluginConfig["engine-registry-mirror"].(string)
	return url
}

// serviced is a job with a service and a cache.
func serviced() coordinator.Job {
	j := shelled("serviced", "mkdir -p d; echo kept >d/f", `for i in $(seq 50); do echo PING | nc -w 2 db 6379 | grep PONG && exit 0; sleep 0.2; done; exit 1`)
	j.Image = &coordinator.Image{Name: "busybox:1.35"}
	j.Services = []coordinator.Image{{Name: "redis:7.0", Alias: "db"}}
	j.Cache = []coordinator.Cache{{Key: "k", Paths: []string{"d"}}}
	return j
}

// end stops the agent and has the instances of its runners removed.
func (w *world) end(change ...func(*Options)) {
	w.t.Helper()
	w.stop(errors.New("enough"))
	if err := w.finish(); err != nil {
		w.t.Error(err)
	}
	w.change(func(c *config.Config) { c.Runners = nil })
	w.log.forget()
	w.start(change...)
	w.until("the instances of the runners that vanished are gone", func() bool { return len(w.s.Machines()) == 0 })
	w.s.Drain()
	if err := w.finish(); err != nil {
		w.t.Error(err)
	}
}

// A job in containers on an instance, whose engine is there and is reached through SSH, or is set up with TLS as for docker+machine.
func TestAutoscaler(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*config.Runner){
		"ssh": func(r *config.Runner) {
			r.Autoscaler.ConnectorConfig.Protocol = "ssh"
			r.Autoscaler.InstanceReadyCommand = startEngine(mirrorOf(*r))
			r.FeatureFlags = map[string]bool{dialStdioFlag: true} // the other way is shown where instances are made ready
		},
		"tls": func(r *config.Runner) { r.Autoscaler.InstanceReadyCommand = "test ! -S /var/run/docker.sock" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			modules := builtins(t)
			r := w.instances("autoscaler", executorAutoscaler)
			change(&r)
			w.config.Runners = []config.Runner{r}
			w.start(modules)
			owner := w.s.Owner()
			t.Cleanup(func() { w.clear(owner) })
			docker := w.untilReady(1)[0].Address
			one := w.coordinator.Enqueue(serviced())
			result := w.await(one)
			trace := w.trace(one)
			if result.State != embedded.Success || !strings.Contains(trace, "PONG") || !strings.Contains(trace, "Created cache") {
				t.Errorf("%s\n%s", result.State, trace)
			}
			want := map[string]string{"ssh": "ssh://" + docker + ":22", "tls": "tcp://" + docker + ":2376"}[name]
			if at := w.log.wait("Using existing docker-machine")["docker"]; at != want {
				t.Errorf("the engine is at %s, want %s", at, want)
			}
			w.end(modules)
		})
	}
}

// Instances of a fleeting plug-in run jobs, with keys that the plug-in hands out and host keys that nobody knew before.
func TestFleetingPlugin(t *testing.T) {
	t.Parallel()
	path := fleetingtest.Binary(t)
	w := newWorld(t)
	modules, binary := builtins(t), helperBinary(t)
	hardware := boxes.Open(t, filepath.Join("..", "..", ".cache", "demo-images"))
	cloud := fleetingtest.Start(t)
	cloud.OnHardware(t, hardware)
	r := w.runner("plugin")
	r.Executor = executorInstance
	r.Autoscaler = &config.Autoscaler{
		Plugin: fleetingtest.Name, PluginConfig: cloud.Config(), CapacityPerInstance: 1, MaxInstances: 2, DeleteInstancesOnShutdown: true,
		Policy: []config.ScalePolicy{{IdleCount: 1, IdleTime: config.Duration(600e9)}},
	}
	w.config.Runners = []config.Runner{r}
	w.start(modules, binary, func(o *Options) { o.FindPlugin = func(string) (string, error) { return path, nil } })
	w.untilReady(1)
	one := w.coordinator.Enqueue(shelled("one", "id -un; pwd"))
	result := w.await(one)
	trace := w.trace(one)
	if result.State != embedded.Success || !strings.Contains(trace, "\nmw\n/home/mw/builds/") {
		t.Errorf("%s\n%s", result.State, trace)
	}
	for _, m := range w.untilReady(1) {
		need.File(t, filepath.Join(w.stateDir, "store", "machines", m.Name, "host_key.pub"), "the instance's host key should be noted there")
	}
	w.stop(errors.New("enough"))
	if err := w.finish(); err != nil {
		t.Error(err)
	}
	if left := cloud.Instances(); len(left) != 0 {
		t.Errorf("left in the cloud, though delete_instances_on_shutdown: %v", left)
	}
}
