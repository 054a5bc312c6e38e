// Package metrics is what Prometheus sees, under GitLab Runner's metric names wherever there is one. It is fed with values and asks
// no one.
package metrics

import (
	"cmp"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// executorName is the executor of machines of which nothing else is said.
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
	feed     *feed
	scaling  *scaling
	operator *operator
	machines *machines
	roles    *Roles

	instances *instances

	concurrent   prometheus.Gauge
	limit        *prometheus.GaugeVec
	jobsTotal    *prometheus.CounterVec
	jobsFailed   *prometheus.CounterVec
	jobDuration  *prometheus.HistogramVec
	queue        *prometheus.HistogramVec
	jobModes     *prometheus.CounterVec
	queueSize    *prometheus.GaugeVec
	queueDepth   *prometheus.GaugeVec
	jobStages    *prometheus.HistogramVec
	machineWait  *prometheus.HistogramVec
	tooLong      *prometheus.CounterVec
	inputs       prometheus.Counter
	inputErrors  *prometheus.CounterVec
	jobs         *jobs
	apiStatuses  *prometheus.CounterVec
	apiDuration  *prometheus.HistogramVec
	apiRetries   *prometheus.CounterVec
	apiUnreached *prometheus.CounterVec
	unhealthy    *prometheus.CounterVec
	errors       *prometheus.CounterVec
	actions      *prometheus.CounterVec
	creation     *prometheus.HistogramVec
	creationFail *prometheus.HistogramVec
	removal      *prometheus.HistogramVec
	phases       *prometheus.HistogramVec
	process      *prometheus.GaugeVec
	loaded       prometheus.Counter
	loadErrors   prometheus.Counter
	saved        prometheus.Counter
	saveErrors   prometheus.Counter
}

// Version is what gitlab_runner_version_info says.
type Version struct {
	Name, Version, Revision string
	BuiltAt                 string // RFC 3339; "" when it is not known
}

// New returns metrics that hold their start values.
func New(v Version) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		states:   newStates(),
		modules:  newModules(),
		feed:     newFeed(),
		scaling:  newScaling(),
		operator: newOperator(),
		machines: newMachines(),
		roles:    newRoles(),

		instances: newInstances(),

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
		jobStages: histogram("gitlab_runner_job_stage_duration_seconds", "Histogram of job stage durations; with FF_EXPORT_HIGH_CARDINALITY_METRICS",
			prometheus.ExponentialBuckets(1, 2.5, 10), append(runnerLabels, "stage")...),
		machineWait: histogram("millwright_job_machine_wait_seconds", "How long jobs in hand waited for their machine",
			[]float64{0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600}, runnerLabels...),
		tooLong: counter("gitlab_runner_acceptable_job_queuing_duration_exceeded_total",
			"Counts how often jobs exceed the configured queuing time threshold", runnerLabels...),
		inputs: plainCounter("gitlab_runner_job_inputs_interpolations_total", "Total number of job inputs interpolations"),
		inputErrors: counter("gitlab_runner_job_inputs_interpolation_failures_total", "Total number of failed job inputs interpolations",
			"error_type"),
		jobs: newJobs(),
		apiStatuses: counter("gitlab_runner_api_request_statuses_total", "The total number of api requests, partitioned by runner, endpoint and status",
			"runner", "system_id", "endpoint", "status", "method"),
		apiDuration: histogram("gitlab_runner_api_request_duration_seconds", "Latency histogram of api requests, partitioned by runner and endpoint",
			[]float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}, "runner", "system_id", "endpoint", "status_class", "method"),
		apiRetries: counter("gitlab_runner_api_request_retries_total", "The total number of attempts of api requests, the first ones included",
			"path", "method"),
		apiUnreached: counter("millwright_api_request_unreached_total", "Api requests to which the coordinator gave no answer at all",
			"runner", "system_id", "endpoint"),
		unhealthy: counter("gitlab_runner_worker_health_check_failures_total", "Requests for jobs that count against the runner", runnerLabels...),
		errors:    counter("gitlab_runner_errors_total", "The number of warnings and errors in the log", "level"),
		actions: counter("gitlab_runner_autoscaling_actions_total", "The total number of actions executed by the provider",
			append([]string{"executor", "action"}, targetLabels...)...),
		creation: ofExecutor("gitlab_runner_autoscaling_machine_creation_duration_seconds", "Histogram of machine creation time",
			prometheus.ExponentialBuckets(30, 1.25, 10)),
		creationFail: ofExecutor("gitlab_runner_autoscaling_machine_failed_creation_duration_seconds",
			"Histogram of machine failed creation timings", []float64{1, 3, 5, 10, 30, 50, 60, 80, 90, 120}),
		removal: ofExecutor("gitlab_runner_autoscaling_machine_removal_duration_seconds",
			"Histogram of machine removal timings", []float64{1, 3, 5, 10, 30, 50, 60, 80, 90, 120}),
		phases: histogram("millwright_machine_creation_phase_duration_seconds",
			"How long each phase of a machine's creation took", prometheus.ExponentialBuckets(1, 2, 9), "phase"),
		process: gauge("gitlab_runner_process_state_info", "The state that the process is in", "state"),
		loaded:  plainCounter("gitlab_runner_configuration_loaded_total", "Total number of times the configuration file was loaded by Runner process"),
		loadErrors: plainCounter("gitlab_runner_configuration_loading_error_total",
			"Total number of times the configuration file was not loaded by Runner process due to errors"),
		saved: plainCounter("gitlab_runner_configuration_saved_total", "Total number of times the configuration file was saved by Runner process"),
		saveErrors: plainCounter("gitlab_runner_configuration_saving_error_total",
			"Total number of times the configuration file was not saved by Runner process due to errors"),
	}
	info := gauge("gitlab_runner_version_info", "A metric with a constant '1' value labeled by different build stats fields.",
		"name", "version", "revision", "branch", "go_version", "built_at", "os", "architecture")
	info.WithLabelValues(v.Name, v.Version, v.Revision, "", runtime.Version(), v.BuiltAt, runtime.GOOS, runtime.GOARCH).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info, m.states, m.modules,
		m.concurrent, m.limit, m.jobsTotal, m.jobsFailed, m.jobDuration, m.queue, m.jobModes, m.queueSize, m.queueDepth, m.jobs,
		m.apiStatuses, m.apiDuration, m.apiRetries, m.apiUnreached, m.unhealthy, m.errors, m.actions, m.creation, m.creationFail, m.removal,
		m.phases, m.process, m.loaded, m.loadErrors, m.saved, m.saveErrors, m.jobStages, m.machineWait, m.tooLong, m.inputs, m.inputErrors)
	m.registry.MustRegister(m.feed.all()...)
	m.registry.MustRegister(m.scaling.all()...)
	m.registry.MustRegister(m.operator, m.instances)
	m.registry.MustRegister(m.machines.all()...)
	m.registry.MustRegister(m.roles.all()...)
	for _, action := range []string{"created", "creation-failed", "used", "removed"} {
		m.action("", action, fleet.Target{}, 0)
	}
	for _, level := range []string{"panic", "fatal", "error", "warning"} {
		m.errors.WithLabelValues(level)
	}
	return m
}

