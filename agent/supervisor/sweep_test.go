package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
)

// When the runtime directory is lost with the agent, nobody knows the job any more that runs: it goes from the engine after a while, and
// the jobs that are known go on.
func TestLostRuntimeDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := dockertest.Busybox(t)
	runtime := filepath.Join(t.TempDir(), "runtime")
	w.config.Runners = []config.Runner{w.local("loses", image)}
	w.config.Runners[0].Docker.Volumes = []string{"/cache"}
	g := newGate(w, dockertest.Gateway(t, "bridge"), "lost", "known")
	lasting := func(o *Options) { o.RuntimeDir, o.SweepEvery = runtime, 300*time.Millisecond }
	w.start(lasting)
	job := g.job("lost", image)
	job.Services = []coordinator.Image{{Name: image, Alias: "db", Command: []string{"sleep", "1000"}}}
	job.Variables = append(job.Variables, coordinator.Variable{Key: "FF_NETWORK_PER_BUILD", Value: "true", Public: true})
	lost := w.coordinator.Enqueue(job)
	g.wait(1)
	w.s.HandOver()
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(runtime); err != nil {
		t.Fatal(err)
	}
	w.log = newLogbook(t)
	w.start(lasting)
	known := w.coordinator.Enqueue(g.job("known", image))
	g.wait(1)
	mine := strings.ToLower(strings.TrimRight(config.ShortToken(w.config.Runners[0].Token), "-_"))
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // the next look
		var left []string
		for _, what := range dockertest.Left(t, fmt.Sprintf("com.gitlab.gitlab-runner.job.id=%d", lost)) {
			if strings.Contains(what, mine) && !strings.Contains(what, "-cache-") {
				left = append(left, what)
			}
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left on the engine: %v\n%s", left, w.log.text())
		}
	}
	w.log.wait("Removed what a job has left that this agent knows nothing of")
	close(g.open["known"])
	if r := w.await(known); r.State != "success" {
		t.Errorf("the job that is known: %s %s\n%s", r.State, r.FailureReason, w.trace(known))
	}
	w.stop(nil)
	if err := w.finish(); err != nil {
		t.Error(err)
	}
}
