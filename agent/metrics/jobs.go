package metrics

import (
	"sync"
	"time"

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
}

// Job is one job that runs.
type Job struct {
	m      *Metrics
	runner Runner
}

// JobStarted counts a job in. End must follow.
func (m *Metrics) JobStarted(r Runner, s JobStart) *Job {
	labels := r.values()
	m.jobsTotal.WithLabelValues(labels...).Inc()
	m.jobModes.WithLabelValues(traditional, s.Executor).Inc()
	m.queue.WithLabelValues(append(labels, s.ProjectRunning)...).Observe(s.Queued.Seconds())
	m.queueSize.WithLabelValues(labels...).Set(float64(s.QueueSize))
	m.queueDepth.WithLabelValues(labels...).Set(float64(s.QueueDepth))
	j := &Job{m: m, runner: r}
	m.jobs.set(j, jobStage{state: "pending"})
	return j
}

// Stage notes which stage the job is in, such as get_sources or step_script.
func (j *Job) Stage(name string) { j.m.jobs.set(j, jobStage{state: "running", stage: name}) }

// End counts the job out. failure is its failure reason, "" when it succeeded.
func (j *Job) End(took time.Duration, failure string) {
	j.m.jobs.end(j)
	j.m.jobDuration.WithLabelValues(append(j.runner.values(), traditional)...).Observe(took.Seconds())
	if failure != "" {
		j.m.jobsFailed.WithLabelValues(j.runner.ShortToken, j.runner.Name, failure, traditional).Inc()
	}
}

// jobStage is where a job is.
type jobStage struct{ state, stage string }

// idleStage is the series that each runner always has, so that a rate over an empty agent is 0 and not nothing.
var idleStage = jobStage{state: "idle", stage: "idle"}

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
		counts[series{one.runner, at}]++
	}
	j.mu.Unlock()
	for s, n := range counts {
		executorStage := ""
		if s.at == idleStage {
			executorStage = "idle"
		}
		ch <- prometheus.MustNewConstMetric(j.desc, prometheus.GaugeValue, float64(n),
			append(s.runner.values(), s.at.state, s.at.stage, executorStage)...)
	}
}
