package supervisor

import (
	"context"
	"sync"

	"github.com/millwright-ci/millwright/agent/feed"
	"github.com/millwright-ci/millwright/agent/pool"
)

// holds counts what keeps a worker from being finished off: requests for jobs that are under way, and jobs. A request counts
// before it is made, since the coordinator may answer with a job after the runner was taken out of service.
type holds struct {
	mu     sync.Mutex // guards what follows
	n      int
	closed bool
	none   chan struct{} // closed when there are none and none will come
}

func newHolds() *holds { return &holds{none: make(chan struct{})} }

// take is false once the worker is out of service.
func (h *holds) take() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.n++
	return true
}

func (h *holds) give() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n--
	h.settle()
}

// close lets no more be taken, and returns what is closed when the last is given back.
func (h *holds) close() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		h.settle()
	}
	return h.none
}

// settle is called with mu held.
func (h *holds) settle() {
	if h.closed && h.n == 0 {
		close(h.none)
	}
}

// hold is one of a worker's holds, with the machine's lease where the executor is docker+machine. It implements feed.Lease.
type hold struct {
	w     *worker
	lease *pool.Lease // nil for other executors
	once  sync.Once
}

// Release gives hold and lease back; a lease that was released before stays so.
func (h *hold) Release() {
	h.once.Do(func() {
		if h.lease != nil {
			h.lease.Release(false)
		}
		h.w.holds.give()
	})
}

// provider gives the feed the holds of a worker. It implements feed.Provider.
type provider struct{ w *worker }

// Acquire is refused when there is no machine for a job, or the runner is out of service.
func (p provider) Acquire(ctx context.Context) (feed.Lease, error) {
	if !p.w.holds.take() {
		return nil, feed.ErrNoCapacity
	}
	h := &hold{w: p.w}
	if p.w.pool == nil {
		return h, nil
	}
	lease, err := p.w.pool.Acquire(ctx)
	if err != nil {
		h.Release()
		return nil, capacity(err)
	}
	h.lease = lease
	return h, nil
}
