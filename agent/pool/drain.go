package pool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Drain says how machines are removed at the end. The zero value removes as ever: many at once, each until it is gone.
type Drain struct {
	Gate         chan struct{} // bounds the removals at once over all pools that share it, by its capacity; nil: the pool's own bound
	MaxRetries   int           // further tries of a machine after the first; 0: no bound
	RetryBackoff time.Duration // before a further try, times its number; 0: the pool's own pauses
}

// Ebb makes the pool grow no more, since no job will be asked for: only for jobs in hand machines are made. With remove the idle machines go
// now, and the others as their jobs end; without, they stay as they are. It cannot be undone; Stop follows.
func (p *Pool) Ebb(remove bool) {
	p.do(func() { p.ebbing, p.ebbAway = true, remove })
}

// ebb is what is left of a decision while the pool ebbs.
func (p *Pool) ebb(d fleet.Decision) fleet.Decision {
	d.IdleTarget, d.IdleTime, d.Remove = 0, never, nil
	if p.ebbAway {
		d.IdleTime = 0
	}
	return d
}

// StopRemoving is Stop with drain, in the way that d says. A machine whose tries are used up stays in the journal for the next start.
func (p *Pool) StopRemoving(ctx context.Context, d Drain) error {
	if !p.started.Load() {
		return nil
	}
	total := 0
	p.do(func() {
		p.drain, total = d, len(p.fleet)
		p.log.Info("Draining machine pool", "machines", total)
	})
	err := p.Stop(ctx, true)
	if ctx.Err() != nil {
		p.log.Warn("Drain operation cancelled or timed out", "error", ctx.Err())
	}
	failed := len(p.Status().Machines)
	p.log.Info("Machine pool drain completed", "success", max(total-failed, 0), "failed", failed, "total", total)
	return err
}

// removeGate is what bounds removals now.
func (p *Pool) removeGate() chan struct{} {
	if p.draining && p.drain.Gate != nil {
		return p.drain.Gate
	}
	return p.removes
}

// drainFailed notes a try to remove m that failed while the pool drains.
func (p *Pool) drainFailed(m *machine, err error) {
	if !p.draining {
		return
	}
	m.drainTries++
	if p.drain.RetryBackoff > 0 {
		m.retryAt = time.Now().Add(p.drain.RetryBackoff * time.Duration(m.drainTries))
	}
	if p.drain.MaxRetries <= 0 || m.drainTries <= p.drain.MaxRetries {
		return
	}
	m.leftOver = true
	p.log.Error("Failed to drain machine after all retries", "name", m.Name, "attempts", m.drainTries, "error", err,
		"consequence", fmt.Sprintf("it stays in the journal; the next start goes on, as does `millwright machine rm %s`", m.Name))
}

// drained tells whether a pool that drains has done what it can.
func (p *Pool) drained() bool {
	return !slices.ContainsFunc(p.fleet, func(m *machine) bool { return !m.leftOver })
}
