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
			Key: w.key, Name: r.Name, Client: w.api(), Provider: w.provider(),
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

// provider is where the feed gets leases for the worker's jobs.
func (w *worker) provider() feed.Provider {
	if w.pool == nil {
		return feed.Free{}
	}
	return machineProvider{w.pool}
}

// machineProvider gives the feed the leases of a docker+machine runner.
type machineProvider struct{ pool *pool.Pool }

// Acquire implements feed.Provider.
func (p machineProvider) Acquire(ctx context.Context) (feed.Lease, error) {
	lease, err := p.pool.Acquire(ctx)
	if errors.Is(err, pool.ErrNoMachine) || errors.Is(err, pool.ErrStopped) {
		return nil, feed.ErrNoCapacity
	}
	if err != nil {
		return nil, err
	}
	return machineLease{lease}, nil
}

// machineLease is a pool's lease as the feed holds it.
type machineLease struct{ lease *pool.Lease }

// Release implements feed.Lease.
func (l machineLease) Release() { l.lease.Release(false) }
