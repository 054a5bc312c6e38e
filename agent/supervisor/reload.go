package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/millwright-ci/millwright/agent/config"
)

// reloadLoop reloads when the configuration file or millwright.toml has changed, until ctx ends.
func (s *Supervisor) reloadLoop(ctx context.Context) {
	changed := make(chan struct{})
	if s.o.ConfigPath != "" {
		go watch(ctx, s.o.ConfigPath, s.loaded, changed)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.operatorChanged:
			s.applyOperator()
		case <-changed:
			_ = s.Reload() // it is logged and counted there
		}
	}
}

// Reload reads the configuration again and puts it into force. When it is bad, the one before stays in force as a whole.
func (s *Supervisor) Reload() error {
	c, err := s.load()
	if err == nil {
		err = s.apply(c)
	}
	if err != nil {
		s.metrics.ConfigLoaded(0, err)
		s.log.Error("Failed to load config; the configuration before stays in force", "error", err)
		return err
	}
	return nil
}

// errEnding means that it is too late for another configuration.
var errEnding = errors.New("the agent is ending")

// apply puts c into force: first it makes all that is new, and only when that succeeded it changes what there is. What did not
// change keeps running.
func (s *Supervisor) apply(c *config.Config) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	if s.ending {
		return errEnding
	}
	return s.applyLocked(c)
}

// applyLocked is apply for whoever holds reload.
func (s *Supervisor) applyLocked(c *config.Config) error {
	p, err := s.plan(c)
	if err != nil {
		for _, w := range p.added {
			w.discard()
		}
		return err
	}
	return s.swap(p)
}

// change is what a new configuration makes of the workers, by the runner's key.
type change struct {
	config  *config.Config
	changed map[string]settings // of workers that stay
	added   map[string]*worker
}

// plan makes all that c needs without touching what runs.
func (s *Supervisor) plan(c *config.Config) (change, error) {
	p := change{config: c, changed: map[string]settings{}, added: map[string]*worker{}}
	var errs []error
	seen := map[string]bool{}
	keys := config.Keys(c.Runners)
	for i, r := range c.Runners {
		if r.Token.Reveal() == "" {
			s.log.Warn("Runner has no token and is skipped", "runner", r.Name)
			continue
		}
		key := keys[i]
		if seen[key] {
			errs = append(errs, fmt.Errorf("runner %s: there are two with this name and token", r.Name))
			continue
		}
		seen[key] = true
		err := s.planRunner(p, key, r)
		if errors.Is(err, errExecutor) {
			s.log.Error("Runner is skipped", "error", err)
			continue
		}
		errs = append(errs, err)
	}
	return p, errors.Join(errs...)
}

func (s *Supervisor) planRunner(p change, key string, r config.Runner) error {
	if old := s.worker(key); old != nil && old.current().Executor == r.Executor {
		next, err := s.settings(p.config, r, old.settings())
		p.changed[key] = next
		return err
	}
	w, err := s.newWorker(p.config, key, r)
	if err == nil {
		p.added[key] = w
	}
	return err
}

// swap changes the running workers to those that are wanted.
func (s *Supervisor) swap(p change) error {
	var errs []error
	for key, old := range s.allWorkers() {
		if next, stays := p.changed[key]; stays {
			errs = append(errs, old.take(next))
		} else {
			s.drop(old)
		}
	}
	for key, w := range p.added {
		if err := w.start(s.inTheWay(key)); err != nil {
			errs = append(errs, err)
			w.discard()
			continue
		}
		s.mu.Lock()
		s.workers[key] = w
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.config = p.config
	s.mu.Unlock()
	s.feed.Configure(s.feedSettings(p.config))
	s.metrics.ConfigLoaded(p.config.Concurrent, nil)
	for _, w := range s.allWorkers() {
		s.metrics.RunnerConfigured(w.labels(), w.current().Limit)
	}
	select {
	case s.applied <- struct{}{}:
	default: // whoever waits for it is told already
	}
	s.log.Info("Configuration loaded", "runners", len(p.changed)+len(p.added))
	return errors.Join(errs...)
}

func (s *Supervisor) worker(key string) *worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.workers[key]
}

func (s *Supervisor) allWorkers() map[string]*worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.workers)
}

func (s *Supervisor) currentConfig() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}
