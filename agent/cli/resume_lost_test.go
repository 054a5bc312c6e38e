package cli

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/supervisor"
)

// await waits until the job is there: see at.
func (w *resumeWorld) await(id int64, at string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); w.at() != at; {
		if time.Now().After(deadline) || w.over(id) {
			w.t.Fatalf("the job is %q, not %q\n%s\n%s", w.at(), at, w.plain(id), w.agent.text())
		}
		time.Sleep(time.Millisecond) // the next look at the file
	}
}

// crash ends the agent as a crash does; begin starts the next one.
func (w *resumeWorld) crash() {
	w.t.Helper()
	w.kills++
	w.agent.signal(syscall.SIGKILL)
	w.agent.wait()
}

// plain is a job's trace without stamps and colours.
func (w *resumeWorld) plain(id int64) string {
	w.t.Helper()
	raw, err := w.coordinator.Trace(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(embedded.DecodeTrace(raw))
}

// cleared waits until nothing of the job is left: no container, no network, no folder.
func (w *resumeWorld) cleared() {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		left := slices.DeleteFunc(dockertest.Left(w.t, w.label), func(what string) bool { return strings.Contains(what, "-cache-") })
		folders, _ := filepath.Glob(filepath.Join(w.runtime, "jobs-*", "*"))
		if left = append(left, folders...); len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("left: %v\n%s", left, w.agent.text())
		}
	}
}

// removeBuild removes the job's build container, as a clean-up of the engine by somebody else does.
func (w *resumeWorld) removeBuild() {
	w.t.Helper()
	api := dockertest.Engine(w.t)
	list, err := api.ContainerList(w.t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", w.label), filters.Arg("label", "com.gitlab.gitlab-runner.type=build"))})
	for _, c := range list {
		err = errors.Join(err, api.ContainerRemove(w.t.Context(), c.ID, container.RemoveOptions{Force: true}))
	}
	if err != nil || len(list) != 1 {
		w.t.Fatalf("build containers: %v, %v", list, err)
	}
}

// A job that the next agent can't go on with is reported by it at once, with the reason, and nothing of it stays on the engine.
func TestCanNotGoOn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*resumeWorld) // while no agent runs
		want   string             // in the trace
	}{
		{"resume_jobs is false", func(w *resumeWorld) {
			if err := os.WriteFile(filepath.Join(filepath.Dir(w.config), "millwright.toml"), []byte("resume_jobs = false\n"), 0o600); err != nil {
				w.t.Fatal(err)
			}
		}, "can't go on with the job: resume_jobs of millwright.toml is false"},
		{"its runner is another's now", func(w *resumeWorld) { w.write("concurrent = 1\n") }, "can't go on with the job: its runner is no longer in config.toml"},
		{"its record is spoilt", func(w *resumeWorld) {
			found, _ := filepath.Glob(filepath.Join(w.runtime, "jobs-*", "*", "checkpoint"))
			if len(found) != 1 || os.WriteFile(found[0], []byte(`{"version":1,"state":{"version":99}}`), 0o600) != nil {
				w.t.Fatalf("checkpoints: %v", found)
			}
		}, "can't go on with the job: the state of the job has version 99"},
		{"its container was removed", (*resumeWorld).removeBuild, "it was removed from outside: keep clean-ups of the engine away from running jobs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newResumeWorld(t)
			w.begin()
			id := w.coordinator.Enqueue(w.job(10000, "0.05"))
			w.await(id, "step_script runs")
			w.crash()
			tt.change(w)
			began := time.Now()
			w.begin()
			r := w.ended(w.agent, id)
			if trace := w.plain(id); r.State != embedded.Failed || r.FailureReason != coordinator.RunnerSystemFailure || !strings.Contains(trace, tt.want) {
				t.Errorf("the job: %s %s; its trace should hold %q\n%s\n%s", r.State, r.FailureReason, tt.want, trace, w.agent.text())
			}
			if took := time.Since(began); took > patience {
				t.Errorf("it is reported after %s", took)
			}
			w.cleared()
			w.stop()
		})
	}
}

