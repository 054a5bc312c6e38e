package supervisor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/group"
)

// relay is a group whoever serves it, a module or a plug-in: that may become another one while the agent runs. Calls that are under way then end where
// they began.
type relay struct {
	ctx context.Context // until Close
	end context.CancelFunc

	changing sync.Mutex // held while another one is tried

	mu     sync.Mutex // guards what follows
	now    *servant
	closed bool
}

// servant serves a group.
type servant struct {
	group.Group
	by    string         // the module; "": it is the plug-in
	calls sync.WaitGroup // under way; none begins once another one serves
}

// name is what people call it.
func (s *servant) name() string {
	if s.by == "" {
		return "the plug-in"
	}
	return "the module " + s.by
}

var _ group.Group = (*relay)(nil)

func newRelay(s *servant) *relay {
	r := &relay{now: s}
	r.ctx, r.end = context.WithCancel(context.Background())
	return r
}

// serving is who serves the group now.
func (r *relay) serving() *servant {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// begin begins a call; done ends it.
func (r *relay) begin() (s *servant, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.calls.Add(1)
	return r.now, r.now.calls.Done
}

// handOverTime is how long another servant has for its first answer, and the one before for the end of its calls.
const handOverTime = 2 * time.Minute

var errRelayClosed = errors.New("the group is closed")

// change has next serve the group from now on, if it does serve and suits takes what it says of the group, and ends the one before. Else the one before
// goes on, and next is ended.
func (r *relay) change(next *servant, suits func(group.Info) error) (before *servant, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, handOverTime)
	defer cancel()
	info, err := next.Info(ctx)
	if err == nil {
		err = suits(info)
	}
	if err == nil {
		before, err = r.swap(next)
	}
	leaves := before
	if err != nil {
		leaves = next
	}
	waitFor(ctx, leaves.calls.Wait)
	ctx, cancel = context.WithTimeout(context.Background(), groupEnd)
	defer cancel()
	_ = leaves.Close(ctx) // what does not end in time is killed
	return before, err
}

func (r *relay) swap(next *servant) (before *servant, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errRelayClosed
	}
	before, r.now = r.now, next
	return before, nil
}

// Info implements group.Group.
func (r *relay) Info(ctx context.Context) (group.Info, error) {
	s, done := r.begin()
	defer done()
	return s.Info(ctx)
}

// List implements group.Group.
func (r *relay) List(ctx context.Context) ([]group.Instance, error) {
	s, done := r.begin()
	defer done()
	return s.List(ctx)
}

// Increase implements group.Group.
func (r *relay) Increase(ctx context.Context, n int) (int, error) {
	s, done := r.begin()
	defer done()
	return s.Increase(ctx, n)
}

// Decrease implements group.Group.
func (r *relay) Decrease(ctx context.Context, ids []string) ([]string, error) {
	s, done := r.begin()
	defer done()
	return s.Decrease(ctx, ids)
}

// Connect implements group.Group.
func (r *relay) Connect(ctx context.Context, id string) (group.Connection, error) {
	s, done := r.begin()
	defer done()
	return s.Connect(ctx, id)
}

// Heartbeat implements group.Group.
func (r *relay) Heartbeat(ctx context.Context, id string) error {
	s, done := r.begin()
	defer done()
	return s.Heartbeat(ctx, id)
}

// Close implements group.Group. One that is being tried is given up.
func (r *relay) Close(ctx context.Context) error {
	r.end()
	r.mu.Lock()
	r.closed = true
	s := r.now
	r.mu.Unlock()
	return s.Close(ctx)
}

// handOver has a group served by whom the configuration and the folder of modules say now: a module in the place of the plug-in, or the other way. The
// instances and the jobs on them stay. Whoever can't serve takes nobody's place.
func (w *worker) handOver(name string, one *grouped) {
	one.group.changing.Lock()
	defer one.group.changing.Unlock()
	r, before := w.current(), one.group.serving()
	if w.settings().pool.Driver != name || w.s.drivers.groupModule(r.Autoscaler.Plugin) == before.by {
		return // another reload came
	}
	next, err := w.s.whoServes(w, r)
	if err == nil {
		_, err = one.group.change(next, one.Adopt)
	}
	log := w.s.log.With("runner", r.Name, "driver", name, "before", before.name())
	switch {
	case err == nil:
		log.Info("Group is served by another one from now on; its instances stay", "now", next.name())
	case !errors.Is(err, errRelayClosed):
		log.Error("Group can't be served by another one; the one before goes on until the next reload or restart", "error", err)
	}
}
