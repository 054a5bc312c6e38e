package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor/docker/dockertest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/need"
	"github.com/millwright-ci/millwright/agent/internal/nxdns"
	"github.com/millwright-ci/millwright/agent/internal/registry"
	"github.com/millwright-ci/millwright/agent/journal"
)

var update = flag.Bool("update", false, "rewrite golden files")

const machineImage = "millwright/machine:bookworm"

// ownerLabel is on everything that the docker driver makes.
const ownerLabel = "io.millwright.owner"

// fleet is a runner with machines on the local engine, on a network of the test's own where they find images and a name server.
func (w *world) fleet(name string) config.Runner {
	w.t.Helper()
	helper(w.t)
	need.Root(w.t) // for the name server's port
	need.Image(w.t, machineImage, "`go tool task machine-image` builds it")
	images := need.File(w.t, filepath.Join("..", "..", ".cache", "demo-images"), "`go tool task demo-images` makes it")
	lan, gateway := testNetwork(w.t)
	w.gateway = gateway
	mirror, err := registry.Start(net.JoinHostPort(gateway, "0"), images)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { mirror.Close() })
	ns, err := nxdns.Start(net.JoinHostPort(gateway, "53"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ns.Close() })
	r := w.runner(name)
	r.Executor = executorMachine
	r.Docker = config.Docker{Image: "busybox:1.35", PullPolicy: []string{"if-not-present"}, WaitForServicesTimeout: -1}
	r.Machine = &config.Machine{
		IdleCount: 1, IdleTime: 600, MachineDriver: "docker", MachineName: "test-%s",
		MachineOptions: []string{"docker-network=" + lan, "docker-dns=" + gateway, "engine-registry-mirror=" + mirror.URL},
	}
	return r
}

