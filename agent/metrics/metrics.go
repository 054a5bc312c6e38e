// Package metrics is what Prometheus sees, under GitLab Runner's metric names wherever there is one. It is fed with values and asks
// no one.
package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const executorName = "docker+machine"

// Runner names a runner the way GitLab's labels do.
type Runner struct {
	ShortToken string
	Name       string
	SystemID   string
}

func (r Runner) values() []string { return []string{r.ShortToken, r.Name, r.SystemID} }

var runnerLabels = []string{"runner", "runner_name", "system_id"}

// Metrics holds every metric of one agent. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	states   *states

	concurrent   prometheus.Gauge
	limit        *prometheus.GaugeVec
	jobsTotal    *prometheus.CounterVec
	jobsFailed   *prometheus.CounterVec
	jobDuration  *prometheus.HistogramVec
	queue        *prometheus.HistogramVec
	jobs         *prometheus.GaugeVec
	actions      *prometheus.CounterVec
	creation     prometheus.Histogram
	creationFail prometheus.Histogram
	removal      prometheus.Histogram
	phases       *prometheus.HistogramVec
	idleTarget   *prometheus.GaugeVec
	process      *prometheus.GaugeVec
	loaded       prometheus.Counter
	loadErrors   prometheus.Counter
}

// Version is what gitlab_runner_version_info says.
type Version struct{ Name, Version, Revision string }

// New returns metrics that hold their start values.
func New(v Version) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		states:   newStates(),
		concurrent: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gitlab_runner_concurrent", Help: "The current value of concurrent setting"}),
		limit:     gauge("gitlab_runner_limit", "The current value of the runner's limit setting", runnerLabels...),
		jobsTotal: counter("gitlab_runner_jobs_total", "Total number of handled jobs", runnerLabels...),
		jobsFailed: counter("gitlab_runner_failed_jobs_total", "Total number of failed jobs",
			"runner", "runner_name", "failure_reason"),
		jobDuration: histogram("gitlab_runner_job_duration_seconds", "Histogram of job durations",
			[]float64{30, 60, 300, 600, 1800, 3600, 7200, 10800, 18000, 36000}, runnerLabels...),
		queue: histogram("gitlab_runner_job_queue_duration_seconds", "A histogram representing job queue duration",
			[]float64{1, 3, 10, 30, 60, 120, 300, 900, 1800, 3600}, runnerLabels...),
		jobs: gauge("gitlab_runner_jobs", "The current number of running builds", append(runnerLabels, "state")...),
		actions: counter("gitlab_runner_autoscaling_actions_total", "The total number of actions executed by the provider",
			"executor", "action"),
		creation: fixedHistogram("gitlab_runner_autoscaling_machine_creation_duration_seconds", "Histogram of machine creation time",
			prometheus.ExponentialBuckets(30, 1.25, 10)),
		creationFail: fixedHistogram("gitlab_runner_autoscaling_machine_failed_creation_duration_seconds",
			"Histogram of machine failed creation timings", []float64{1, 3, 5, 10, 30, 50, 60, 80, 90, 120}),
		removal: fixedHistogram("gitlab_runner_autoscaling_machine_removal_duration_seconds",
			"Histogram of machine removal timings", []float64{1, 3, 5, 10, 30, 50, 60, 80, 90, 120}),
		phases: histogram("millwright_machine_creation_phase_duration_seconds",
			"How long each phase of a machine's creation took", prometheus.ExponentialBuckets(1, 2, 9), "phase"),
		idleTarget: gauge("millwright_idle_target", "Machines that the policy chain wants available", "runner_name"),
		process:    gauge("gitlab_runner_process_state_info", "The state that the process is in", "state"),
		loaded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gitlab_runner_configuration_loaded_total", Help: "Total number of times the configuration file was loaded by Runner process"}),
		loadErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gitlab_runner_configuration_loading_error_total", Help: "Total number of times the configuration file was not loaded by Runner process due to errors"}),
	}
	info := gauge("gitlab_runner_version_info", "A metric with a constant '1' value labeled by different build stats fields.",
		"name", "version", "revision", "go_version", "os", "architecture")
	info.WithLabelValues(v.Name, v.Version, v.Revision, runtime.Version(), runtime.GOOS, runtime.GOARCH).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info, m.states,
		m.concurrent, m.limit, m.jobsTotal, m.jobsFailed, m.jobDuration, m.queue, m.jobs, m.actions, m.creation, m.creationFail, m.removal,
		m.phases, m.idleTarget, m.process, m.loaded, m.loadErrors)
	for _, action := range []string{"created", "creation-failed", "used", "removed"} {
		m.actions.WithLabelValues(executorName, action)
	}
	return m
}

