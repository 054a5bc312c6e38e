package metrics

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// traditional is how every job's scripts are run: by stages, not by GitLab's step runner. It is a value of GitLab's label mode.
const traditional = "traditional"

// JobStart is what is known of a job when it starts.
type JobStart struct {
	Executor       string
	Queued         time.Duration // how long it waited at the coordinator
	ProjectRunning string        // jobs of its project that run, as the coordinator counts them; "+Inf" for many
	QueueSize      int
	QueueDepth     int
	TooLong        bool // it waited longer than [runners.monitoring] calls acceptable
	StageTimes     bool // FF_EXPORT_HIGH_CARDINALITY_METRICS: how long each stage takes is shown
}

// Job is one job that runs. Its methods are called by one goroutine at a time.
type Job struct {
	m      *Metrics
	runner Runner
	stages bool

	began     time.Time
	at        jobStage
	stageAt   time.Time // since when the job is in its stage
	placed    bool      // its machine is known
	exemplars prometheus.Labels
}

// JobStarted counts a job in. End must follow.
func (m *Metrics) JobStarted(r Runner, s JobStart) *Job {
	labels := r.values()
	m.jobsTotal.WithLabelValues(labels...).Inc()
	m.jobModes.WithLabelValues(traditional, s.Executor).Inc()
	m.queue.WithLabelValues(append(labels, s.ProjectRunning)...).Observe(s.Queued.Seconds())
	m.queueSize.WithLabelValues(labels...).Set(float64(s.QueueSize))
	m.queueDepth.WithLabelValues(labels...).Set(float64(s.QueueDepth))
	if s.TooLong {
		m.tooLong.WithLabelValues(labels...).Inc()
	}
	j := &Job{m: m, runner: r, stages: s.StageTimes, began: time.Now()}
	j.enter(jobStage{state: "pending"})
	return j
}

// The stages of the executor that are the agent's own; those of the Docker executor are named by it. They are GitLab's words.
const (
	StageUseMachine     = "docker_machine_use_machine"     // a machine is waited for, and maybe created
	StageReleaseMachine = "docker_machine_release_machine" // it is given back
	StagePrepare        = "docker_prepare"
	StageRun            = "docker_run"
)

// ExecutorStage notes what the executor does for the job now.
func (j *Job) ExecutorStage(name string) {
	next := j.at
	next.executor = name
	j.enter(next)
}

// maxExemplar bounds the names in an exemplar, in bytes: all of it together may have 128 characters (OpenMetrics).
const maxExemplar = 48

// Placed notes the machine that the job runs on and the provider's id of it, "" where there is none. They are shown as exemplars, since
// as labels they would have no bound. wait is how long the job waited for it.
func (j *Job) Placed(machine, instance string, wait time.Duration) {
	j.exemplars = prometheus.Labels{}
	for name, value := range map[string]string{"machine": machine, "instance_id": instance} {
		if value = value[max(0, len(value)-maxExemplar):]; value != "" && utf8.ValidString(value) {
			j.exemplars[name] = value
		}
	}
	if !j.placed { // another one after it broke is no second wait
		j.placed = true
		j.observe(j.m.machineWait.WithLabelValues(j.runner.values()...), wait)
	}
}

// observe adds to a histogram, with the machine as exemplar where there is one.
func (j *Job) observe(o prometheus.Observer, d time.Duration) {
	if with, ok := o.(prometheus.ExemplarObserver); ok && len(j.exemplars) > 0 {
		with.ObserveWithExemplar(d.Seconds(), j.exemplars)
		return
	}
	o.Observe(d.Seconds())
}

// Stage notes which stage the job is in, such as get_sources or step_script.
func (j *Job) Stage(name string) {
	executor := StageRun
	if name == "prepare_executor" {
		executor = StagePrepare
	}
	if name != j.at.stage || j.at.executor != executor {
		j.enter(jobStage{state: "running", stage: name, executor: executor})
	}
}

func (j *Job) enter(next jobStage) {
	now := time.Now()
	if j.stages && next.stage != j.at.stage && j.at.stage != "" {
		j.observe(j.m.jobStages.WithLabelValues(append(j.runner.values(), stageLabel(j.at.stage))...), now.Sub(j.stageAt))
	}
	if next.stage != j.at.stage {
		j.stageAt = now
	}
	j.at = next
	j.m.jobs.set(j, next)
}

// stageLabel bounds what a job's author may name: the steps of a release, say, share one label.
func stageLabel(stage string) string {
	if strings.HasPrefix(stage, "step_") && stage != "step_script" && stage != "step_release" {
		return "step_other"
	}
	return stage
}

// End counts the job out. failure is its failure reason, "" when it succeeded.
func (j *Job) End(took time.Duration, failure string) {
	j.enter(jobStage{}) // the last stage's time
	j.m.jobs.end(j)
	j.observe(j.m.jobDuration.WithLabelValues(append(j.runner.values(), traditional)...), took)
	if failure != "" {
		j.m.jobsFailed.WithLabelValues(j.runner.ShortToken, j.runner.Name, failure, traditional).Inc()
		j.m.feed.failures.WithLabelValues(append([]string{"job_failure"}, j.runner.values()...)...).Inc()
	}
}

// Interpolated counts a job whose inputs were put in; failure is the kind of error, "" when there was none.
func (m *Metrics) Interpolated(failure string) {
	m.inputs.Inc()
	if failure != "" {
		m.inputErrors.WithLabelValues(failure).Inc()
	}
}

// jobStage is where a job is.
type jobStage struct{ state, stage, executor string }

// idleStage is the series that each runner always has, so that a rate over an empty agent is 0 and not nothing.
var idleStage = jobStage{state: "idle", stage: "idle", executor: "idle"}

// jobs is gitlab_runner_jobs: how many jobs of a runner are in which state and stage.
type jobs struct {
	desc *prometheus.Desc

	mu      sync.Mutex // guards what follows
	runners map[Runner]bool
	running map[*Job]jobStage
}

func newJobs() *jobs {
	return &jobs{
		desc: prometheus.NewDesc("gitlab_runner_jobs", "The current number of running builds",
			append(runnerLabels, "state", "stage", "executor_stage"), nil),
		runners: map[Runner]bool{}, running: map[*Job]jobStage{},
	}
}

func (j *jobs) set(one *Job, s jobStage) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.running[one] = s
}

func (j *jobs) end(one *Job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.running, one)
}

func (j *jobs) configured(r Runner, is bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if is {
		j.runners[r] = true
	} else {
		delete(j.runners, r)
	}
}

// Describe is prometheus.Collector's.
func (j *jobs) Describe(ch chan<- *prometheus.Desc) { ch <- j.desc }

// Collect is prometheus.Collector's.
func (j *jobs) Collect(ch chan<- prometheus.Metric) {
	type series struct {
		runner Runner
		at     jobStage
	}
	counts := map[series]int{}
	j.mu.Lock()
	for r := range j.runners {
		counts[series{r, idleStage}] = 0
	}
	for one, at := range j.running {
		at.stage = stageLabel(at.stage)
		counts[series{one.runner, at}]++
	}
	j.mu.Unlock()
	for s, n := range counts {
		ch <- prometheus.MustNewConstMetric(j.desc, prometheus.GaugeValue, float64(n),
			append(s.runner.values(), s.at.state, s.at.stage, s.at.executor)...)
	}
}