// testNetwork makes a network and returns its name and this host's address on it.
func testNetwork(t *testing.T) (name, gateway string) {
	t.Helper()
	api := dockertest.Engine(t)
	name = "millwright-test-" + dockertest.Random()
	if _, err := api.NetworkCreate(t.Context(), name, network.CreateOptions{Driver: "bridge"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.NetworkRemove(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	return name, dockertest.Gateway(t, name)
}

// clear removes what a failed test leaves on the engine, and complains when the test did not fail before.
func (w *world) clear(owner string) {
	label := ownerLabel + "=" + owner
	for _, left := range dockertest.Left(w.t, label) {
		w.t.Errorf("left on the engine: %s", left)
	}
	api, ctx := dockertest.Engine(w.t), context.Background()
	only := filters.NewArgs(filters.Arg("label", label))
	containers, _ := api.ContainerList(ctx, container.ListOptions{All: true, Filters: only})
	for _, c := range containers {
		_ = api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	volumes, _ := api.VolumeList(ctx, volume.ListOptions{Filters: only})
	for _, v := range volumes.Volumes {
		_ = api.VolumeRemove(ctx, v.Name, true)
	}
}

// untilIdle waits for that many idle machines, and returns all machines by state.
func (w *world) untilIdle(n int) map[fleet.State][]Machine {
	w.t.Helper()
	var by map[fleet.State][]Machine
	w.until("there are idle machines", func() bool {
		by = w.byState()
		return len(by[fleet.Idle]) >= n
	})
	return by
}

func (w *world) byState() map[fleet.State][]Machine {
	by := map[fleet.State][]Machine{}
	for _, m := range w.s.Machines() {
		by[m.State] = append(by[m.State], m)
	}
	return by
}

// TestMachines follows the machines of one runner through jobs, the socket, restarts and reloads.
func TestMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	modules := builtins(t)
	w.config.ListenAddress = "127.0.0.1:0"
	w.config.Runners = []config.Runner{w.fleet("fleet")}
	g := newGate(w, w.gateway, "one", "two")
	w.start(modules)
	owner := w.s.Owner()
	t.Cleanup(func() { w.clear(owner) })
	w.untilIdle(1)

	// A job takes the machine, and another is made.
	one := w.coordinator.Enqueue(g.job("one", "busybox:1.35"))
	g.wait(1)
	by := w.untilIdle(1)
	used, idle := by[fleet.Used][0], by[fleet.Idle][0]
	w.checkSocket(used, idle, one)

	close(g.open["one"])
	if r := w.await(one); r.State != "success" {
		t.Fatalf("%s\n%s", r.State, w.trace(one))
	}
	w.until("the machine is given back", func() bool { return len(w.byState()[fleet.Used]) == 0 })
	w.checkMetrics()

	// The machines outlive a stop, and the next agent takes them up.
	before := w.machineNames()
	w.stop(errors.New("restart"))
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	if found, _, err := journal.Read(w.stateDir); err != nil || len(found) != len(before) {
		t.Errorf("the journal has %d machines, %v; want %v", len(found), err, before)
	}
	w.log.forget()
	w.start(modules)
	w.untilIdle(1)
	if after := w.machineNames(); !cmp.Equal(before, after) {
		t.Errorf("after a restart the machines are %v, before they were %v", after, before)
	}

	w.removeWhileInUse(g)

	// Machines of a runner that vanished while no agent ran are removed.
	w.untilIdle(1)
	w.stop(errors.New("renamed"))
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	w.change(func(c *config.Config) { c.Runners = nil })
	w.log.forget()
	w.start(modules)
	w.log.wait("Removing the machines of a runner that the configuration no longer has")
	w.until("the machines of the runner that vanished are gone", func() bool { return len(w.s.Machines()) == 0 })
	w.s.Drain()
	if err := w.finish(); err != nil {
		t.Error(err)
	}
	if found, problems, err := journal.Read(w.stateDir); len(found)+len(problems) != 0 || err != nil {
		t.Errorf("left in the journal: %v %v %v", found, problems, err)
	}
}

func (w *world) machineNames() []string {
	var names []string
	for _, m := range w.s.Machines() {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

// checkSocket lists the machines by agent.sock, and removes the idle one; the used one is refused.
func (w *world) checkSocket(used, idle Machine, id int64) {
	w.t.Helper()
	status, body := w.agent(http.MethodGet, "/v1/machines")
	var listed []Machine
	if err := json.Unmarshal([]byte(body), &listed); err != nil || status != 200 {
		w.t.Fatalf("%d %s", status, body)
	}
	i := slices.IndexFunc(listed, func(m Machine) bool { return m.Name == used.Name })
	if i < 0 || listed[i].JobID != id || listed[i].Runner != "fleet" || listed[i].UsedCount != 1 || listed[i].Address == "" {
		w.t.Errorf("listed: %s", body)
	}
	if jobs := w.page("/debug/jobs/list"); !strings.Contains(jobs, fmt.Sprintf("job=%d runner=\"fleet\" state=running", id)) ||
		!regexp.MustCompile(`machine=`+used.Name+` instance_id=[0-9a-f]+ `).MatchString(jobs) {
		w.t.Errorf("jobs: %s", jobs)
	}
	for _, message := range []string{"Using existing docker-machine", "Starting docker-machine build..."} {
		if said := w.log.wait(message); said["name"] != used.Name || said["instance_id"] == "" || said["job"] != fmt.Sprint(id) {
			w.t.Errorf("%s: %v", message, said)
		}
	}
	if strings.Contains(body, "mirror") {
		w.t.Errorf("options are shown: %s", body)
	}
	status, body = w.agent(http.MethodDelete, "/v1/machines/"+used.Name)
	if status != http.StatusConflict || !strings.Contains(body, "is in use by job") {
		w.t.Errorf("removal of a machine in use: %d %s", status, body)
	}
	if status, body = w.agent(http.MethodDelete, "/v1/machines/"+idle.Name); status != 200 {
		w.t.Errorf("removal: %d %s", status, body)
	}
	if slices.Contains(w.machineNames(), idle.Name) {
		w.t.Error("the machine is still there")
	}
}

// removeWhileInUse takes the runner out while its machine is in use, and brings it back before the machine is gone.
func (w *world) removeWhileInUse(g *gate) {
	w.t.Helper()
	two := w.coordinator.Enqueue(g.job("two", "busybox:1.35"))
	g.wait(1)
	used := w.byState()[fleet.Used][0]
	runners := w.config.Runners
	w.reload(func(c *config.Config) { c.Runners = nil })
	w.log.wait("Runner removed; its machines go when its jobs have ended")
	w.reload(func(c *config.Config) { c.Runners = runners })
	if by := w.byState(); len(by[fleet.Used]) != 1 || by[fleet.Used][0].Name != used.Name {
		w.t.Errorf("the machine in use is not shown: %v", by)
	}
	close(g.open["two"])
	if r := w.await(two); r.State != "success" {
		w.t.Errorf("the job of the runner that was taken out: %s\n%s", r.State, w.trace(two))
	}
	w.until("the old machines are gone and there is a new one", func() bool {
		by := w.byState()
		return len(by[fleet.Idle]) == 1 && len(by) == 1 && by[fleet.Idle][0].CreatedAt.After(used.CreatedAt)
	})
	if slices.Contains(w.machineNames(), used.Name) {
		w.t.Error("the machine of the runner that was taken out is still there")
	}
}

// checkMetrics compares the series with the golden list, and the values that are certain.
func (w *world) checkMetrics() {
	w.t.Helper()
	page := w.page("/metrics")
	names := map[string]bool{}
	for _, line := range strings.Split(page, "\n") {
		if !strings.HasPrefix(line, "gitlab_runner_") && !strings.HasPrefix(line, "millwright_") {
			continue
		}
		line = regexp.MustCompile(`="[^"]*"`).ReplaceAllString(line[:strings.LastIndex(line, " ")], "")
		names[regexp.MustCompile(`(_bucket|_sum|_count)(\{|$)`).ReplaceAllString(strings.ReplaceAll(line, ",le}", "}"), "$2")] = true
	}
	var list []string
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	got := strings.Join(list, "\n") + "\n"
	golden := filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		w.t.Errorf("series (-want +got), `go test -update` rewrites the list:\n%s", diff)
	}
	token, id := config.ShortToken(w.config.Runners[0].Token), w.s.systemID
	labels := `runner="` + token + `",runner_name="fleet",system_id="` + id + `"`
	for _, line := range []string{
		"gitlab_runner_concurrent 4",
		"gitlab_runner_limit{" + labels + "} 0",
		"gitlab_runner_jobs_total{" + labels + "} 1",
		`gitlab_runner_jobs{executor_stage="idle",runner="` + token + `",runner_name="fleet",stage="idle",state="idle",system_id="` + id + `"} 0`,
		`gitlab_runner_job_duration_seconds_count{mode="traditional",` + labels + "} 1",
		`gitlab_runner_job_queue_duration_seconds_count{project_jobs_running="+Inf",` + labels + "} 1",
		`gitlab_runner_autoscaling_actions_total{action="used",executor="docker+machine",target_machine_type="",target_project="",target_region="",target_zone=""} 1`,
		`gitlab_runner_autoscaling_actions_total{action="removed",executor="docker+machine",target_machine_type="",target_project="",target_region="",target_zone=""} 1`,
		`gitlab_runner_autoscaling_actions_total{action="creation-failed",executor="docker+machine",target_machine_type="",target_project="",target_region="",target_zone=""} 0`,
		`gitlab_runner_autoscaling_machine_removal_duration_seconds_count{executor="docker+machine"} 1`,
		`gitlab_runner_autoscaling_machine_states{executor="docker+machine",state="used",target_machine_type="",target_project="",target_region="",target_zone=""} 0`,
		`gitlab_runner_autoscaling_machine_states{executor="docker+machine",state="stuck-on-removing",target_machine_type="",target_project="",target_region="",target_zone=""} 0`,
		`gitlab_runner_process_state_info{state="running"} 1`,
		`gitlab_runner_configuration_loaded_total 1`,
		`millwright_idle_target{runner_name="fleet"} 1`,
		`millwright_decision_code{code="undecided",runner_name="fleet"} 0`,
		`millwright_active_period{runner_name="fleet",section="none"} 1`,
		`millwright_job_machine_wait_seconds_count{` + labels + `} 1`,
	} {
		if !strings.Contains(page, line+"\n") {
			w.t.Errorf("the metrics lack %s", line)
		}
	}
	if w.t.Failed() {
		w.t.Log(page)
	}
}

// With RemoveMachines, or [machine.shutdown_drain], an agent that ends leaves no machine, those under way included.
func TestMachinesAreRemovedAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*world, *Options)
	}{
		{"option", func(_ *world, o *Options) { o.RemoveMachines = true }},
		{"shutdown_drain", func(w *world, _ *Options) { w.config.Machine.ShutdownDrain.Enabled = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			modules := builtins(t)
			w.config.Runners = []config.Runner{w.fleet("ends")}
			w.start(modules, func(o *Options) { tt.change(w, o) })
			owner := w.s.Owner()
			t.Cleanup(func() { w.clear(owner) })
			w.until("a machine is being made", func() bool { return len(dockertest.Left(t, ownerLabel+"="+owner)) > 0 })
			began := time.Now()
			w.stop(errors.New("enough"))
			if err := w.finish(); err != nil {
				t.Error(err)
			}
			t.Logf("the end took %s", time.Since(began).Round(time.Millisecond))
		})
	}
}
