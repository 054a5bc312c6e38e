package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Options are what New needs.
type Options struct {
	Name     string // of the driver, for errors
	Runner   string // whose group it is, for people
	Group    Group
	Machines []fleet.Machine // those of the journal that were made by this driver for this runner: which instance is whose
	Settings                 // as they are at first; see Change

	CallTimeout     time.Duration // of one call to the group; default 50s
	Settle          time.Duration // how long instances of an increase whose answer was lost may take to show up; default 1m
	GrantedLife     time.Duration // how long granted instances may; default 15m
	ParallelConnect int           // questions for an address at once; default 8

	Registry *Registry // of the groups that serve a driver already; nil: nobody keeps one
	Log      *slog.Logger
}

// Settings are what a reload may change.
type Settings struct {
	Max int // max_instances; 0: as many as the group allows

	// Prefer the external address of an instance. One that has only the other is reached by that.
	External bool

	Update        time.Duration // between two lists while nothing changes; default 1m
	Expecting     time.Duration // while something does; default 2s
	DeletionRetry time.Duration // after it a deletion without effect is asked for again; default 1m
}

func (s Settings) complete() Settings {
	s.Update, s.Expecting, s.DeletionRetry = positive(s.Update, time.Minute), positive(s.Expecting, 2*time.Second), positive(s.DeletionRetry, time.Minute)
	return s
}

