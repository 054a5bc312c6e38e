package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Roles counts how the keys of AWS roles for caches are come by.
type Roles struct {
	inFlight, kept         prometheus.Gauge
	wait, duration         prometheus.Histogram
	hits, misses, failures prometheus.Counter
}

// Roles returns what counts for these metrics.
func (m *Metrics) Roles() *Roles { return m.roles }

// newRoles has GitLab Runner's names and buckets.
func newRoles() *Roles {
	const prefix = "gitlab_runner_cache_s3_assume_role_"
	number := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	times := func(name, help string, buckets ...float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets})
	}
	return &Roles{
		inFlight: number("requests_in_flight", "Requests to AWS STS for the keys of a role that are under way"),
		kept:     number("cached_credentials", "Roles whose keys are kept"),
		wait:     times("wait_seconds", "How long a request for the keys of a role waited for its turn", prometheus.DefBuckets...),
		duration: times("duration_seconds", "How long requests for the keys of a role took", 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
		hits:     plainCounter(prefix+"cache_hits_total", "Keys of roles that were there already"),
		misses:   plainCounter(prefix+"cache_misses_total", "Keys of roles that had to be asked for"),
		failures: plainCounter(prefix+"failures_total", "Requests for the keys of a role that failed"),
	}
}

func (r *Roles) all() []prometheus.Collector {
	return []prometheus.Collector{r.inFlight, r.kept, r.wait, r.duration, r.hits, r.misses, r.failures}
}

// Waited notes how long a request waited for its turn.
func (r *Roles) Waited(d time.Duration) { r.wait.Observe(d.Seconds()) }

// Asking notes n requests more that are under way; -1 is one less.
func (r *Roles) Asking(n int) { r.inFlight.Add(float64(n)) }

// Asked notes the end of a request.
func (r *Roles) Asked(d time.Duration, err error) {
	r.duration.Observe(d.Seconds())
	if err != nil {
		r.failures.Inc()
	}
}

// Cached notes whether keys were there already.
func (r *Roles) Cached(hit bool) {
	if hit {
		r.hits.Inc()
	} else {
		r.misses.Inc()
	}
}

// Kept notes n roles more whose keys are kept.
func (r *Roles) Kept(n int) { r.kept.Add(float64(n)) }