// A container that was removed while no agent ran is made anew where the job may try again.
func TestRemovedContainerIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newResumeWorld(t)
	w.begin()
	const lines = 100
	j := w.job(lines, "0.05")
	j.Variables = append(j.Variables, coordinator.Variable{Key: "EXECUTOR_JOB_SECTION_ATTEMPTS", Value: "2", Public: true})
	id := w.coordinator.Enqueue(j)
	w.await(id, "step_script runs")
	w.crash()
	w.removeBuild()
	w.begin()
	r := w.ended(w.agent, id)
	trace := w.plain(id)
	if r.State != embedded.Success || strings.Count(trace, "Retrying step_script") != 1 || !strings.Contains(trace, "\nout 100 [MASKED]\n") || len(r.Artifacts) != 1 {
		t.Errorf("the job: %s %s, %d artifacts\n%s\n%s", r.State, r.FailureReason, len(r.Artifacts), trace, w.agent.text())
	}
	w.cleared()
	w.stop()
}

// A job that the coordinator has given up meanwhile is dropped in silence, whatever it says, and cleared away.
func TestGivenUpMeanwhile(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			w := newResumeWorld(t)
			w.begin()
			id := w.coordinator.Enqueue(w.job(10000, "0.05"))
			w.await(id, "step_script runs")
			w.crash()
			before := len(w.plain(id))
			w.coordinator.AddFault(embedded.Fault{Endpoint: embedded.EndpointUpdate, JobID: id, Status: status, Times: -1})
			w.begin()
			w.agent.until(`msg="The coordinator has given the job up, or knows its end"`)
			w.cleared()
			if after := len(w.plain(id)); after != before {
				t.Errorf("the trace had %d bytes, and has %d", before, after)
			}
			next := w.coordinator.Enqueue(w.job(5, "0.01")) // the agent is as good as new
			w.check(w.ended(w.agent, next), 5)
			w.stop()
		})
	}
}

