package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/coordinator/embedded"
	"github.com/millwright-ci/millwright/agent/driver/fleeting/fleetingtest"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/internal/boxes"
)

// plugged is a runner whose instances are machines of the test's own, which a plug-in makes.
type plugged struct {
	*fleetingtest.Cloud
	*boxes.Boxes
	runner config.Runner
}

// plugged makes one. Its instances' ids begin with its name.
func (w *world) plugged(name, executor string) *plugged {
	w.t.Helper()
	p := &plugged{Cloud: fleetingtest.Start(w.t), Boxes: boxes.Open(w.t, filepath.Join("..", "..", ".cache", "demo-images"))}
	p.Cloud.ID, p.Prefix = "mwtest/"+name, name+"-"
	p.OnHardware(w.t, p.Boxes)
	p.runner = w.runner(name)
	p.runner.Executor = executor
	p.runner.Docker = config.Docker{Image: "busybox:1.35", PullPolicy: []string{"if-not-present"}, WaitForServicesTimeout: -1}
	p.runner.Autoscaler = &config.Autoscaler{
		Plugin: fleetingtest.Name, PluginConfig: p.Config(), CapacityPerInstance: 1, MaxInstances: 2, DeleteInstancesOnShutdown: true,
		UpdateInterval: config.Duration(2e9), UpdateIntervalExpecting: config.Duration(300e6),
		Policy: []config.ScalePolicy{{IdleCount: 1, IdleTime: config.Duration(600e9)}},
	}
	if executor == executorAutoscaler {
		p.runner.Autoscaler.InstanceReadyCommand = startEngine(p.Mirror)
	}
	return p
}

// startPlugged starts an agent that finds the plug-in under any name.
func (w *world) startPlugged(change ...func(*Options)) {
	w.t.Helper()
	path := fleetingtest.Binary(w.t)
	w.start(append([]func(*Options){builtins(w.t), helperBinary(w.t), func(o *Options) {
		o.FindPlugin = func(string) (string, error) { return path, nil }
	}}, change...)...)
}

// endPlugged stops the agent, which takes the instances away.
func (w *world) endPlugged(all ...*plugged) {
	w.t.Helper()
	w.enough()
	for _, p := range all {
		if left := p.Instances(); len(left) != 0 {
			w.t.Errorf("left in the cloud, though delete_instances_on_shutdown: %v", left)
		}
	}
}

// untilReady waits for that many instances that are ready for jobs, those among them that are held while a job is asked for.
func (w *world) untilReady(n int) (ready []Machine) {
	w.t.Helper()
	w.until("there are instances", func() bool {
		by := w.byState()
		ready = append(by[fleet.Idle], by[fleet.Acquired]...)
		return len(ready) >= n
	})
	return ready
}

// held is a job of an executor that waits at the gate, after it said where it is.
func (g *gate) held(executor, name string) coordinator.Job {
	where := `echo "slots $CI_CONCURRENT_ID $CI_CONCURRENT_PROJECT_ID in $PWD"`
	if executor == executorInstance {
		return shelled(name, where, g.at(name))
	}
	j := g.job(name, "busybox:1.35")
	j.Steps[0].Script = slices.Insert(j.Steps[0].Script, 0, where)
	return j
}

// placed are the machine and the instance that a job says it runs on.
func (w *world) placed(id int64) (machine, instance string) {
	w.t.Helper()
	found := regexp.MustCompile(`Using machine (\S+) \((\S+)\)`).FindStringSubmatch(w.trace(id))
	if found == nil {
		w.t.Fatalf("job %d does not say where it runs:\n%s", id, w.trace(id))
	}
	return found[1], found[2]
}

// succeeds waits for a job's end, which must be a good one.
func (w *world) succeeds(id int64) {
	w.t.Helper()
	if r := w.await(id); r.State != embedded.Success {
		w.t.Errorf("%s: %s %s\n%s", r.Name, r.State, r.FailureReason, w.trace(id))
	}
}

