// Package grouptest is a group of instances in memory, for the tests of what works with groups: a small working provider that boots and
// deletes instances in time, and fails or lies on demand. It starts no goroutine, so that it works in virtual time under testing/synctest.
package grouptest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/group"
)

// Config is how the group behaves when nothing is wrong. The zero value is instant and has no maximum.
type Config struct {
	ID         string // "fake/group" by default
	MaxSize    int
	ShowTime   time.Duration // from an increase until lists show the instance
	BootTime   time.Duration // from then until it runs
	DeleteTime time.Duration // how long it is shown as being deleted
	Static     bool          // the ids are given again, the lowest that is free first
}

// The operations, for faults and for counting calls.
const (
	OpInfo      = "info"
	OpList      = "list"
	OpIncrease  = "increase"
	OpDecrease  = "decrease"
	OpConnect   = "connect"
	OpHeartbeat = "heartbeat"
)

// Fault is something that goes wrong. Of several that fit a call, the one that was added first does.
type Fault struct {
	Op    string
	Times int // calls that it hits; 0 is one, less than 0 is all until Heal

	Delay  time.Duration // first, the call takes this long; it ends early with its context
	Err    error         // the call is refused and nothing happens
	Lost   bool          // it happens, but the answer is lost
	Grant  int           // of increases: so many are granted, at least 1
	Refuse bool          // of increases: none is granted, without an error
	Hide   []string      // of lists: they lack these instances
	Ignore bool          // of decreases: they are taken on and nothing happens
	Skip   []string      // of decreases: these are not taken on
	Lie    int           // of increases: so many more are granted than asked for
}

// ErrLost is what the caller of a call with a lost answer sees.
var ErrLost = errors.New("the connection was closed before the answer came")

// Group is a group.Group. It is safe for concurrent use.
type Group struct {
	config Config

	mu        sync.Mutex // guards what follows
	instances []*Instance
	faults    []*Fault
	calls     map[string]int
	made      int
	most      int
	closed    bool
}

var _ group.Group = (*Group)(nil)

// Instance is one of the group.
type Instance struct {
	ID        string
	Created   time.Time
	DeletedAt time.Time // when its deletion was asked for; zero: never
	State     group.State
	forced    group.State
}

// New returns an empty group.
func New(c Config) *Group {
	if c.ID == "" {
		c.ID = "fake/group"
	}
	return &Group{config: c, calls: map[string]int{}}
}

// Info implements group.Group.
func (g *Group) Info(ctx context.Context) (group.Info, error) {
	if _, err := g.enter(ctx, OpInfo); err != nil {
		return group.Info{}, err
	}
	return group.Info{ID: g.config.ID, MaxSize: g.config.MaxSize, Version: "fake"}, nil
}

// List implements group.Group.
func (g *Group) List(ctx context.Context) ([]group.Instance, error) {
	f, err := g.enter(ctx, OpList)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep()
	var out []group.Instance
	for _, i := range g.instances {
		if time.Since(i.Created) >= g.config.ShowTime && !slices.Contains(f.Hide, i.ID) {
			out = append(out, group.Instance{ID: i.ID, State: g.state(i)})
		}
	}
	if f.Lost {
		return nil, ErrLost
	}
	return out, nil
}