// Handler serves the metrics page.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}) // exemplars are shown to who asks for them
}

// ConfigLoaded notes a load of config.toml; err is nil when it took effect.
func (m *Metrics) ConfigLoaded(concurrent int, err error) {
	if err != nil {
		m.loadErrors.Inc()
		return
	}
	m.loaded.Inc()
	m.concurrent.Set(float64(concurrent))
	m.feed.resize(concurrent)
}

// ConfigSaved notes a write of config.toml; err is nil when it succeeded.
func (m *Metrics) ConfigSaved(err error) {
	if err != nil {
		m.saveErrors.Inc()
		return
	}
	m.saved.Inc()
}

// RunnerConfigured sets a runner's own settings.
func (m *Metrics) RunnerConfigured(r Runner, limit int) {
	m.limit.WithLabelValues(r.values()...).Set(float64(limit))
	m.feed.configured(r)
	m.jobs.configured(r, true)
}

// RunnerGone forgets what is shown of a runner that is no more; what was counted stays.
func (m *Metrics) RunnerGone(r Runner) {
	m.jobs.configured(r, false)
	m.instances.gone(r.Name)
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
func (m *Metrics) Fleets(fleets []Fleet) {
	m.states.set(fleets)
	m.scaling.set(fleets)
	m.machines.set(fleets)
	m.instances.set(fleets)
}

// Scaling sets what the operator said and what holds runners back, all at once.
func (m *Metrics) Scaling(s Scaling) { m.operator.set(s) }

func (m *Metrics) action(executor, action string, at fleet.Target, n float64) {
	m.actions.WithLabelValues(append([]string{cmp.Or(executor, executorName), action}, targetValues(at)...)...).Add(n)
}

// Event counts what a pool reports.
func (m *Metrics) Event(e fleet.Event) {
	if e.Decision != nil {
		m.scaling.decided(e)
	}
	if e.Machine == nil {
		return
	}
	ev, executor := e.Machine, cmp.Or(e.Executor, executorName)
	m.machines.event(e.Runner, ev)
	m.instances.event(e.Runner, ev)
	switch {
	case ev.Overdue != "" || ev.Interrupted:
	case ev.Gone:
		m.action(executor, "removed", ev.Target, 1)
		m.removal.WithLabelValues(executor).Observe(ev.Duration.Seconds())
	case ev.Err != "" && ev.State == fleet.Creating:
		m.action(executor, "creation-failed", ev.Target, 1)
		m.creationFail.WithLabelValues(executor).Observe(ev.Duration.Seconds())
	case ev.Phase != "" || ev.Err != "":
	case ev.State == fleet.Used:
		m.action(executor, "used", ev.Target, 1)
	case ev.State == fleet.Idle && ev.From == fleet.Creating:
		m.created(executor, ev)
	}
}

// created counts a creation that succeeded.
func (m *Metrics) created(executor string, ev *fleet.MachineEvent) {
	m.action(executor, "created", ev.Target, 1)
	m.creation.WithLabelValues(executor).Observe(ev.Duration.Seconds())
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

func plainCounter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// ofExecutor is a histogram by executor, with docker+machine from the start on, as GitLab Runner has it.
func ofExecutor(name, help string, buckets []float64) *prometheus.HistogramVec {
	h := histogram(name, help, buckets, "executor")
	h.WithLabelValues(executorName)
	return h
}
