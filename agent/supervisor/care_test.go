package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
)

// What millwright.toml says of the machines is in force at once; keys that wait for a restart are named.
func TestOperatorChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := newFolder(t)
	write := func(text string) {
		t.Helper()
		path := filepath.Join(f.dir, "millwright.toml")
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("[machines]\nprobe_interval = \"0s\"\n")
	r := w.runner("fleet")
	r.Executor, r.Docker.Image = executorMachine, "busybox:1.35"
	r.Machine = &config.Machine{IdleTime: 3600, MachineDriver: "docker", MachineName: "test-%s"}
	left := w.seed(r) // it has no engine
	w.config.Concurrent = 1
	w.config.Runners = []config.Runner{w.slowRunner(), r}
	w.start(builtins(t), f.operator)
	w.untilIdle(1)

	write("legacy_drivers = [\"docker\"]\nresume_jobs = false\n[machines]\nprobe_interval = \"1s\"\n")
	if said := w.log.wait("Loaded millwright.toml"); said["changed"] != "legacy_drivers machines.probe_interval resume_jobs" {
		t.Errorf("changed: %v", said)
	}
	if said := w.log.wait("Some changes of millwright.toml take effect after a restart only"); said["keys"] != "legacy_drivers resume_jobs" {
		t.Errorf("waiting for a restart: %v", said)
	}
	if w.s.drivers.forced("docker") {
		t.Error("the change of legacy_drivers did not wait")
	}
	if said := w.log.wait("Machine removed"); said["name"] != left || said["reason"] != "machine is unavailable" {
		t.Errorf("%v, want %s removed by a probe", said, left)
	}
	w.stop(errors.New("enough"))
	if err := w.finish(); err != nil {
		t.Error(err)
	}
}