// newMachineResumeWorld is one whose jobs run on machines.
func newMachineResumeWorld(t *testing.T) *resumeWorld {
	t.Helper()
	need.Image(t, defaultMachineImage, "`go tool task machine-image` builds it")
	lan, api := "millwright-test-"+dockertest.Random(), dockertest.Engine(t)
	made, err := api.NetworkCreate(t.Context(), lan, network.CreateOptions{Labels: map[string]string{"io.millwright.test": "lan"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.NetworkRemove(context.WithoutCancel(t.Context()), made.ID); err != nil {
			t.Error(err)
		}
	})
	w := newLastingWorld(t, lan)
	w.image, w.reaches = "millwright/helper:"+runtime.GOARCH, `case "$( (exec 3<>/dev/tcp/db/1) 2>&1 || true)" in *refused*) ;; *) exit 1 ;; esac`
	text := machineConfig(w.coordinator.URL(), w.coordinator.RunnerToken().Reveal(), 1, `    MachineOptions = ["docker-network=`+lan+`"]`)
	text = strings.Replace(text, `pull_policy = ["if-not-present"]`, `pull_policy = ["never"]
    wait_for_services_timeout = -1
    volumes = ["/cache"]`, 1)
	w.write(strings.Replace(text, "concurrent = 2", "concurrent = 1", 1))
	t.Cleanup(func() {
		w.machine("rm", "--all")
		checkNothingLeft(t, w.state)
	})
	return w
}

var usedMachine = regexp.MustCompile(`Using machine (\S+)`)

// A job on a machine goes on under the next agent, and so does its machine, whether the agent died or handed over: each byte of the job's
// output is in the trace once, and the machine is ready for another job.
func TestMachineOutlivesAgent(t *testing.T) {
	w := newMachineResumeWorld(t)
	w.begin()
	const lines = 200
	id := w.coordinator.Enqueue(w.job(lines, "0.05"))
	w.await(id, "step_script runs")
	w.kill()
	w.agent.until(`msg="Configuration loaded"`)
	w.await(id, "step_script runs")
	if code, text := run(t, w.binary, "restart", "--hand-over-only", "--state-dir", w.state); code != 0 {
		t.Fatalf("exit code %d: %s", code, text)
	}
	if code := w.agent.wait(); code != 0 {
		t.Errorf("the agent: exit code %d\n%s", code, w.agent.text())
	}
	w.begin()
	w.agent.until(`msg="Configuration loaded"`)
	w.kill()
	w.check(w.ended(w.agent, id), lines)
	first := usedMachine.FindAllStringSubmatch(w.plain(id), -1)
	if len(first) != 1 {
		t.Fatalf("machines that the trace names: %v", first)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // the machine is given back when it has been cleared
		machines := w.list()
		i := slices.IndexFunc(machines, func(m supervisor.Machine) bool { return m.Name == first[0][1] })
		if i >= 0 && machines[i].State == fleet.Idle {
			break
		}
		if i < 0 || time.Now().After(deadline) {
			t.Fatalf("the job's machine %s is not ready for another job: %+v\n%s", first[0][1], machines, w.agent.text())
		}
	}
	w.loseMachine(w.job(10000, "0.05"))
	w.stop()
}

// loseMachine runs a job and removes its machine from under it and the agent: the job hears of it from the provider, and not from the
// engine's silence, which it waits out for much longer.
func (w *resumeWorld) loseMachine(j coordinator.Job) {
	w.t.Helper()
	id := w.coordinator.Enqueue(j)
	w.await(id, "step_script runs")
	name := usedMachine.FindStringSubmatch(w.plain(id))
	if len(name) != 2 {
		w.t.Fatalf("the trace names no machine:\n%s", w.plain(id))
	}
	began := time.Now()
	if err := dockertest.Engine(w.t).ContainerRemove(context.WithoutCancel(w.t.Context()), name[1], container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		w.t.Fatal(err)
	}
	r := w.ended(w.agent, id)
	want := "the provider took the machine " + name[1] + " back (the instance is gone): its engine does not answer"
	if trace := w.plain(id); r.State != embedded.Failed || r.FailureReason != coordinator.RunnerSystemFailure || !strings.Contains(trace, want) {
		w.t.Errorf("the job: %s %s, want %q\n%s\n%s", r.State, r.FailureReason, want, trace, w.agent.text())
	}
	w.t.Logf("the job is reported %s after its machine's end", time.Since(began).Round(time.Millisecond))
}

// A job whose machine has gone while no agent ran is reported at once with the reason, and the machine's entry goes.
func TestMachineGoneMeanwhile(t *testing.T) {
	t.Parallel()
	w := newMachineResumeWorld(t)
	w.begin()
	id := w.coordinator.Enqueue(w.job(10000, "0.05"))
	w.await(id, "step_script runs")
	w.crash()
	name := usedMachine.FindStringSubmatch(w.plain(id))
	if len(name) != 2 {
		t.Fatalf("the trace names no machine:\n%s", w.plain(id))
	}
	if err := dockertest.Engine(t).ContainerRemove(context.WithoutCancel(t.Context()), name[1], container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.begin()
	r := w.ended(w.agent, id)
	took := time.Since(began)
	// Else the engine's silence would have ended it, much later.
	want := "can't go on with the job: its machine " + name[1] + " is gone: the instance is gone"
	if trace := w.plain(id); r.State != embedded.Failed || r.FailureReason != coordinator.RunnerSystemFailure || !strings.Contains(trace, want) {
		t.Errorf("the job: %s %s after %s, want %q\n%s\n%s", r.State, r.FailureReason, took, want, trace, w.agent.text())
	}
	t.Logf("the job is reported %s after the agent's start", took.Round(time.Millisecond))
	w.agent.until(`msg="Machine removed"`)
	listed := func() bool {
		return slices.ContainsFunc(w.list(), func(m supervisor.Machine) bool { return m.Name == name[1] })
	}
	for deadline := time.Now().Add(time.Minute); listed(); time.Sleep(100 * time.Millisecond) { // the record goes after the line
		if time.Now().After(deadline) {
			t.Fatal("the machine is still in the store")
		}
	}
	w.stop()
}