// Several jobs run on one instance at once, each with slots of its own, and an instance that has run as many as it may goes.
func TestJobsShareInstance(t *testing.T) {
	t.Parallel()
	for _, executor := range config.Autoscaled() {
		t.Run(executor, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.plugged("shared", executor)
			a := p.runner.Autoscaler
			a.CapacityPerInstance, a.MaxUseCount = 3, 3
			w.config.Runners = []config.Runner{p.runner}
			names := []string{"one", "two", "three"}
			g := newGate(w, p.Gateway, append(names, "four")...)
			w.startPlugged()
			w.untilReady(1)
			var ids []int64
			for _, name := range names {
				ids = append(ids, w.coordinator.Enqueue(g.held(executor, name)))
			}
			g.wait(3)
			used := w.byState()[fleet.Used]
			if len(used) != 1 || used[0].UsedCount != 3 {
				t.Fatalf("machines in use: %+v", used)
			}
			jobs := append([]int64{used[0].JobID}, used[0].OtherJobs...)
			slices.Sort(jobs)
			if diff := cmp.Diff(ids, jobs); diff != "" {
				t.Errorf("jobs on the instance (-want +got):\n%s", diff)
			}
			var slots, places []string
			for i, id := range ids {
				close(g.open[names[i]])
				w.succeeds(id)
				said := regexp.MustCompile(`slots (\d) (\d) in (\S+)`).FindStringSubmatch(w.trace(id))
				if said == nil || said[1] != said[2] {
					t.Fatalf("the job says %q\n%s", said, w.trace(id))
				}
				slots, places = append(slots, said[1]), append(places, said[3])
			}
			slices.Sort(slots)
			if diff := cmp.Diff([]string{"0", "1", "2"}, slots); diff != "" {
				t.Errorf("slots (-want +got):\n%s", diff)
			}
			if slices.Sort(places); executor == executorInstance && len(slices.Compact(places)) != 3 {
				t.Errorf("jobs share a folder: %v", places)
			}
			close(g.open["four"])
			four := w.coordinator.Enqueue(g.held(executor, "four"))
			w.succeeds(four)
			if machine, instance := w.placed(four); machine == used[0].Name || instance != "shared-0002" {
				t.Errorf("the fourth job runs on %s (%s)", machine, instance)
			}
			w.until("the instance of the first three is gone", func() bool { return p.Instances()["shared-0001"] == "" })
			if warned := strings.Contains(w.log.text(), "Jobs share instances without being kept apart"); warned != (executor == executorInstance) {
				t.Errorf("that jobs share the instance is said: %t", warned)
			}
			w.endPlugged(p)
		})
	}
}

// A plug-in that crashes or hangs at its start holds up no other runner, and its own runner takes no job that nobody could place; when it works, its
// runner does.
func TestFailingPlugins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Concurrent = 10
	healthy, crashing, hanging := w.plugged("healthy", executorInstance), w.plugged("crashing", executorInstance), w.plugged("hanging", executorInstance)
	crashing.Fail("init", fleetingtest.Fault{Do: "crash"})
	hanging.Fail("init", fleetingtest.Fault{Do: "hang"})
	for _, p := range []*plugged{crashing, hanging} {
		p.runner.Token = w.coordinator.AddRunner(p.runner.Name)
		p.runner.Autoscaler.Policy = nil // made when jobs come, so that only the plug-in's state keeps the runner from asking
	}
	w.config.Runners = []config.Runner{hanging.runner, crashing.runner, healthy.runner}
	w.startPlugged()
	w.until("the others have begun", func() bool { return len(crashing.Calls("init")) > 0 && len(hanging.Calls("init")) > 0 })
	for range 3 {
		id := w.coordinator.Enqueue(shelled("job", "true"))
		w.succeeds(id)
		if _, instance := w.placed(id); !strings.HasPrefix(instance, "healthy-") {
			t.Errorf("the job ran on %s", instance)
		}
	}
	if n := len(hanging.Calls("list")) + len(crashing.Calls("list")); n > 0 {
		t.Errorf("the failing plug-ins served %d lists", n)
	}
	crashing.Fail("init", fleetingtest.Fault{})
	w.reload(func(c *config.Config) { c.Runners = []config.Runner{hanging.runner, crashing.runner} })
	id := w.coordinator.Enqueue(shelled("job", "true"))
	w.succeeds(id)
	if _, instance := w.placed(id); !strings.HasPrefix(instance, "crashing-") {
		t.Errorf("the job ran on %s", instance)
	}
	w.endPlugged(healthy, crashing, hanging)
}

// A plug-in that dies under jobs does them no harm; an instance that vanishes ends its own jobs, within seconds of it.
func TestTroubleInMidJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.plugged("trouble", executorInstance)
	a := p.runner.Autoscaler
	a.CapacityPerInstance, a.UpdateInterval = 2, config.Duration(3600e9) // then the group is asked because of a job, or not at all
	w.config.Runners = []config.Runner{p.runner}
	g := newGate(w, p.Gateway, "one", "two", "three")
	w.startPlugged()
	w.untilReady(1)
	one, two := w.coordinator.Enqueue(g.held(executorInstance, "one")), w.coordinator.Enqueue(g.held(executorInstance, "two"))
	g.wait(2)
	machine, instance := w.placed(one)
	if other, _ := w.placed(two); other != machine {
		t.Fatalf("the jobs run on %s and %s", machine, other)
	}
	plugin, err := os.FindProcess(p.Process())
	if err == nil {
		err = plugin.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.log.wait("fleeting plug-in does not serve; its instances stay known")
	close(g.open["one"])
	w.succeeds(one)

	p.Reclaim(instance)
	r := w.await(two)
	if r.State != embedded.Failed || r.FailureReason != coordinator.RunnerSystemFailure || !strings.Contains(w.trace(two), "the instance is gone") {
		t.Errorf("%s %s\n%s", r.State, r.FailureReason, w.trace(two))
	}
	if n := len(p.Calls("init")); n != 2 {
		t.Errorf("the plug-in was started %d times", n)
	}
	close(g.open["three"])
	three := w.coordinator.Enqueue(g.held(executorInstance, "three"))
	w.succeeds(three)
	if other, _ := w.placed(three); other == machine {
		t.Error("the next job runs on the machine that vanished")
	}
	w.until("the machine is forgotten", func() bool { return !slices.Contains(w.machineNames(), machine) })
	w.endPlugged(p)
}