// Handler serves the metrics page.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// ConfigLoaded notes a load of config.toml; err is nil when it took effect.
func (m *Metrics) ConfigLoaded(concurrent int, err error) {
	if err != nil {
		m.loadErrors.Inc()
		return
	}
	m.loaded.Inc()
	m.concurrent.Set(float64(concurrent))
}

// RunnerConfigured sets a runner's own settings.
func (m *Metrics) RunnerConfigured(r Runner, limit int) {
	m.limit.WithLabelValues(r.values()...).Set(float64(limit))
}

// Process says what the agent is doing: starting, running, graceful-shutdown or forceful-shutdown.
func (m *Metrics) Process(state string) {
	m.process.Reset()
	m.process.WithLabelValues(state).Set(1)
}

// JobStarted counts a job in. queued is how long it waited at the coordinator.
func (m *Metrics) JobStarted(r Runner, queued time.Duration) {
	m.jobsTotal.WithLabelValues(r.values()...).Inc()
	m.queue.WithLabelValues(r.values()...).Observe(queued.Seconds())
	m.jobs.WithLabelValues(append(r.values(), "running")...).Inc()
}

// JobEnded counts a job out. failure is its failure reason, "" when it succeeded.
func (m *Metrics) JobEnded(r Runner, took time.Duration, failure string) {
	m.jobs.WithLabelValues(append(r.values(), "running")...).Dec()
	m.jobDuration.WithLabelValues(r.values()...).Observe(took.Seconds())
	if failure != "" {
		m.jobsFailed.WithLabelValues(r.ShortToken, r.Name, failure).Inc()
	}
}

// Fleet sets a runner's machines by state.
func (m *Metrics) Fleet(runner string, c abi.Counts) { m.states.set(runner, c) }

// RunnerGone forgets a runner's machines.
func (m *Metrics) RunnerGone(runner string) { m.states.remove(runner) }

// Event counts what a pool reports.
func (m *Metrics) Event(e fleet.Event) {
	if e.Decision != nil {
		m.idleTarget.WithLabelValues(e.Runner).Set(float64(e.Decision.IdleTarget))
	}
	if e.Machine == nil {
		return
	}
	ev := e.Machine
	seconds := ev.Duration.Seconds()
	if ev.Phase != "" {
		return
	}
	if ev.From == fleet.Creating && ev.State != fleet.Removing {
		m.created(ev)
	}
	switch {
	case ev.Gone:
		m.actions.WithLabelValues(executorName, "removed").Inc()
		m.removal.Observe(seconds)
	case ev.State == fleet.Removing && ev.From == fleet.Creating && ev.Err != "":
		m.actions.WithLabelValues(executorName, "creation-failed").Inc()
		m.creationFail.Observe(seconds)
	case ev.State == fleet.Used:
		m.actions.WithLabelValues(executorName, "used").Inc()
	}
}

// created counts a creation that succeeded.
func (m *Metrics) created(ev *fleet.MachineEvent) {
	m.actions.WithLabelValues(executorName, "created").Inc()
	m.creation.Observe(ev.Duration.Seconds())
	for _, p := range ev.Phases {
		m.phases.WithLabelValues(p.Phase).Observe(p.Duration.Seconds())
	}
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

func fixedHistogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets,
		ConstLabels: prometheus.Labels{"executor": executorName}})
}
