package metrics

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// APICall counts one call to the coordinator that got a status. endpoint is request_job, update_job or patch_trace, method in lower
// case.
func (m *Metrics) APICall(r Runner, endpoint, method string, status int, took time.Duration) {
	class := strconv.Itoa(status/100) + "xx"
	m.apiStatuses.WithLabelValues(r.ShortToken, r.SystemID, endpoint, strconv.Itoa(status), method).Inc()
	m.apiDuration.WithLabelValues(r.ShortToken, r.SystemID, endpoint, class, method).Observe(took.Seconds())
}

// Unhealthy counts a request for a job that speaks against the runner, such as a refused token.
func (m *Metrics) Unhealthy(r Runner) { m.unhealthy.WithLabelValues(r.values()...).Inc() }

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
