package metrics

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Buckets are the upper bounds of the histograms of a runner with [runners.autoscaler], in seconds; nil: GitLab Runner's.
type Buckets struct {
	Creation, Running, Deletion, Readiness, Life []float64
}

// operationBuckets are GitLab Runner's.
var operationBuckets = []float64{1, 5, 10, 15, 30, 45, 60, 90, 120, 180}

// lifeBuckets are ours: GitLab Runner's are not documented.
var lifeBuckets = []float64{60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 604800}

// Instances is what a pool of a runner with [runners.autoscaler] holds.
type Instances struct {
	Max, Capacity, MaxUse int
	Desired               int            // machines that the decision comes to
	States                map[string]int // instances by state
	Tasks                 map[string]int // slots by state
	Operations            map[string]int // on slots, so far
	Missed                int            // lists so far that lacked an instance or failed
}

// instanceStates and the rest are the values of labels that are always there.
var (
	instanceStates     = []string{"requested", "pending", "creating", "running", "suspending", "suspended", "resuming", "deleting"}
	instanceOperations = []string{"create", "delete", "suspend", "resume"}
	internalOperations = []string{"removal", "reconcile", "provision"}
	taskStates         = []string{"idle", "reserved", "acquired", "unavailable", "unready"}
	taskOperations     = []string{"reserve", "unreserve", "acquire", "release"}
	scaleOperations    = []string{"up", "down"}
)

// instances are GitLab Runner's metrics of the newer autoscaler, those of its libraries fleeting and taskscaler. There are none of runners
// without it.
type instances struct {
	gauges   map[string]*prometheus.Desc
	counters map[string]*prometheus.Desc
	times    map[string]*prometheus.Desc

	mu      sync.Mutex // guards runners
	runners map[string]*instanceRunner
}

// instanceRunner is what is known of one runner, by its name.
type instanceRunner struct {
	labels []string
	now    Instances
	counts map[[2]string]int // by metric and operation
	times  map[string]*times
}

// times is a histogram.
type times struct {
	bounds []float64
	counts []uint64
	sum    float64
	n      uint64
}

func newTimes(bounds, otherwise []float64) *times {
	if len(bounds) == 0 {
		bounds = otherwise
	}
	bounds = slices.Compact(slices.Sorted(slices.Values(bounds)))
	return &times{bounds: bounds, counts: make([]uint64, len(bounds))}
}

func (t *times) observe(d time.Duration) {
	t.n++
	t.sum += d.Seconds()
	for i, bound := range t.bounds {
		if d.Seconds() <= bound {
			t.counts[i]++
		}
	}
}

const (
	provisioner = "fleeting_provisioner_"
	taskscaler  = "fleeting_taskscaler_"
)

func newInstances() *instances {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append(slices.Clone(runnerLabels), labels...), nil)
	}
	return &instances{
		runners: map[string]*instanceRunner{},
		gauges: map[string]*prometheus.Desc{
			"max":     desc(provisioner+"max_instances", "Instances that the runner may have at most; 0 sets no limit"),
			"states":  desc(provisioner+"instances", "Instances by state", "state"),
			"tasks":   desc(taskscaler+"tasks", "Slots for jobs by state", "state"),
			"slots":   desc(taskscaler+"max_tasks_per_instance", "Jobs at once per instance"),
			"uses":    desc(taskscaler+"max_use_count_per_instance", "Jobs per instance in all; 0 sets no limit"),
			"desired": desc(taskscaler+"desired_instances", "Instances that the policies want, before any limit"),
		},
		counters: map[string]*prometheus.Desc{
			"instance": desc(provisioner+"instance_operations_total", "Operations on instances that the provider took on", "operation"),
			"internal": desc(provisioner+"internal_operations_total", "Operations on the list of instances", "operation"),
			"missed":   desc(provisioner+"missed_updates_total", "Lists that lacked an instance or failed"),
			"scale":    desc(taskscaler+"scale_operations_total", "Instances that were asked for and given up", "operation"),
			"task":     desc(taskscaler+"task_operations_total", "Operations on slots", "operation"),
		},
		times: map[string]*prometheus.Desc{
			"creation":  desc(provisioner+"instance_creation_time_seconds", "How long the provider took to take creations on"),
			"running":   desc(provisioner+"instance_is_running_time_seconds", "How long instances took from the request until they ran"),
			"deletion":  desc(provisioner+"instance_deletion_time_seconds", "How long deletions took"),
			"life":      desc(provisioner+"instance_life_duration_seconds", "How long instances lived"),
			"readiness": desc(taskscaler+"task_instance_readiness_time_seconds", "How long running instances took to become ready for jobs"),
		},
	}
}

