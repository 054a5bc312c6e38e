package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Feed is what asks for jobs, as it is now.
type Feed struct {
	Slots   int // jobs and requests for jobs that there may be at once
	Runners []FeedRunner
}

// FeedRunner is how one runner asks for jobs.
type FeedRunner struct {
	Runner
	Requests      int     // for jobs, under way
	HardLimit     int     // request_concurrency
	AdaptiveLimit float64 // what the load makes of it
	UsedLimit     int     // the one that holds
	Disabled      bool    // since its requests were refused
}

// feed is gitlab_runner_worker_* and gitlab_runner_request_concurrency*, and what Millwright tells beside them: how requests for jobs
// end and why none is made.
type feed struct {
	slotOperations *prometheus.CounterVec
	feeds          *prometheus.CounterVec
	feedFailures   *prometheus.CounterVec
	failures       *prometheus.CounterVec
	exceeded       *prometheus.CounterVec
	requests       *prometheus.CounterVec
	skipped        *prometheus.CounterVec

	slots, requesting, hard, adaptive, used, disabled *prometheus.Desc

	mu      sync.Mutex // guards what follows
	now     Feed
	workers int // concurrent, when it was set last
}

// requestLabels are those of request_concurrency: GitLab's have no runner_name.
var requestLabels = []string{"runner", "system_id"}

func newFeed() *feed {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &feed{
		slotOperations: counter("gitlab_runner_worker_slot_operations_total", "Total number of worker slots that were started and stopped", "operation"),
		feeds:          counter("gitlab_runner_worker_feeds_total", "Total number of times that the runner had its turn to ask for a job", runnerLabels...),
		feedFailures: counter("gitlab_runner_worker_feed_failures_total", "Total number of turns that came to nothing because every slot was taken",
			runnerLabels...),
		failures: counter("gitlab_runner_worker_processing_failures_total", "Total number of failures when processing the runner",
			append([]string{"failure_type"}, runnerLabels...)...),
		exceeded: counter("gitlab_runner_request_concurrency_exceeded_total", "Number of requests not made because request_concurrency was reached",
			requestLabels...),
		requests: counter("millwright_job_requests_total", "Requests for jobs by how they ended", append(runnerLabels, "outcome")...),
		skipped:  counter("millwright_job_requests_skipped_total", "Turns in which no job was asked for, by reason", append(runnerLabels, "reason")...),

		slots:      desc("gitlab_runner_worker_slots_number", "Current number of worker slots"),
		requesting: desc("gitlab_runner_request_concurrency", "The current number of concurrent requests for a new job", requestLabels...),
		hard:       desc("gitlab_runner_request_concurrency_hard_limit", "Configured request_concurrency", requestLabels...),
		adaptive:   desc("gitlab_runner_request_concurrency_adaptive_limit", "Computed adaptive request concurrency limit", requestLabels...),
		used:       desc("gitlab_runner_request_concurrency_used_limit", "Request concurrency limit in force", requestLabels...),
		disabled:   desc("millwright_runner_disabled", "Whether the runner takes no jobs for a while, since its requests were refused", runnerLabels...),
	}
}

func (f *feed) all() []prometheus.Collector {
	return []prometheus.Collector{f, f.slotOperations, f.feeds, f.feedFailures, f.failures, f.exceeded, f.requests, f.skipped}
}

// The labels' values, so that each series is there from the start.
var (
	// outcomes are how a request for a job ends: a job, none, an answer or a failure that is tried again, one that speaks against the runner.
	outcomes = []string{"job", "none", "failed", "unhealthy"}
	// skips are why no job is asked for.
	skips = []string{"no_slot", "limit", "request_limit", "no_machine", "unhealthy"}
	// processing are GitLab's failure types.
	processing = []string{"other", "no_free_executor", "job_failure"}
)

// configured makes a runner's series appear.
func (f *feed) configured(r Runner) {
	f.feeds.WithLabelValues(r.values()...)
	f.feedFailures.WithLabelValues(r.values()...)
	f.exceeded.WithLabelValues(r.ShortToken, r.SystemID)
	for _, t := range processing {
		f.failures.WithLabelValues(append([]string{t}, r.values()...)...)
	}
	for _, o := range outcomes {
		f.requests.WithLabelValues(append(r.values(), o)...)
	}
	for _, s := range skips {
		f.skipped.WithLabelValues(append(r.values(), s)...)
	}
}

// resize counts the slots that came or went.
func (f *feed) resize(slots int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slotOperations.WithLabelValues("started").Add(float64(max(slots-f.workers, 0)))
	f.slotOperations.WithLabelValues("stopped").Add(float64(max(f.workers-slots, 0)))
	f.workers = slots
}

// Feed sets what is shown of the feed.
func (m *Metrics) Feed(now Feed) {
	m.feed.mu.Lock()
	defer m.feed.mu.Unlock()
	m.feed.now = now
}

// Turn counts a runner's turn to ask for a job.
func (m *Metrics) Turn(r Runner) { m.feed.feeds.WithLabelValues(r.values()...).Inc() }

// Skipped counts a turn in which no job was asked for. reason is one of a fixed set: no_slot, limit, request_limit, no_machine,
// unhealthy, draining. failed is set when a machine was looked for and something went wrong.
func (m *Metrics) Skipped(r Runner, reason string, failed bool) {
	f := m.feed
	f.skipped.WithLabelValues(append(r.values(), reason)...).Inc()
	switch {
	case reason == "no_slot":
		f.feedFailures.WithLabelValues(r.values()...).Inc()
	case reason == "request_limit":
		f.exceeded.WithLabelValues(r.ShortToken, r.SystemID).Inc()
	case reason == "no_machine" && failed:
		f.failures.WithLabelValues(append([]string{"other"}, r.values()...)...).Inc()
	case reason == "no_machine":
		f.failures.WithLabelValues(append([]string{"no_free_executor"}, r.values()...)...).Inc()
	}
}

// Requested counts a request for a job by its outcome: job, none, failed or unhealthy.
func (m *Metrics) Requested(r Runner, outcome string) {
	m.feed.requests.WithLabelValues(append(r.values(), outcome)...).Inc()
	switch outcome {
	case "unhealthy":
		m.unhealthy.WithLabelValues(r.values()...).Inc()
		fallthrough
	case "failed":
		m.feed.failures.WithLabelValues(append([]string{"other"}, r.values()...)...).Inc()
	}
}

// Describe is prometheus.Collector's.
func (f *feed) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{f.slots, f.requesting, f.hard, f.adaptive, f.used, f.disabled} {
		ch <- d
	}
}

// Collect is prometheus.Collector's. Runners that share a token are taken together where GitLab's labels don't tell them apart.
func (f *feed) Collect(ch chan<- prometheus.Metric) {
	f.mu.Lock()
	now := f.now
	f.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(f.slots, float64(now.Slots))
	type limits struct{ requests, hard, adaptive, used float64 }
	sums := map[[2]string]limits{}
	for _, r := range now.Runners {
		gauge(f.disabled, truth(r.Disabled), r.values()...)
		key := [2]string{r.ShortToken, r.SystemID}
		s := sums[key]
		sums[key] = limits{s.requests + float64(r.Requests), s.hard + float64(r.HardLimit), s.adaptive + r.AdaptiveLimit, s.used + float64(r.UsedLimit)}
	}
	for key, s := range sums {
		gauge(f.requesting, s.requests, key[:]...)
		gauge(f.hard, s.hard, key[:]...)
		gauge(f.adaptive, s.adaptive, key[:]...)
		gauge(f.used, s.used, key[:]...)
	}
}
