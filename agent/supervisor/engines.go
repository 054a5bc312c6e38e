package supervisor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/job"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/agent/provision/instances"
)

// machineEngines gives one job the engine of its machine, and of another one when that breaks. It implements job.Engines and
// job.Notices. Its log lines have GitLab Runner's words.
type machineEngines struct {
	pool   *pool.Pool
	jobID  int64
	since  time.Time        // when the job came
	log    *slog.Logger     // names the job
	waits  func()           // told that the job waits for a machine; may be nil
	placed func(job.Engine) // told which one it got; may be nil

	instances *instances.Provisioner // reaches machines of the newer autoscaler; nil for others
	seats     *seats                 // numbers the jobs on them; nil for others

	mu   sync.Mutex // guards what follows
	held *pool.Lease
	kept *pool.Lease  // that an agent before has taken for the job
	on   *slog.Logger // names the machine that the job is on; nil while it is on none
}

var _ job.Notices = (*machineEngines)(nil)

// Engine blocks until the job has a machine with an engine.
func (e *machineEngines) Engine(ctx context.Context) (job.Engine, error) {
	if e.waits != nil {
		e.waits()
	}
	lease, err := e.lease(ctx)
	if err != nil {
		return job.Engine{}, err
	}
	if lease != e.kept {
		if err := lease.Use(e.jobID); err != nil {
			e.release(lease, false)
			return job.Engine{}, err
		}
	}
	m, endpoint, err := lease.Machine(ctx)
	if err != nil {
		e.release(lease, false)
		return job.Engine{}, err
	}
	got := job.Engine{Endpoint: endpoint, Machine: m.Name, Instance: m.Instance.ID}
	if e.instances != nil {
		if got.Target, got.Dial, err = e.instances.Reach(ctx, m); err != nil {
			return job.Engine{}, err // the lease is kept: the next try asks again
		}
		got.Seat = e.seats.take(m.Name, e.jobID)
	}
	e.tell(m, endpoint)
	if e.placed != nil {
		e.placed(got)
	}
	return got, nil
}

// tell logs which machine the job runs on.
func (e *machineEngines) tell(m fleet.Machine, at fleet.Endpoint) {
	log := e.log.With("name", m.Name, "instance_id", m.Instance.ID)
	about := []any{"usedCount", m.UsedCount, "created", m.CreatedAt.Format(time.RFC3339), "docker", at.Host}
	if m.ReadyAt.After(e.since) {
		log.Info("Created docker-machine", about...)
	} else {
		log.Info("Using existing docker-machine", about...)
	}
	log.Info("Starting docker-machine build...", about...)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.on = log.With(about...)
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

// Interrupted implements job.Notices: it waits for the provider to take back the machine that is held.
func (e *machineEngines) Interrupted(ctx context.Context) error {
	e.mu.Lock()
	held := e.held
	e.mu.Unlock()
	if held == nil {
		return nil
	}
	return held.Interrupted(ctx)
}

// Gone implements job.Notices.
func (e *machineEngines) Gone(ctx context.Context) error {
	e.mu.Lock()
	held := e.held
	e.mu.Unlock()
	if held == nil {
		return nil
	}
	return held.Gone(ctx)
}

// Suspect implements job.Notices.
func (e *machineEngines) Suspect() {
	e.mu.Lock()
	held := e.held
	e.mu.Unlock()
	if held != nil {
		held.Suspect()
	}
}

// Broken gives the machine back to be removed; the next Engine gives another one.
func (e *machineEngines) Broken(error) { e.end(true) }

// ending tells the pool that the machine is free soon.
func (e *machineEngines) ending() {
	e.mu.Lock()
	held := e.held
	e.mu.Unlock()
	if held != nil {
		held.Ending()
	}
}

// end gives back what is held.
func (e *machineEngines) end(broken bool) {
	e.mu.Lock()
	held, on := e.held, e.on
	e.on = nil
	e.mu.Unlock()
	if on != nil {
		on.Info("Finished docker-machine build", "broken", broken)
	}
	e.release(held, broken)
	if on != nil {
		on.Info("Cleaned up docker-machine")
	}
}

func (e *machineEngines) release(lease *pool.Lease, broken bool) {
	if lease == nil {
		return
	}
	if e.seats != nil {
		e.seats.leave(e.jobID) // before another job can have the machine
	}
	lease.Release(broken)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.held == lease {
		e.held = nil
	}
}
