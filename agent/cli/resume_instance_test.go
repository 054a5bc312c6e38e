package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/need"
)

// bareJob is job without sources, which an instance that has no git can run on itself.
func (w *resumeWorld) bareJob(lines int, pause string) coordinator.Job {
	j := w.job(lines, pause)
	j.Image, j.Services = nil, nil
	j.Variables[0].Value = "none" // GIT_STRATEGY
	j.Steps[0].Script = []string{
		fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo out $i $HIDDEN; echo err $i >&2; sleep %s; done", lines, pause),
		"mkdir -p deps; echo kept >deps/f",
	}
	return j
}

// A job that runs on an instance itself goes on under the next agent when one dies, and each byte of its output is in the trace once. When the
// instance vanishes under a job, the job hears of it from the provider.
func TestInstanceOutlivesAgent(t *testing.T) {
	t.Parallel()
	w := newMachineResumeWorld(t)
	need.File(t, filepath.Join(repository, "bin", "millwright-helper"), "`go tool task build` builds it")
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	machine, _, _ := strings.Cut(string(text), "  [runners.docker]")
	_, options, _ := strings.Cut(string(text), "MachineOptions = ")
	w.write(strings.Replace(machine, "docker+machine", "instance", 1) + `  [runners.autoscaler]
    plugin = "docker"
    capacity_per_instance = 1
    max_instances = 3
    plugin_config = { MachineOptions = ` + strings.TrimSpace(options) + ` }
    [[runners.autoscaler.policy]]
      idle_count = 1
      idle_time = "10m"
`)
	w.begin()
	const lines = 100
	id := w.coordinator.Enqueue(w.bareJob(lines, "0.05"))
	w.await(id, "step_script runs")
	w.kill()
	w.agent.until(`msg="Configuration loaded"`)
	w.check(w.ended(w.agent, id), lines)
	w.loseMachine(w.bareJob(10000, "0.05"))
	w.stop()
}