// InstancesConfigured begins the metrics of a runner with [runners.autoscaler], or changes them: a histogram that gets other buckets begins anew.
func (m *Metrics) InstancesConfigured(r Runner, b Buckets) {
	i := m.instances
	i.mu.Lock()
	defer i.mu.Unlock()
	known := i.runners[r.Name]
	if known == nil {
		known = &instanceRunner{counts: map[[2]string]int{}, times: map[string]*times{}}
		i.runners[r.Name] = known
	}
	known.labels = r.values()
	for name, fresh := range map[string]*times{
		"creation": newTimes(b.Creation, operationBuckets), "running": newTimes(b.Running, operationBuckets),
		"deletion": newTimes(b.Deletion, operationBuckets), "readiness": newTimes(b.Readiness, operationBuckets),
		"life": newTimes(b.Life, lifeBuckets),
	} {
		if has := known.times[name]; has == nil || !slices.Equal(has.bounds, fresh.bounds) {
			known.times[name] = fresh
		}
	}
}

// gone forgets a runner.
func (i *instances) gone(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.runners, name)
}

func (i *instances) set(fleets []Fleet) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, f := range fleets {
		if r := i.runners[f.Runner]; r != nil && f.Instances != nil {
			r.now = *f.Instances
		}
	}
}

// event counts what a pool tells of a machine.
func (i *instances) event(runner string, e *fleet.MachineEvent) {
	i.mu.Lock()
	defer i.mu.Unlock()
	r := i.runners[runner]
	if r == nil {
		return
	}
	count := func(metric, operation string) { r.counts[[2]string{metric, operation}]++ }
	switch {
	case e.Gone:
		count("instance", "delete")
		r.times["deletion"].observe(e.Duration)
		r.times["life"].observe(e.Age)
	case e.State == fleet.Creating && e.From == "":
		count("internal", "provision")
		count("scale", "up")
	case e.State == fleet.Creating && e.Phase == phaseBoot:
		count("instance", "create")
	case e.State == fleet.Idle && e.From == "":
		count("internal", "reconcile")
	case e.State == fleet.Idle && e.From == fleet.Creating:
		r.ready(e)
	case e.State == fleet.Removing && e.From != fleet.Removing:
		count("internal", "removal")
		count("scale", "down")
	}
}

// The phases of a creation before the instance runs; see package pool.
const (
	phaseInsert = "insert"
	phaseBoot   = "boot"
)

// ready takes in how long a creation took.
func (r *instanceRunner) ready(e *fleet.MachineEvent) {
	var insert, boot time.Duration
	for _, p := range e.Phases {
		switch p.Phase {
		case phaseInsert:
			insert += p.Duration
		case phaseBoot:
			boot += p.Duration
		}
	}
	r.times["creation"].observe(insert)
	r.times["running"].observe(insert + boot)
	r.times["readiness"].observe(max(e.Duration-insert-boot, 0))
}

// Describe is prometheus.Collector's.
func (i *instances) Describe(ch chan<- *prometheus.Desc) {
	for _, all := range []map[string]*prometheus.Desc{i.gauges, i.counters, i.times} {
		for _, d := range all {
			ch <- d
		}
	}
}

// Collect is prometheus.Collector's.
func (i *instances) Collect(ch chan<- prometheus.Metric) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, r := range i.runners {
		send := func(d *prometheus.Desc, t prometheus.ValueType, v int, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, t, float64(v), append(slices.Clone(r.labels), labels...)...)
		}
		each := func(d *prometheus.Desc, t prometheus.ValueType, labels []string, value func(label string) int) {
			for _, label := range labels {
				send(d, t, value(label), label)
			}
		}
		counted := func(metric string) func(string) int {
			return func(operation string) int { return r.counts[[2]string{metric, operation}] }
		}
		const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
		send(i.gauges["max"], gauge, r.now.Max)
		send(i.gauges["slots"], gauge, r.now.Capacity)
		send(i.gauges["uses"], gauge, r.now.MaxUse)
		send(i.gauges["desired"], gauge, r.now.Desired)
		each(i.gauges["states"], gauge, instanceStates, func(s string) int { return r.now.States[s] })
		each(i.gauges["tasks"], gauge, taskStates, func(s string) int { return r.now.Tasks[s] })
		each(i.counters["instance"], counter, instanceOperations, counted("instance"))
		each(i.counters["internal"], counter, internalOperations, counted("internal"))
		each(i.counters["scale"], counter, scaleOperations, counted("scale"))
		each(i.counters["task"], counter, taskOperations, func(s string) int { return r.now.Operations[s] })
		send(i.counters["missed"], counter, r.now.Missed)
		for name, t := range r.times {
			buckets := map[float64]uint64{}
			for b, bound := range t.bounds {
				buckets[bound] = t.counts[b]
			}
			ch <- prometheus.MustNewConstHistogram(i.times[name], t.n, t.sum, buckets, r.labels...)
		}
	}
}

// BucketsOf returns the buckets of a runner: what one key leaves out, the key for all operations gives.
func BucketsOf(operation, creation, running, deletion, readiness, life []float64) Buckets {
	or := func(own []float64) []float64 {
		if len(own) > 0 {
			return own
		}
		return operation
	}
	return Buckets{Creation: or(creation), Running: or(running), Deletion: or(deletion), Readiness: or(readiness), Life: life}
}