func positive(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

func (o *Options) complete() {
	o.Settings = o.Settings.complete()
	for _, d := range []struct {
		v     *time.Duration
		value time.Duration
	}{
		{&o.CallTimeout, 50 * time.Second},
		{&o.Settle, time.Minute},
		{&o.GrantedLife, 15 * time.Minute},
	} {
		*d.v = positive(*d.v, d.value)
	}
	if o.ParallelConnect <= 0 {
		o.ParallelConnect = 8
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Name = cmp.Or(o.Name, "group")
}

// Driver makes a driver.Driver of a group, for one runner: Create asks for one more instance, and the machine gets the first of the new
// ones that nobody has. Which machine has which instance is written in the journal's record of the machine and nowhere else: the driver
// learns it from there when it starts, and List tells it to whoever keeps the journal. An instance that no machine has is listed under a
// name of its own.
//
// The group is asked in rounds: deletions, then a list, then addresses, then an increase. All creations and removals since the last
// round share one. A round is made when somebody asks and the last one is old enough; nothing happens by itself.
//
// It is safe for concurrent use.
type Driver struct {
	o   Options
	ctx context.Context // of the rounds
	end context.CancelFunc

	mu    sync.Mutex // guards what follows
	live  Settings
	round *round // under way; nil: none
	last  *round // that ended last
	info  Info
	begun bool // Info has succeeded
	ended bool // Close was called
	doubt bool // somebody thinks an instance gone since the last round began
	books books
	stats Stats
}

var (
	_ driver.Driver    = (*Driver)(nil)
	_ driver.SelfPaced = (*Driver)(nil)
	_ driver.Doubtful  = (*Driver)(nil)
)

// round is one turn of questions to the group.
type round struct {
	began time.Time
	ended time.Time     // when done is closed
	done  chan struct{} // closed at its end
	err   error
}

// New returns a driver that asks its group nothing before it is asked itself.
func New(o Options) *Driver {
	o.complete()
	ctx, end := context.WithCancel(context.Background())
	d := &Driver{o: o, ctx: ctx, end: end, live: o.Settings, books: newBooks(o)}
	for _, m := range o.Machines {
		d.books.recall(m)
	}
	return d
}

// Change puts changed settings into force. A maximum that is more than the group may have counts as what that may have.
func (d *Driver) Change(s Settings) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live = s.complete()
	if !d.begun {
		return // begin looks at it
	}
	if most := d.info.MaxSize; most > 0 && s.Max > most {
		d.o.Log.Warn("max_instances is more than the group may have, which holds", "driver", d.o.Name, "max_instances", s.Max, "group", d.info.ID, "maximum", most)
	}
	d.books.max = bounded(s.Max, d.info.MaxSize)
}

// bounded is the lower of two maxima, of which 0 is none.
func bounded(a, b int) int {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// settings are those in force.
func (d *Driver) settings() Settings {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.live
}

// Doubt implements driver.Doubtful.
func (d *Driver) Doubt(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doubt = true
	d.books.doubt(name)
}

// PacesItself implements driver.SelfPaced.
func (d *Driver) PacesItself() {}

// Start asks the group what it is, so that a group that can't serve is known at once. Without Start the first call does so. The error is
// invalid where max_instances is more than the group may have.
func (d *Driver) Start(ctx context.Context) error { return d.refresh(ctx, 0) }

// Info returns what the group says of itself; it is false before the group has answered.
func (d *Driver) Info() (Info, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info, d.begun
}

// Close ends the driver and what serves its group; the instances stay. A round under way comes to its end as long as ctx allows, and is cut
// off then.
func (d *Driver) Close(ctx context.Context) error {
	d.mu.Lock()
	d.ended = true
	r := d.round
	d.mu.Unlock()
	if r != nil {
		select {
		case <-r.done:
		case <-ctx.Done():
		}
	}
	d.end()
	if d.o.Registry != nil {
		d.o.Registry.leave(d)
	}
	return d.o.Group.Close(ctx)
}

// Create asks for an instance for the machine, with the next round, and returns at once. Called again it returns what there is. The
// error is the group's, while it never served; a later failure shows in List, as an instance that is gone and why.
func (d *Driver) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	if req.Name == "" || IsUnclaimed(req.Name) {
		return abi.Instance{}, d.refuse("create", abi.Invalid, fmt.Sprintf("the machine name %q; take another one", req.Name))
	}
	d.mu.Lock()
	begun := d.begun
	d.mu.Unlock()
	if !begun {
		if err := d.refresh(ctx, d.settings().Expecting); err != nil {
			return abi.Instance{}, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.books.want(req.Name)
	return d.books.instance(req.Name), nil
}

// List returns every machine that has an instance or waits for one, and every instance that no machine has, see Unclaimed. It is as new as the
// update intervals say.
func (d *Driver) List(ctx context.Context, _ abi.ListRequest) (abi.ListResult, error) {
	if err := d.refresh(ctx, d.due()); err != nil {
		return abi.ListResult{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return abi.ListResult{Instances: d.books.list(), Complete: true}, nil
}

// Remove asks for the deletion of the machine's instance. While that is not gone, the error is a *driver.UnderWay, or why the group
// refused. A machine that only waits for an instance waits no more.
func (d *Driver) Remove(ctx context.Context, req abi.RemoveRequest) error {
	d.mu.Lock()
	known, gone := d.books.doom(time.Now(), req.Name, req.ID)
	again := d.live.Expecting
	d.mu.Unlock()
	switch {
	case gone:
		return nil
	case !known: // the next round deletes it, together with others
		return &driver.UnderWay{Name: req.Name, Again: again}
	}
	if err := d.refresh(ctx, again); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, gone := d.books.doom(time.Now(), req.Name, req.ID); gone {
		return nil
	}
	if err := d.books.refusal(req.Name, req.ID); err != nil {
		return d.failed("remove", err)
	}
	return &driver.UnderWay{Name: req.Name, Again: again}
}

// due is how old the last round may be for a list. Callers that ask in the rhythm of the intervals get a round each.
func (d *Driver) due() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.doubt || d.books.expects() || d.last != nil && d.last.err != nil {
		return d.live.Expecting / 2
	}
	return d.live.Update / 2
}

// refresh has a round made, unless the last one ended not longer than fresh ago, and returns its error.
func (d *Driver) refresh(ctx context.Context, fresh time.Duration) error {
	d.mu.Lock()
	if d.round == nil && d.last != nil && time.Since(d.last.ended) < fresh {
		defer d.mu.Unlock()
		return d.last.err
	}
	r := d.round
	if r == nil && d.ended {
		defer d.mu.Unlock()
		return d.refuse("list", abi.Transient, "the group is closed")
	}
	if r == nil {
		r = &round{began: time.Now(), done: make(chan struct{})}
		d.round, d.doubt = r, false
		go d.run(r)
	}
	d.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return d.failed("list", ctx.Err())
	}
}

// run makes a round. It goes on though who asked has gone: an answer that nobody waits for may be instances that nobody counts.
func (d *Driver) run(r *round) {
	err := d.ask(r.began)
	d.mu.Lock()
	defer d.mu.Unlock()
	r.err, r.ended = err, time.Now()
	d.round, d.last = nil, r
	close(r.done)
}

func (d *Driver) refuse(op string, kind abi.ErrorKind, message string) error {
	return &driver.Error{Driver: d.o.Name, Op: op, Info: abi.Error{Kind: kind, Message: message}}
}

// failed gives an error of the group a kind, if it has none.
func (d *Driver) failed(op string, err error) error {
	var e *driver.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return d.refuse(op, abi.Transient, err.Error())
}
