package supervisor

import (
	"context"
	"errors"
	"fmt"

	"github.com/millwright-ci/millwright/agent/config"
)

// reloadLoop reloads when the configuration file has changed, until ctx ends.
func (s *Supervisor) reloadLoop(ctx context.Context) {
	if s.o.ConfigPath == "" {
		return
	}
	changed := make(chan struct{})
	go watch(ctx, s.o.ConfigPath, changed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			_ = s.Reload() // it is logged and counted there
		}
	}
}

// Reload reads the configuration again and puts it into force. When it is bad, the one before stays in force as a whole.
func (s *Supervisor) Reload() error {
	c, err := s.o.Load()
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

// apply puts c into force: first it makes all that is new, and only when that succeeded it changes what there is. What did not
// change keeps running.
func (s *Supervisor) apply(c *config.Config) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	added := map[string]*worker{}
	var errs []error
	wanted := map[string]config.Runner{}
	for _, r := range c.Runners {
		if r.Token.Reveal() == "" {
			s.log.Warn("Runner has no token and is skipped", "runner", r.Name)
			continue
		}
		key := r.Key()
		if _, twice := wanted[key]; twice {
			errs = append(errs, fmt.Errorf("runner %s: there are two with this name and token", r.Name))
			continue
		}
		wanted[key] = r
		if old := s.worker(key); old != nil && old.current().Executor == r.Executor {
			errs = append(errs, s.check(c, r)) // it takes the changes by being reconfigured
			continue
		}
		w, err := s.newWorker(c, r)
		if errors.Is(err, errExecutor) {
			s.log.Error("Runner is skipped", "error", err)
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		added[key] = w
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.swap(c, wanted, added)
}

// check tells whether a running worker could take r.
func (s *Supervisor) check(c *config.Config, r config.Runner) error {
	if r.Executor != executorMachine {
		return nil
	}
	_, err := s.poolSettings(c, r)
	return err
}

// swap changes the running workers to those that are wanted.
func (s *Supervisor) swap(c *config.Config, wanted map[string]config.Runner, added map[string]*worker) error {
	var errs []error
	for key, old := range s.allWorkers() {
		if r, keep := wanted[key]; keep && added[key] == nil {
			errs = append(errs, old.reconfigure(c, r))
		} else {
			s.drop(key, old)
		}
	}
	for key, w := range added {
		if err := w.start(); err != nil {
			errs = append(errs, err)
			continue
		}
		s.mu.Lock()
		s.workers[key] = w
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.config = c
	s.mu.Unlock()
	s.feed.Configure(s.feedSettings(c))
	s.metrics.ConfigLoaded(c.Concurrent, nil)
	for _, w := range s.allWorkers() {
		s.metrics.RunnerConfigured(w.labels(), w.current().Limit)
	}
	s.log.Info("Configuration loaded", "runners", len(wanted))
	return errors.Join(errs...)
}

// drop takes a runner out of service: it gets no more jobs, and its machines are removed when its jobs have ended.
func (s *Supervisor) drop(key string, w *worker) {
	s.mu.Lock()
	delete(s.workers, key)
	s.mu.Unlock()
	s.feed.Remove(key)
	s.log.Info("Runner removed; its machines go when its jobs have ended", "runner", w.current().Name)
	s.retired.Add(1)
	go func() {
		defer s.retired.Done()
		w.jobs.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), retireTimeout)
		defer cancel()
		if err := w.stop(ctx, true); err != nil {
			s.log.Error("Machines are left", "runner", w.current().Name, "error", err)
		}
	}()
}

func (s *Supervisor) worker(key string) *worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.workers[key]
}

func (s *Supervisor) allWorkers() map[string]*worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]*worker, len(s.workers))
	for key, w := range s.workers {
		all[key] = w
	}
	return all
}

func (s *Supervisor) currentConfig() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}
