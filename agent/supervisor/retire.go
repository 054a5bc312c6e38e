package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// leaving is a runner that is no more and whose machines are being removed.
type leaving struct {
	key, name string
	pool      *pool.Pool
	gone      chan struct{} // closed when its pool has ended
}

// drop takes a runner out of service: it gets no more jobs, and its machines are removed when its jobs have ended.
func (s *Supervisor) drop(w *worker) {
	idle := w.holds.close()
	s.mu.Lock()
	delete(s.workers, w.key)
	s.mu.Unlock()
	s.feed.Remove(w.key)
	name := w.current().Name
	if w.pool == nil {
		s.log.Info("Runner removed; its jobs go on", "runner", name)
		s.retired.Go(func() {
			wait(s.retiring, idle)
			_ = w.stop(s.retiring, nil) // it has no machines
		})
		return
	}
	s.log.Info("Runner removed; its machines go when its jobs have ended", "runner", name)
	s.retire(w.key, name, w.pool, idle, func() error { return w.retire(s.retiring) })
}

// retire runs finish, which removes the pool's machines, in the background once idle is closed.
func (s *Supervisor) retire(key, name string, p *pool.Pool, idle <-chan struct{}, finish func() error) {
	l := &leaving{key: key, name: name, pool: p, gone: make(chan struct{})}
	s.mu.Lock()
	s.leaving = append(s.leaving, l)
	s.mu.Unlock()
	s.retired.Go(func() {
		wait(s.retiring, idle)
		if err := finish(); err != nil {
			s.log.Error("Machines are left", "runner", name, "error", err)
		}
		s.mu.Lock()
		s.leaving = slices.DeleteFunc(s.leaving, func(other *leaving) bool { return other == l })
		s.mu.Unlock()
		close(l.gone)
	})
}

// hurry ends the patience with machines that the operator has kept: they stay for the next start.
func (s *Supervisor) hurry() {
	s.mu.Lock()
	leaving := slices.Clone(s.leaving)
	s.mu.Unlock()
	for _, l := range leaving {
		l.pool.Hurry()
	}
}

// inTheWay returns what is closed when earlier pools of the same runner have ended: two would fight over its machines.
func (s *Supervisor) inTheWay(key string) []<-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []<-chan struct{}
	for _, l := range s.leaving {
		if l.key == key {
			gone = append(gone, l.gone)
		}
	}
	return gone
}

// isWaiting tells whether a runner's entry can't be used for now.
func (s *Supervisor) isWaiting(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting[key] != nil
}

// givenUp are the runners among before, which were waiting, that the configuration no longer has.
func (s *Supervisor) givenUp(before map[string]error) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := map[string]bool{}
	for key := range before {
		if w := s.workers[key]; s.waiting[key] == nil && (w == nil || w.pool == nil) {
			gone[key] = true
		}
	}
	return gone
}

// retireUnknown finishes off the machines of runners that the configuration no longer has (renamed, removed, or with another token) or
// runs without machines now, as far as they are asked for by their keys. An agent that only watches leaves them alone.
func (s *Supervisor) retireUnknown(asked func(key string) bool) error {
	if s.o.Incumbent != nil {
		return nil
	}
	machines, _, err := s.journal.Load()
	if err != nil {
		return err
	}
	keys := map[string]bool{}
	for _, m := range machines {
		if w := s.worker(m.Runner); (w == nil || w.pool == nil) && m.Runner != caretakerKey && asked(m.Runner) {
			keys[m.Runner] = true
		}
	}
	var errs []error
	for key := range keys {
		name, _, _ := strings.Cut(key, "/")
		p, err := pool.New(s.poolOptions(key, pool.Settings{Runner: abi.RunnerSettings{Name: name}}))
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.log.Warn("Removing the machines of a runner that the configuration no longer has", "runner", name)
		s.retire(key, name, p, nil, func() error { return p.Retire(s.retiring) })
	}
	return errors.Join(errs...)
}

// wait waits for done to be closed, or ctx to end; nil counts as closed.
func wait(ctx context.Context, done <-chan struct{}) {
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
