package incumbent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// maxMetrics bounds what is read of the metrics, in bytes.
const maxMetrics = 16 << 20

// jobsOf returns how many jobs the runner has, by gitlab_runner_jobs.
func (i *Incumbent) jobsOf(ctx context.Context, shortToken string) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.o.Metrics == "" {
		return 0, fmt.Errorf("%w: listen_address is not set in its config.toml", ErrBlind)
	}
	if time.Since(i.readAt) > metricsAge {
		jobs, err := i.scrape(ctx)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrBlind, err)
		}
		i.jobs, i.readAt, i.blind = jobs, time.Now(), false
	}
	return i.jobs[shortToken], nil
}

// scrape counts the jobs of each runner.
func (i *Incumbent) scrape(ctx context.Context) (map[string]int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.o.Metrics, nil)
	if err != nil {
		return nil, err
	}
	response, err := i.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", i.o.Metrics, response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxMetrics))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.o.Metrics, err)
	}
	jobs := map[string]int{}
	for _, m := range families["gitlab_runner_jobs"].GetMetric() {
		runner := ""
		for _, l := range m.GetLabel() {
			if l.GetName() == "runner" {
				runner = l.GetValue()
			}
		}
		jobs[runner] += int(m.GetGauge().GetValue() + m.GetUntyped().GetValue()) // one of them; the series of idle runners is 0
	}
	return jobs, nil
}

// tellBlind logs once that the metrics are not to be had.
func (i *Incumbent) tellBlind(err error) {
	i.mu.Lock()
	first := !i.blind
	i.blind = true
	i.mu.Unlock()
	if first {
		i.o.Log.Warn("Machines in use are not known", "error", err)
	}
}