// Everything in [runners.autoscaler] is reloaded: bounds, how the plug-in is told to work, its version, and where the instances come from.
func TestReloadOfAutoscaler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.ListenAddress = "127.0.0.1:0"
	before, after := w.plugged("before", executorInstance), w.plugged("after", executorInstance)
	r := before.runner
	r.Autoscaler.MaxInstances = 1
	w.config.Runners = []config.Runner{r}
	g := newGate(w, before.Gateway, "one")
	binary := fleetingtest.Binary(t)
	newer := filepath.Join(t.TempDir(), filepath.Base(binary))
	data, err := os.ReadFile(binary)
	if err == nil {
		err = os.WriteFile(newer, data, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.startPlugged(func(o *Options) {
		o.FindPlugin = func(name string) (string, error) {
			if name == "mwtest:2" {
				return newer, nil
			}
			return binary, nil
		}
	})
	w.untilReady(1)
	one := w.coordinator.Enqueue(g.held(executorInstance, "one"))
	g.wait(1)
	change := func(f func(*config.Autoscaler)) {
		t.Helper()
		a := *r.Autoscaler
		f(&a)
		r.Autoscaler = &a
		w.reload(func(c *config.Config) { c.Runners = []config.Runner{r} })
	}
	change(func(a *config.Autoscaler) { a.MaxInstances = 2 })
	w.untilReady(1)

	change(func(a *config.Autoscaler) { a.Plugin = "mwtest:2"; a.ConnectorConfig.Username = "mw" })
	w.until("the newer plug-in serves", func() bool {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", before.Process()))
		return err == nil && exe == newer
	})
	if n := len(before.Calls("shutdown")); n != 1 {
		t.Errorf("the older plug-in was told %d times to end", n)
	}
	if by := w.byState(); len(by[fleet.Used])+len(by[fleet.Idle])+len(by[fleet.Acquired]) != 2 {
		t.Errorf("another version of the plug-in changes the fleet: %v", by)
	}

	change(func(a *config.Autoscaler) { a.PluginConfig = after.Config() })
	two := w.coordinator.Enqueue(shelled("two", "true"))
	w.succeeds(two)
	if _, instance := w.placed(two); !strings.HasPrefix(instance, "after-") {
		t.Errorf("the job ran on %s", instance)
	}
	w.until("idle instances of the old group are gone", func() bool { return len(before.Instances()) == 1 })
	if r, _ := w.coordinator.Job(one); r.State != embedded.Running {
		t.Errorf("the job on an old instance is %s", r.State)
	}
	close(g.open["one"])
	w.succeeds(one)
	w.until("the old group is drained and its plug-in has ended", func() bool { return len(before.Instances()) == 0 && len(before.Calls("shutdown")) == 2 })
	for _, said := range []string{"Machines cannot be listed", "is not a driver"} {
		if strings.Contains(w.log.text(), said) {
			t.Errorf("the log says %q\n%s", said, w.log.text())
		}
	}
	w.endPlugged(before, after)
}

// The operator's hand works on instances as on machines: cordon, hold and freeze, what is lost in the group, and removals that fail.
func TestHandOnInstances(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.plugged("hand", executorInstance)
	p.runner.Autoscaler.MaxInstances = 3
	w.config.Runners = []config.Runner{p.runner}
	w.startPlugged()
	first := w.untilReady(1)[0].Name
	by := func(method, path string) {
		t.Helper()
		if status, body := w.agent(method, path); status != 200 {
			t.Fatalf("%s %s: %d %s", method, path, status, body)
		}
	}
	runs := func() string {
		t.Helper()
		id := w.coordinator.Enqueue(shelled("job", "true"))
		w.succeeds(id)
		machine, _ := w.placed(id)
		return machine
	}
	by("POST", "/v1/machines/"+first+"/cordon")
	w.untilReady(2) // a slot that no job gets is none
	if second := runs(); second == first {
		t.Error("a job on the cordoned instance")
	}
	by("POST", "/v1/machines/"+first+"/hold?for=1h&reason=a+look")
	by("POST", "/v1/freeze?for=2h&reason=an+incident")
	asked := len(p.Calls("increase"))
	runs()
	for _, m := range w.s.Machines() {
		if m.Name == first && (!m.Cordoned || m.HeldFor != "a look" || m.HeldUntil.IsZero()) {
			t.Errorf("the instance is shown as %+v", m)
		}
	}

	p.Add()
	var lost Strays
	w.until("the instance that nobody asked for is shown", func() bool {
		w.get("/v1/strays", &lost)
		return len(lost.Orphans) > 0
	})
	if len(lost.Orphans) != 1 || !strings.HasPrefix(lost.Orphans[0].ID, "hand-") || len(lost.Errors) > 0 {
		t.Errorf("%+v", lost)
	}
	if status, body := w.agent("DELETE", "/v1/orphans/"+lost.Orphans[0].Name); status == 200 {
		t.Errorf("removed while all is frozen: %s", body)
	}
	if n := len(p.Calls("increase")); n != asked {
		t.Errorf("%d increases while all is frozen", n-asked)
	}
	by("DELETE", "/v1/freeze")
	by("DELETE", "/v1/orphans/"+lost.Orphans[0].Name)
	if state := p.Instances()[lost.Orphans[0].ID]; state != "" {
		t.Errorf("the stray is %s", state)
	}

	by("POST", "/v1/machines/"+first+"/release")
	p.Fail("decrease", fleetingtest.Fault{Error: "not now"})
	removed := make(chan error, 1)
	go func() { removed <- w.s.RemoveMachine(t.Context(), first) }()
	w.until("the failed removal is in the ledger", func() bool {
		w.get("/v1/strays", &lost)
		return len(lost.Ledger) == 1 && lost.Ledger[0].Name == first && strings.Contains(lost.Ledger[0].Error, "not now")
	})
	p.Fail("decrease", fleetingtest.Fault{})
	if err := <-removed; err != nil {
		t.Error(err)
	}
	w.endPlugged(p)
}

// The fleet is the runner's, whatever its token is and with or without state_storage: instances and the jobs on them go on over a hand-over and a restart.
func TestFleetOutlivesAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.plugged("lasting", executorInstance)
	r, a := &p.runner, p.runner.Autoscaler
	r.ID, a.CapacityPerInstance, a.DeleteInstancesOnShutdown = 7, 2, false
	w.config.Runners = []config.Runner{*r}
	rotated := func(name string) func(*config.Config) {
		token := w.coordinator.AddRunner(name)
		return func(c *config.Config) { c.Runners[0].Token = token }
	}
	g := newGate(w, p.Gateway, "one", "two")
	dir := shortDir(t)
	lasting := func(o *Options) { o.RuntimeDir = dir }
	w.startPlugged(lasting)
	machine := w.untilReady(1)[0].Name
	w.reload(rotated("rotated while the agent runs"))
	one, two := w.coordinator.Enqueue(g.held(executorInstance, "one")), w.coordinator.Enqueue(g.held(executorInstance, "two"))
	g.wait(2)
	w.s.HandOver()
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Calls("init")); n != 1 {
		t.Errorf("another token started the plug-in %d times", n)
	}

	w.log.forget()
	w.startPlugged(lasting)
	for _, id := range []int64{one, two} {
		if said := w.log.wait("Job taken up"); said["machine"] != machine || said["lost"] != "<nil>" {
			t.Errorf("job %d: %v", id, said)
		}
	}
	for name := range g.open {
		close(g.open[name])
	}
	for _, id := range []int64{one, two} {
		w.succeeds(id)
		if on, _ := w.placed(id); on != machine {
			t.Errorf("job %d ran on %s, and the instance was %s", id, on, machine)
		}
	}
	w.untilReady(2)
	before := w.machineNames()
	w.enough()
	stored := *a
	stored.StateStorage, stored.DeleteInstancesOnShutdown = config.StateStorage{Enabled: true, Dir: t.TempDir()}, true
	w.change(rotated("rotated while no agent ran"))
	w.change(func(c *config.Config) { c.Runners[0].Autoscaler = &stored })
	w.log.forget()
	w.startPlugged(lasting)
	w.untilReady(1)
	three := w.coordinator.Enqueue(shelled("three", "true"))
	w.succeeds(three)
	if on, _ := w.placed(three); !slices.Contains(before, on) {
		t.Errorf("the next job ran on %s, and there were %v", on, before)
	}
	for _, name := range before {
		if !slices.Contains(w.machineNames(), name) {
			t.Errorf("%s is gone; there are %v", name, w.machineNames())
		}
	}
	w.endPlugged(p)
}
