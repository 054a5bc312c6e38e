package supervisor

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
	"github.com/millwright-ci/millwright/agent/internal/guests"
	"github.com/millwright-ci/millwright/agent/pool"
)

// cloudFleet is a runner with spot machines in a cloud of its own, whose engines take jobs. The agent asks for the machines only now and then,
// but for those that are expected.
func (w *world) cloudFleet() (*fakecloud.Cloud, config.Runner, func(*Options)) {
	w.t.Helper()
	cloud, err := fakecloud.Start(fakecloud.Options{Machines: true, Engine: endless, Settings: fakecloud.Settings{BootMS: 60}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { cloud.Close() })
	helper, err := fakecloud.HelperImage()
	if err != nil {
		w.t.Fatal(err)
	}
	dir := w.t.TempDir()
	for _, name := range []string{"policies.d", "drivers.d"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"millwright.toml":          "[grants.fakecloud]\nhostnames = [\"" + cloud.URL() + "\"]\nprivate_addresses = [\"127.0.0.0/8\"]\n",
		"helper.tar":               string(helper),
		"drivers.d/fakecloud.wasm": string(guests.Wasm(w.t, "examples/drivers/fakecloud")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	r := w.runner("fleet")
	r.Executor = executorMachine
	r.Docker = config.Docker{Image: "debian:bookworm", PullPolicy: []string{"if-not-present"}}
	r.Machine = &config.Machine{IdleCount: 1, IdleTime: 3600, MachineDriver: "fakecloud", MachineName: "test-%s",
		MachineOptions: []string{"fakecloud-endpoint=" + cloud.URL(), "fakecloud-spot"}}
	return cloud, r, func(o *Options) {
		o.RemoveMachines = true
		o.HelperArchive = func(string) string { return filepath.Join(dir, "helper.tar") }
		o.Operator = func() (*config.Operator, error) {
			op, _, err := config.LoadOperator(filepath.Join(dir, "config.toml"))
			return op, err
		}
	}
}

// endless is an engine whose containers take for ever to start, so that jobs run until their machine goes.
func endless(machine string) http.Handler {
	jobs := fakecloud.Jobs()(machine)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/start") {
			<-r.Context().Done()
			return
		}
		jobs.ServeHTTP(w, r)
	})
}

// long is a job that runs until somebody ends it.
func long(name string) coordinator.Job {
	return coordinator.Job{
		Info:      coordinator.JobInfo{Name: name, Stage: "test", ProjectID: 3},
		Runner:    coordinator.RunnerInfo{Timeout: 3600},
		Image:     &coordinator.Image{Name: "debian:bookworm"},
		Variables: coordinator.Variables{{Key: "GIT_STRATEGY", Value: "none"}},
		Steps:     []coordinator.Step{{Name: "script", Script: []string{fakecloud.Script(600_000, 1000)}, Timeout: 3600, When: "on_success"}},
	}
}

// used waits until a machine runs a job, and returns it.
func (w *world) used(id int64) (m Machine) {
	w.t.Helper()
	w.until(fmt.Sprintf("job %d runs its script", id), func() bool {
		for _, m = range w.byState()[fleet.Used] {
			if m.JobID == id {
				return strings.Contains(w.trace(id), "Preparing environment")
			}
		}
		return false
	})
	return m
}

