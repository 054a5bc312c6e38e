package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
		case <-s.driverChanged:
			s.regroup()
		case <-changed:
			_ = s.Reload() // it is logged and counted there
		}
	}
}

// Reload reads the configuration again and puts it into force. When it is bad, the one before stays in force as a whole. Reloads run
// one after the other, so that what was read last holds.
func (s *Supervisor) Reload() error {
	s.reload.Lock()
	defer s.reload.Unlock()
	if s.ending {
		return errEnding
	}
	c, err := s.load()
	var p change
	if err == nil {
		p, err = s.prepare(c)
	}
	if err != nil {
		s.metrics.ConfigLoaded(0, err)
		s.log.Error("Failed to load config; the configuration before stays in force", "error", err)
		return err
	}
	return s.swap(p)
}

// errEnding means that it is too late for another configuration.
var errEnding = errors.New("the agent is ending")

// apply puts the first configuration into force.
func (s *Supervisor) apply(c *config.Config) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	if s.ending {
		return errEnding
	}
	return s.applyLocked(c)
}

// applyLocked puts c into force for whoever holds reload.
func (s *Supervisor) applyLocked(c *config.Config) error {
	p, err := s.prepare(c)
	if err != nil {
		return err
	}
	return s.swap(p)
}

// prepare makes all that is new in c. Only when that succeeded, swap changes what there is. What did not change keeps running.
func (s *Supervisor) prepare(c *config.Config) (change, error) {
	p, err := s.plan(c)
	if err != nil {
		for _, w := range p.added {
			w.discard()
		}
	}
	return p, err
}

// change is what a new configuration makes of the workers, by the runner's key.
type change struct {
	config  *config.Config
	changed map[string]settings // of workers that stay
	added   map[string]*worker
	waiting map[string]error // of runners whose entries can't be used; their machines are left alone until that is mended
}

// plan makes all that c needs without touching what runs.
func (s *Supervisor) plan(c *config.Config) (change, error) {
	p := change{config: c, changed: map[string]settings{}, added: map[string]*worker{}, waiting: map[string]error{}}
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
		if err == nil {
			continue
		}
		err = fmt.Errorf("%s: runners[%d]: %w", c.Path, i, err)
		if s.mayWait(key) {
			p.waiting[key] = err
		} else {
			errs = append(errs, err)
		}
	}
	if s.starting() && len(p.added) == 0 { // nothing would run
		errs = append(errs, slices.Collect(maps.Values(p.waiting))...)
	}
	return p, errors.Join(errs...)
}

// starting tells whether no configuration is in force yet.
func (s *Supervisor) starting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting == nil
}

// mayWait tells whether an entry that can't be used keeps no other from being taken: at the start, and as long as it has been so since then.
// Later there is a configuration that works, which stays in force.
func (s *Supervisor) mayWait(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting == nil || s.waiting[key] != nil
}

func (s *Supervisor) planRunner(p change, key string, r config.Runner) error {
	if old := s.worker(key); old != nil && old.current().Executor == r.Executor {
		next, err := s.settings(p.config, &r, old.settings())
		if err != nil {
			return errors.New(err.Error()) // a runner that runs is not skipped: the configuration as a whole waits
		}
		p.changed[key] = next
		return nil
	}
	w, err := s.newWorker(p.config, key, r)
	if err == nil {
		p.added[key] = w
	}
	return err
}

// swap changes the running workers to those that are wanted. Its error is one of a runner that could not be started; the configuration
// is in force all the same.
func (s *Supervisor) swap(p change) error {
	var errs []error
	before := s.currentConfig()
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
	given := s.waiting
	s.waiting = p.waiting
	s.mu.Unlock()
	if gone := s.givenUp(given); len(gone) > 0 {
		errs = append(errs, s.retireUnknown(func(key string) bool { return gone[key] }))
	}
	s.feed.Configure(s.feedSettings(p.config))
	s.metrics.ConfigLoaded(p.config.Concurrent, nil)
	for _, err := range p.waiting {
		s.metrics.ConfigLoaded(0, err)
		s.log.Error("Runner is left out, and its machines are left as they are, until its entry is mended; the others run", "error", err)
	}
	for _, w := range s.allWorkers() {
		s.metrics.RunnerConfigured(w.labels(), w.current().Limit)
		s.configureInstances(w)
	}
	select {
	case s.applied <- struct{}{}:
	default: // whoever waits for it is told already
	}
	if s.o.Applied != nil {
		s.o.Applied(p.config)
	}
	err := errors.Join(errs...)
	if err != nil {
		s.log.Error("A runner can't be started; the others go on with the new configuration", "error", err)
	}
	s.tellChanges(before, p)
	return err
}

// tellChanges logs what a configuration changed, by key and without values, and which of the changes wait for a restart.
func (s *Supervisor) tellChanges(before *config.Config, p change) {
	about := []any{"runners", len(p.changed) + len(p.added)}
	if before != p.config {
		keys, _ := changedKeys(before, p.config)
		about = append(about, "changed", strings.Join(keys, " "))
	}
	s.log.Info("Configuration loaded", about...)
	if _, waiting := changedKeys(s.first, p.config); len(waiting) > 0 {
		s.log.Warn("Some changes take effect after a restart only", "keys", strings.Join(waiting, " "))
	}
}

// changedKeys are the keys whose values differ, and those of them that are read at the start alone. A runner that came or went is
// +runners[NAME] or -runners[NAME], without its keys.
func changedKeys(before, after *config.Config) (keys, restart []string) {
	salt := rand.Text()
	for _, c := range config.Diff(before.Settings(salt), after.Settings(salt)) {
		key := c.Path
		if name, _, in := strings.Cut(strings.TrimPrefix(key, "runners["), "]"); in && strings.HasPrefix(key, "runners[") {
			switch was, is := hasRunner(before, name), hasRunner(after, name); {
			case !was && is:
				key = "+runners[" + name + "]"
			case was && !is:
				key = "-runners[" + name + "]"
			}
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
		if c.Restart {
			restart = append(restart, key)
		}
	}
	return keys, restart
}

func hasRunner(c *config.Config, name string) bool {
	return slices.ContainsFunc(c.Runners, func(r config.Runner) bool { return r.Name == name })
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
