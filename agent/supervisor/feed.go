package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/feed"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/pool"
)

// adaptiveFlag lets the load decide how many requests of a runner are open at once. Source: GitLab Runner documentation.
const adaptiveFlag = "FF_USE_ADAPTIVE_REQUEST_CONCURRENCY"

// feedSettings are what the feed works by: the workers, in the order of the file.
func (s *Supervisor) feedSettings(c *config.Config) feed.Settings {
	settings := feed.Settings{Concurrent: c.Concurrent, CheckInterval: time.Duration(c.CheckInterval) * time.Second}
	keys := config.Keys(c.Runners)
	for i, r := range c.Runners {
		w := s.worker(keys[i])
		if w == nil {
			continue
		}
		adaptive, set := r.FeatureFlags[adaptiveFlag]
		settings.Runners = append(settings.Runners, feed.Runner{
			Key: w.key, Name: r.Name, Executor: r.Executor, Client: w.api(), Provider: provider{w},
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
		return fmt.Errorf("%w: %w", feed.ErrNoCapacity, err)
	}
	return err
}

// fed takes note of what the feed tells.
func (s *Supervisor) fed(e feed.Event) {
	w := s.worker(e.Runner)
	if w == nil {
		return
	}
	switch e.Kind {
	case feed.Turn:
		s.metrics.Turn(w.labels())
	case feed.Skipped:
		s.metrics.Skipped(w.labels(), string(e.Why), e.Err != nil)
	case feed.Received:
		s.metrics.Requested(w.labels(), "job")
	case feed.Empty:
		s.metrics.Requested(w.labels(), "none")
	case feed.Failed:
		s.metrics.Requested(w.labels(), "failed")
	case feed.Unhealthy:
		s.metrics.Requested(w.labels(), "unhealthy")
	}
}

// countRequests brings the figures of the feed up to date.
func (s *Supervisor) countRequests() {
	now := s.feed.Figures()
	shown := metrics.Feed{Slots: now.Slots}
	for _, r := range now.Runners {
		if w := s.worker(r.Key); w != nil {
			shown.Runners = append(shown.Runners, metrics.FeedRunner{
				Runner: w.labels(), Requests: r.Asking, HardLimit: r.HardLimit, AdaptiveLimit: r.AdaptiveLimit, UsedLimit: r.UsedLimit,
				Disabled: r.Disabled,
			})
		}
	}
	s.metrics.Feed(shown)
}