// TestSpotNotice has the cloud take a machine back under its job: the machine gets no other job, its replacement is made before it goes, and the
// job fails as the system's failure, for which GitLab tries it again.
func TestSpotNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud, r, open := w.cloudFleet()
	w.config.Concurrent, w.config.ListenAddress = 4, "127.0.0.1:0"
	w.config.Runners = []config.Runner{r}
	w.start(builtins(t), open, func(o *Options) {
		o.Pool = func(p *pool.Options) { p.SpotList = 100 * time.Millisecond } // notices are short
	})
	w.untilIdle(1)
	job := w.coordinator.Enqueue(long("taken back"))
	taken := w.used(job)
	w.untilIdle(1) // with the one that is held while a job is asked for, the fleet has what it wants
	made := cloud.Summary().Made
	if err := cloud.Act(taken.Name, fakecloud.Interrupt, time.Hour); err != nil {
		t.Fatal(err)
	}
	if said := w.log.wait("The provider takes a machine back"); said["name"] != taken.Name || said["job"] != fmt.Sprint(job) {
		t.Errorf("%v", said)
	}
	w.until("a replacement is made while the job still runs", func() bool { return cloud.Summary().Made > made })
	other := w.coordinator.Enqueue(long("another"))
	elsewhere := w.used(other)
	if elsewhere.Name == taken.Name {
		t.Error("the machine that is taken back got another job")
	}
	if m := w.used(job); m.Name != taken.Name || m.UsedCount != 1 {
		t.Errorf("the job runs on %+v, and began on %s", m, taken.Name)
	}
	if err := cloud.Act(taken.Name, fakecloud.Vanish, 0); err != nil {
		t.Fatal(err)
	}
	if r := w.await(job); r.State != "failed" || r.FailureReason != coordinator.RunnerSystemFailure {
		t.Errorf("the job is %s for %q", r.State, r.FailureReason)
	}
	if trace := w.trace(job); !strings.Contains(trace, "taken back in 1h0m0s") || !strings.Contains(trace, "Using machine "+taken.Name+" ("+cloudID(cloud, taken.Name)+")") {
		t.Errorf("the log does not say what happened, and where:\n%s", trace)
	}
	for _, message := range []string{"Finished docker-machine build", "Cleaned up docker-machine"} {
		if said := w.log.wait(message); said["name"] != taken.Name || said["job"] != fmt.Sprint(job) || said["usedCount"] != "1" || said["docker"] == "" {
			t.Errorf("%s: %v", message, said)
		}
	}
	if err := w.s.Cordon(t.Context(), elsewhere.Name, true); err != nil {
		t.Error(err)
	}
	if page := w.page("/metrics"); !strings.Contains(page, `millwright_machines_kept{condition="cordoned",runner_name="fleet"} 1`) {
		t.Errorf("the cordoned machine is in no metric:\n%s", page)
	}
	w.until("the machine is forgotten", func() bool {
		for _, m := range w.s.Machines() {
			if m.Name == taken.Name {
				return false
			}
		}
		return true
	})
	if err := cloud.Act(elsewhere.Name, fakecloud.Vanish, 0); err != nil {
		t.Fatal(err)
	}
	w.await(other)
	w.enough()
	if w.log.wait("Draining machine pool")["machines"] == "" {
		t.Error("the drain does not say of how many machines")
	}
}

// TestSuspectedMachine has a machine vanish without notice, where the provider is asked for the machines once an hour: the job has it asked at
// once, and says what it answers.
func TestSuspectedMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cloud, r, open := w.cloudFleet()
	r.Machine.IdleCount = 0
	w.config.Runners = []config.Runner{r}
	w.start(builtins(t), open, func(o *Options) {
		o.Pool = func(p *pool.Options) { p.List, p.SpotList = time.Hour, time.Hour }
	})
	job := w.coordinator.Enqueue(long("lost"))
	lost := w.used(job)
	if said := w.log.wait("Created docker-machine"); said["name"] != lost.Name || said["instance_id"] == "" || said["created"] == "" {
		t.Errorf("the machine that was made for the job: %v", said)
	}
	if err := cloud.Act(lost.Name, fakecloud.Stop, 0); err != nil {
		t.Fatal(err)
	}
	if r := w.await(job); r.State != "failed" || r.FailureReason != coordinator.RunnerSystemFailure {
		t.Errorf("the job is %s for %q", r.State, r.FailureReason)
	}
	if trace := w.trace(job); !strings.Contains(trace, "the instance is stopped") {
		t.Errorf("the log does not say what the provider says:\n%s", trace)
	}
	w.enough()
}

// enough stops the agent; it may have jobs.
func (w *world) enough() {
	w.t.Helper()
	w.stop(errors.New("enough"))
	if err := w.finish(); err != nil {
		w.t.Error(err)
	}
}

// cloudID is the id that a machine had or has in the cloud.
func cloudID(c *fakecloud.Cloud, name string) string {
	for _, e := range c.Ledger(0, fakecloud.FactMade) {
		if e.Name == name {
			return e.ID
		}
	}
	return "no id"
}
