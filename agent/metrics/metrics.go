// Package metrics is what Prometheus sees, under GitLab Runner's metric names wherever there is one. It is fed with values and asks
// no one.
package metrics

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millwright-ci/millwright/agent/fleet"
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
	modules  *modules

	concurrent   prometheus.Gauge
	limit        *prometheus.GaugeVec
	jobsTotal    *prometheus.CounterVec
	jobsFailed   *prometheus.CounterVec
	jobDuration  *prometheus.HistogramVec
	queue        *prometheus.HistogramVec
	jobModes     *prometheus.CounterVec
	queueSize    *prometheus.GaugeVec
	queueDepth   *prometheus.GaugeVec
	jobs         *jobs
	apiStatuses  *prometheus.CounterVec
	apiDuration  *prometheus.HistogramVec
	unhealthy    *prometheus.CounterVec
	errors       *prometheus.CounterVec
	actions      *prometheus.CounterVec
	creation     prometheus.Histogram
	creationFail prometheus.Histogram
	removal      prometheus.Histogram
	phases       *prometheus.HistogramVec
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
		modules:  newModules(),
		concurrent: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gitlab_runner_concurrent", Help: "The current value of concurrent setting"}),
		limit:     gauge("gitlab_runner_limit", "The current value of the runner's limit setting", runnerLabels...),
		jobsTotal: counter("gitlab_runner_jobs_total", "Total number of handled jobs", runnerLabels...),
		jobsFailed: counter("gitlab_runner_failed_jobs_total", "Total number of failed jobs",
			"runner", "runner_name", "failure_reason", "mode"),
		jobDuration: histogram("gitlab_runner_job_duration_seconds", "Histogram of job durations",
			[]float64{30, 60, 300, 600, 1800, 3600, 7200, 10800, 18000, 36000}, append(runnerLabels, "mode")...),
		queue: histogram("gitlab_runner_job_queue_duration_seconds", "A histogram representing job queue duration",
			[]float64{1, 3, 10, 30, 60, 120, 300, 900, 1800, 3600}, append(runnerLabels, "project_jobs_running")...),
		jobModes:   counter("gitlab_runner_job_execution_mode_total", "Total number of jobs by how their scripts are run", "mode", "executor"),
		queueSize:  gauge("gitlab_runner_job_queue_size", "Jobs in the coordinator's queue when the last job was handed out", runnerLabels...),
		queueDepth: gauge("gitlab_runner_job_queue_depth", "Place in the coordinator's queue of the last job", runnerLabels...),
		jobs:       newJobs(),
		apiStatuses: counter("gitlab_runner_api_request_statuses_total", "The total number of api requests, partitioned by runner, endpoint and status",
			"runner", "system_id", "endpoint", "status", "method"),
		apiDuration: histogram("gitlab_runner_api_request_duration_seconds", "Latency histogram of api requests, partitioned by runner and endpoint",
			[]float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}, "runner", "system_id", "endpoint", "status_class", "method"),
		unhealthy: counter("gitlab_runner_worker_health_check_failures_total", "Requests for jobs that count against the runner", runnerLabels...),
		errors:    counter("gitlab_runner_errors_total", "The number of warnings and errors in the log", "level"),
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
		process: gauge("gitlab_runner_process_state_info", "The state that the process is in", "state"),
		loaded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gitlab_runner_configuration_loaded_total", Help: "Total number of times the configuration file was loaded by Runner process"}),
		loadErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gitlab_runner_configuration_loading_error_total", Help: "Total number of times the configuration file was not loaded by Runner process due to errors"}),
	}
	info := gauge("gitlab_runner_version_info", "A metric with a constant '1' value labeled by different build stats fields.",
		"name", "version", "revision", "go_version", "os", "architecture")
	info.WithLabelValues(v.Name, v.Version, v.Revision, runtime.Version(), runtime.GOOS, runtime.GOARCH).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info, m.states, m.modules,
		m.concurrent, m.limit, m.jobsTotal, m.jobsFailed, m.jobDuration, m.queue, m.jobModes, m.queueSize, m.queueDepth, m.jobs,
		m.apiStatuses, m.apiDuration, m.unhealthy, m.errors, m.actions, m.creation, m.creationFail, m.removal,
		m.phases, m.process, m.loaded, m.loadErrors)
	for _, action := range []string{"created", "creation-failed", "used", "removed"} {
		m.actions.WithLabelValues(executorName, action)
	}
	for _, level := range []string{"warning", "error"} {
		m.errors.WithLabelValues(level)
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
	m.jobs.configured(r, true)
}

// RunnerGone forgets what is shown of a runner that is no more; what was counted stays.
func (m *Metrics) RunnerGone(r Runner) {
	m.jobs.configured(r, false)
	for _, g := range []*prometheus.GaugeVec{m.limit, m.queueSize, m.queueDepth} {
		g.DeleteLabelValues(r.values()...)
	}
}

// Process says what the agent is doing: starting, running, graceful-shutdown or forceful-shutdown.
func (m *Metrics) Process(state string) {
	m.process.Reset()
	m.process.WithLabelValues(state).Set(1)
}

// Fleets sets what the pools hold, all at once: a pool that is left out is gone.
func (m *Metrics) Fleets(fleets []Fleet) { m.states.set(fleets) }

// Event counts what a pool reports.
func (m *Metrics) Event(e fleet.Event) {
	if e.Machine == nil {
		return
	}
	ev := e.Machine
	switch {
	case ev.Gone:
		m.actions.WithLabelValues(executorName, "removed").Inc()
		m.removal.Observe(ev.Duration.Seconds())
	case ev.Err != "" && ev.State == fleet.Creating:
		m.actions.WithLabelValues(executorName, "creation-failed").Inc()
		m.creationFail.Observe(ev.Duration.Seconds())
	case ev.Phase != "" || ev.Err != "":
	case ev.State == fleet.Used:
		m.actions.WithLabelValues(executorName, "used").Inc()
	case ev.State == fleet.Idle && ev.From == fleet.Creating:
		m.created(ev)
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