// Increase implements group.Group.
func (g *Group) Increase(ctx context.Context, n int) (int, error) {
	f, err := g.enter(ctx, OpIncrease)
	if err != nil {
		return 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep()
	if n < 1 {
		return 0, fmt.Errorf("increase by %d; 1 or more is expected", n)
	}
	if f.Refuse {
		return 0, nil
	}
	if f.Grant > 0 {
		n = min(n, f.Grant)
	}
	if g.config.MaxSize > 0 {
		n = min(n, g.config.MaxSize-len(g.instances))
	}
	for range n {
		g.made++
		g.instances = append(g.instances, &Instance{ID: g.newID(), Created: time.Now()})
	}
	g.most = max(g.most, len(g.instances))
	if f.Lost {
		return 0, ErrLost
	}
	return n + f.Lie, nil
}

func (g *Group) newID() string {
	if !g.config.Static {
		return fmt.Sprintf("i-%06d", g.made)
	}
	for n := 1; ; n++ {
		id := fmt.Sprintf("host-%d", n)
		if !slices.ContainsFunc(g.instances, func(i *Instance) bool { return i.ID == id }) {
			return id
		}
	}
}

// Decrease implements group.Group.
func (g *Group) Decrease(ctx context.Context, ids []string) ([]string, error) {
	f, err := g.enter(ctx, OpDecrease)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var taken []string
	for _, id := range ids {
		if slices.Contains(f.Skip, id) {
			continue
		}
		taken = append(taken, id)
		for _, i := range g.instances {
			if i.ID == id && i.DeletedAt.IsZero() && !f.Ignore {
				i.DeletedAt = time.Now()
			}
		}
	}
	g.sweep()
	if f.Lost {
		return nil, ErrLost
	}
	return taken, nil
}

// Connect implements group.Group.
func (g *Group) Connect(ctx context.Context, id string) (group.Connection, error) {
	if _, err := g.enter(ctx, OpConnect); err != nil {
		return group.Connection{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, i := range g.instances {
		if i.ID == id {
			return group.Connection{InternalAddr: "192.0.2.1", ExternalAddr: "198.51.100.1"}, nil // documentation addresses (RFC 5737)
		}
	}
	return group.Connection{}, fmt.Errorf("there is no instance %s", id)
}

// Heartbeat implements group.Group.
func (g *Group) Heartbeat(ctx context.Context, _ string) error {
	_, err := g.enter(ctx, OpHeartbeat)
	return err
}

// Close implements group.Group.
func (g *Group) Close(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return nil
}

// state is i's as the clock says. The caller holds mu.
func (g *Group) state(i *Instance) group.State {
	switch {
	case i.forced != "":
		return i.forced
	case !i.DeletedAt.IsZero():
		return group.Deleting
	case time.Since(i.Created) < g.config.ShowTime+g.config.BootTime:
		return group.Creating
	}
	return group.Running
}

// sweep drops what has been deleted. The caller holds mu.
func (g *Group) sweep() {
	g.instances = slices.DeleteFunc(g.instances, func(i *Instance) bool {
		return !i.DeletedAt.IsZero() && time.Since(i.DeletedAt) >= g.config.DeleteTime
	})
}

// Instances returns what there is now.
func (g *Group) Instances() []Instance {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep()
	var out []Instance
	for _, i := range g.instances {
		shown := *i
		shown.State = g.state(i)
		out = append(out, shown)
	}
	return out
}

// Made returns how many instances were ever made, and Most how many there were at once.
func (g *Group) Made() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.made
}

// Most returns how many instances there were at once at most.
func (g *Group) Most() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most
}

// Calls returns how many calls of an operation there were, failed ones included.
func (g *Group) Calls(op string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls[op]
}

// Add makes an instance that nobody asked for, and returns its id.
func (g *Group) Add() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.made++
	id := g.newID()
	g.instances = append(g.instances, &Instance{ID: id, Created: time.Now()})
	g.most = max(g.most, len(g.instances))
	return id
}

// Kill makes an instance vanish, as if its host had burned down.
func (g *Group) Kill(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.instances = slices.DeleteFunc(g.instances, func(i *Instance) bool { return i.ID == id })
}

// Reclaim makes the provider delete an instance by itself.
func (g *Group) Reclaim(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, i := range g.instances {
		if i.ID == id {
			i.DeletedAt = time.Now()
		}
	}
}

// Show makes lists show an instance in a state; "" ends that.
func (g *Group) Show(id string, s group.State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, i := range g.instances {
		if i.ID == id {
			i.forced = s
		}
	}
}

// Inject adds a fault.
func (g *Group) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, &f)
}

// Heal takes all faults away.
func (g *Group) Heal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = nil
}

// enter counts the call and returns what goes wrong with it.
func (g *Group) enter(ctx context.Context, op string) (Fault, error) {
	f := g.next(op)
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return f, err
	}
	return f, f.Err
}

func (g *Group) next(op string) Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls[op]++
	for _, f := range g.faults {
		if f.Op != op || f.Times == 0 {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return *f
	}
	return Fault{}
}
