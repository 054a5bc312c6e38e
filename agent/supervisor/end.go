package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/pool"
)

// errTerminated is why jobs stop when the context that ends has no cause of its own.
var errTerminated = errors.New("terminated")

// end takes no more jobs, brings the running ones to their end (gracefully after a drain, by force otherwise) and leaves or removes
// the machines.
func (s *Supervisor) end(ctx context.Context, draining bool) error {
	s.feed.Drain()
	if draining {
		s.enter("graceful-shutdown")
		s.log.Info("Draining: running jobs go on, no new ones are taken")
		for _, w := range s.allWorkers() {
			w.ebb(s.removesMachines() || w.deletion() != nil)
		}
		if waitFor(ctx, s.feed.Wait) {
			return s.stopPools(ctx)
		}
	}
	s.enter("forceful-shutdown")
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) {
		cause = errTerminated
	}
	s.log.Info("Stopping", "cause", cause)
	s.stopJobs(cause)
	timeout := s.shutdownTimeout()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	var late error
	if !waitFor(limit, s.feed.Wait) {
		late = fmt.Errorf("jobs did not stop within shutdown_timeout (%s); the coordinator learns of their end by their silence", timeout)
		s.log.Error("Jobs did not stop in time", "shutdown_timeout", timeout)
		s.giveUp()
	}
	return errors.Join(late, s.stopPools(context.WithoutCancel(ctx)))
}

// removesMachines tells whether no machine is to outlive the agent.
func (s *Supervisor) removesMachines() bool {
	return s.o.RemoveMachines || s.currentConfig().Machine.ShutdownDrain.Enabled
}

// drainSettings are those of [machine.shutdown_drain]; nil where machines are left alone. Without that section they are removed as ever.
func (s *Supervisor) drainSettings() *pool.Drain {
	set := s.currentConfig().Machine.ShutdownDrain
	switch {
	case set.Enabled:
		return &pool.Drain{
			Gate: make(chan struct{}, atLeast(set.Concurrency, 3)), MaxRetries: atLeast(set.MaxRetries, 3),
			RetryBackoff: time.Duration(atLeast(set.RetryBackoff, config.Duration(5*time.Second))),
		}
	case s.o.RemoveMachines:
		return &pool.Drain{}
	}
	return nil
}

// atLeast is v, or its default where v is 0 or less.
func atLeast[T int | config.Duration](v, standard T) T {
	if v <= 0 {
		return standard
	}
	return v
}

// stopPools stops every pool, side by side. Machines are removed when the options or [machine.shutdown_drain] say so.
func (s *Supervisor) stopPools(ctx context.Context) error {
	common := s.drainSettings()
	return s.stopPoolsBy(ctx, func(w *worker) *pool.Drain {
		if own := w.deletion(); common == nil && own != nil {
			return own
		}
		return common
	})
}

// stopPoolsBy is stopPools with given settings for each worker; with nil its machines are left alone.
func (s *Supervisor) stopPoolsBy(ctx context.Context, drain func(*worker) *pool.Drain) error {
	s.reload.Lock()
	s.ending = true
	s.reload.Unlock()
	limit := s.shutdownTimeout()
	for _, w := range s.allWorkers() {
		if drain(w) != nil {
			limit = max(limit, removalTimeout)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	var group errgroup.Group
	for _, w := range s.allWorkers() {
		group.Go(func() error { return w.stop(ctx, drain(w)) })
	}
	if p := s.caretaker; p != nil {
		group.Go(func() error { return p.Stop(ctx, drain != nil) })
	}
	err := group.Wait()
	s.hurry()
	waitFor(ctx, s.retired.Wait)
	s.giveUp() // the next start goes on
	s.retired.Wait()
	return err
}

// removalTimeout is the least time that a removal of all machines gets: cutting it short would leave machines that cost money.
const removalTimeout = 2 * time.Minute

func (s *Supervisor) shutdownTimeout() time.Duration {
	if t := s.currentConfig().ShutdownTimeout; t > 0 {
		return time.Duration(t) * time.Second
	}
	return 30 * time.Second
}

// waitFor runs wait and tells whether it returned before ctx ended.
func waitFor(ctx context.Context, wait func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}
