package supervisor

import (
	"context"
	"sync"

	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/pool"
)

// machineEngines gives one job the engine of its machine, and of another one when that breaks. It implements job.Engines.
type machineEngines struct {
	pool  *pool.Pool
	jobID int64

	mu   sync.Mutex // guards held
	held *pool.Lease
}

// Engine blocks until the job has a machine with an engine.
func (e *machineEngines) Engine(ctx context.Context) (job.Engine, error) {
	lease, err := e.lease(ctx)
	if err != nil {
		return job.Engine{}, err
	}
	if err := lease.Use(e.jobID); err != nil {
		e.release(lease, false)
		return job.Engine{}, err
	}
	m, endpoint, err := lease.Machine(ctx)
	if err != nil {
		e.release(lease, false)
		return job.Engine{}, err
	}
	return job.Engine{Endpoint: endpoint, Machine: m.Name}, nil
}

// lease returns the one that is held, or waits for a new one.
func (e *machineEngines) lease(ctx context.Context) (*pool.Lease, error) {
	e.mu.Lock()
	held := e.held
	e.mu.Unlock()
	if held != nil {
		return held, nil
	}
	lease, err := e.pool.AcquireForJob(ctx)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held = lease
	return lease, nil
}

// Broken gives the machine back to be removed; the next Engine gives another one.
func (e *machineEngines) Broken(error) { e.end(true) }

// end gives back what is held.
func (e *machineEngines) end(broken bool) {
	e.mu.Lock()
	held := e.held
	e.mu.Unlock()
	e.release(held, broken)
}

func (e *machineEngines) release(lease *pool.Lease, broken bool) {
	if lease == nil {
		return
	}
	lease.Release(broken)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.held == lease {
		e.held = nil
	}
}
