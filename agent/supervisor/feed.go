package supervisor

import (
	"context"
	"errors"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/feed"
	"github.com/millwright-ci/millwright/agent/pool"
)

// adaptiveFlag lets the load decide how many requests of a runner are open at once. Source: GitLab Runner documentation.
const adaptiveFlag = "FF_USE_ADAPTIVE_REQUEST_CONCURRENCY"

// feedSettings are what the feed works by: the workers, in the order of the file.
func (s *Supervisor) feedSettings(c *config.Config) feed.Settings {
	settings := feed.Settings{Concurrent: c.Concurrent, CheckInterval: time.Duration(c.CheckInterval) * time.Second}
	for _, r := range c.Runners {
		w := s.worker(r.Key())
		if w == nil {
			continue
		}
		adaptive, set := r.FeatureFlags[adaptiveFlag]
		settings.Runners = append(settings.Runners, feed.Runner{
			Key: w.key, Name: r.Name, Client: w.api(), Provider: provider{w},
			Handler:             func(_ context.Context, j *coordinator.Job, l feed.Lease) { s.handle(w, j, l) },
			Limit:               r.Limit,
			RequestConcurrency:  r.RequestConcurrency,
			Adaptive:            adaptive || !set,
			StrictCheckInterval: r.StrictCheckInterval, UnhealthyRequestsLimit: r.UnhealthyRequestsLimit,
			UnhealthyInterval: time.Duration(r.UnhealthyInterval),
		})
	}
	return settings
}

// capacity turns what a pool says of a lease into the feed's words.
func capacity(err error) error {
	if errors.Is(err, pool.ErrNoMachine) || errors.Is(err, pool.ErrStopped) {
		return feed.ErrNoCapacity
	}
	return err
}

// fed takes note of what the feed tells.
func (s *Supervisor) fed(e feed.Event) {
	if w := s.worker(e.Runner); w != nil && e.Kind == feed.Unhealthy {
		s.metrics.Unhealthy(w.labels())
	}
}
