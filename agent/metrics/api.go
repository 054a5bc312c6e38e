package metrics

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// APICall is one call to the coordinator, with its retries.
type APICall struct {
	Endpoint string // request_job, update_job, patch_trace, ...: a fixed set
	Method   string // in lower case
	Path     string // with {id} for numbers
	Status   int    // 0 when the coordinator could not be reached
	Attempts int
	Duration time.Duration
}

// APICall counts a call to the coordinator. GitLab's metrics know only those that got a status; the others are ours. Despite its name
// GitLab's counter of retries counts every attempt.
func (m *Metrics) APICall(r Runner, c APICall) {
	m.apiRetries.WithLabelValues(c.Path, c.Method).Add(float64(c.Attempts))
	if c.Status == 0 {
		m.apiUnreached.WithLabelValues(r.ShortToken, r.SystemID, c.Endpoint).Inc()
		return
	}
	class := strconv.Itoa(c.Status/100) + "xx"
	m.apiStatuses.WithLabelValues(r.ShortToken, r.SystemID, c.Endpoint, strconv.Itoa(c.Status), c.Method).Inc()
	m.apiDuration.WithLabelValues(r.ShortToken, r.SystemID, c.Endpoint, class, c.Method).Observe(c.Duration.Seconds())
}

// CountErrors returns a handler that counts warnings and errors as gitlab_runner_errors_total and passes everything on.
func (m *Metrics) CountErrors(next slog.Handler) slog.Handler {
	return errorCounter{next, m.errors}
}

type errorCounter struct {
	slog.Handler
	errors *prometheus.CounterVec
}

// Enabled takes warnings and errors whatever the log's level is, since they count.
func (c errorCounter) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || c.Handler.Enabled(ctx, l)
}

func (c errorCounter) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case r.Level >= slog.LevelError:
		c.errors.WithLabelValues("error").Inc()
	case r.Level >= slog.LevelWarn:
		c.errors.WithLabelValues("warning").Inc()
	}
	if !c.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return c.Handler.Handle(ctx, r)
}

func (c errorCounter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorCounter{c.Handler.WithAttrs(attrs), c.errors}
}

func (c errorCounter) WithGroup(name string) slog.Handler {
	return errorCounter{c.Handler.WithGroup(name), c.errors}
}
