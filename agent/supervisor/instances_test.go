package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/job"
)

// instances is a runner of the newer autoscaler with instances on the local engine.
func (w *world) instances(name, executor string) config.Runner {
	w.t.Helper()
	r := w.fleet(name)
	options := map[string]any{}
	for _, o := range r.Machine.MachineOptions {
		key, value, _ := strings.Cut(o, "=")
		options[key] = value
	}
	r.Executor, r.Machine = executor, nil
	r.Autoscaler = &config.Autoscaler{Plugin: "docker", PluginConfig: options, CapacityPerInstance: 1, Policy: []config.ScalePolicy{{IdleCount: 1, IdleTime: config.Duration(600e9)}}}
	return r
}

// helperBinary gives the agent the helper that it copies to instances.
func helperBinary(t *testing.T) func(*Options) {
	t.Helper()
	need.Command(t, "go")
	path := filepath.Join(t.TempDir(), "millwright-helper")
	cmd := exec.Command("go", "build", "-o", path, "../cmd/millwright-helper")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // the instance may have another C library, or none
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the helper: %v\n%s", err, out)
	}
	return func(o *Options) {
		o.OnHost = job.OnHost{Helper: func(system, arch string) string {
			if system == runtime.GOOS && arch == runtime.GOARCH {
				return path
			}
			return ""
		}}
	}
}

// at is a line of bash that waits at the gate, on an instance that has neither wget nor curl.
func (g *gate) at(name string) string {
	host := strings.TrimPrefix(g.url, "http://")
	address, port, _ := strings.Cut(host, ":")
	return fmt.Sprintf("exec 3<>/dev/tcp/%s/%s; printf 'GET /%s HTTP/1.0\\r\\nHost: gate\\r\\n\\r\\n' >&3; cat <&3 >/dev/null; exec 3>&-", address, port, name)
}

// shelled is a job without sources.
func shelled(name string, script ...string) coordinator.Job {
	return coordinator.Job{
		Info:      coordinator.JobInfo{Name: name, Stage: "test", ProjectID: 3, PipelineID: 5},
		Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none", Public: true}},
		Steps:     []coordinator.Step{{Name: "script", Script: script}},
	}
}

// TestInstances follows instances through jobs that run on themselves.
func TestInstances(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	modules, binary := builtins(t), helperBinary(t)
	r := w.instances("instances", executorInstance)
	r.Autoscaler.InstanceReadyCommand = "echo ready >/root/ready"
	r.Autoscaler.LogInternalIP = true
	w.config.Runners = []config.Runner{r}
	g := newGate(w, w.gateway, "one")
	w.start(modules, binary)
	owner := w.s.Owner()
	t.Cleanup(func() { w.clear(owner) })
	w.untilReady(1)

	one := w.coordinator.Enqueue(shelled("one", "cat /root/ready", "pwd", g.at("one"), "echo passed"))
	g.wait(1)
	used := w.byState()[fleet.Used]
	if len(used) != 1 {
		t.Fatalf("machines in use: %v", used)
	}
	close(g.open["one"])
	result := w.await(one)
	trace := w.trace(one)
	if result.State != "success" {
		t.Fatalf("%s\n%s", result.State, trace)
	}
	for _, want := range []string{
		"Using machine " + used[0].Name, "Instance internal IP: ", "Using Instance executor on ", "Copying millwright-helper to the host",
		"\nready\n", "\n/root/builds/" + config.ShortToken(r.Token) + "/0/", "\npassed\n", "Job succeeded",
	} {
		if !strings.Contains(trace, want) {
			t.Errorf("the trace lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(trace)
	}
	w.end(modules)
}
