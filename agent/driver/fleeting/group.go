package fleeting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/child"
	"github.com/millwright-ci/millwright/agent/driver/group"
	agentsown "github.com/millwright-ci/millwright/agent/executor/process"
)

// Group is a plug-in's group. It starts the plug-in at the first call and keeps one process; Close ends it.
type Group struct {
	opts Options // what a plug-in is started with is in with
	env  []string
	log  *slog.Logger

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	work sync.WaitGroup

	// fleeting's own loop lists, increases and decreases one after the other, and plug-ins may count on that.
	serial chan struct{}
	aside  chan struct{} // the other calls, some at a time

	mu       sync.Mutex // guards what follows
	with     start
	secrets  []string            // that no log and no error shows: those of each start
	hider    func(string) string // takes them out
	closed   bool
	now      *session                    // serves; nil: none
	leaving  chan struct{}               // closed when the session that is being replaced has ended; nil: none is
	starting chan struct{}               // closed when the start under way has ended; nil: none is
	failures int                         // starts and sessions that failed one after the other
	next     time.Time                   // no start before
	why      error                       // of the last failure
	known    group.Info                  // since the first start; its ID does not change
	reached  map[string]group.Connection // of instances, by id
}

var _ group.Group = (*Group)(nil)

// How many calls beside the serial ones run at a time, and how sessions are judged.
const (
	maxAside = 16
	maxPause = 2 * time.Minute
	goodLife = 5 * time.Minute // a session that lived so long was no failure
)

// New returns a group. It starts nothing yet.
func New(o Options) *Group {
	o.Limits = o.Limits.withDefaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Env == nil {
		o.Env = agentsown.Environment(nil)
	}
	g := &Group{opts: o, env: o.Env[:len(o.Env):len(o.Env)], log: o.Log.With("plugin", o.Plugin), with: startOf(o), secrets: o.secrets(o.Env),
		serial: make(chan struct{}, 1), aside: make(chan struct{}, maxAside), reached: map[string]group.Connection{}}
	g.hider = child.Hider(g.secrets)
	g.ctx, g.stop = context.WithCancel(context.Background())
	return g
}

// hide takes secrets out of a text.
func (g *Group) hide(text string) string {
	g.mu.Lock()
	hide := g.hider
	g.mu.Unlock()
	return hide(text)
}

var errClosed = errors.New("it was told to end")

// spawn runs f beside the caller, unless the group is closed. Close waits for it.
func (g *Group) spawn(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.work.Go(f)
	return true
}

// session returns the plug-in that serves, and starts one where there is none. It waits for the start as long as ctx lives; the start goes on.
func (g *Group) session(ctx context.Context) (*session, error) {
	g.mu.Lock()
	for g.leaving != nil {
		left := g.leaving
		g.mu.Unlock()
		select {
		case <-left:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		g.mu.Lock()
	}
	switch {
	case g.closed:
		g.mu.Unlock()
		return nil, errClosed
	case g.now != nil:
		defer g.mu.Unlock()
		return g.now, nil
	case g.starting == nil && time.Now().Before(g.next):
		defer g.mu.Unlock()
		return nil, fmt.Errorf("%w (next try in %s)", g.why, time.Until(g.next).Round(time.Second))
	case g.starting == nil:
		g.starting = make(chan struct{})
		g.work.Go(g.start)
	}
	started := g.starting
	g.mu.Unlock()
	select {
	case <-started:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now == nil {
		return nil, g.why
	}
	return g.now, nil
}

// start makes a session the one that serves.
func (g *Group) start() {
	ctx, cancel := within(g.ctx, g.opts.Limits.Start, "its start")
	defer cancel()
	g.mu.Lock()
	with := g.with
	g.mu.Unlock()
	s, err := g.open(ctx, with)
	g.mu.Lock()
	if err == nil && g.known.ID != "" && s.info.ID != g.known.ID {
		err = fmt.Errorf("it serves the group %q now, and served %q before; its instances are those of %q", s.info.ID, g.known.ID, g.known.ID)
	}
	defer close(g.starting)
	defer func() { g.starting = nil; g.mu.Unlock() }()
	if err == nil && g.closed {
		err = errClosed
	}
	if err != nil {
		if s != nil {
			g.work.Go(func() { s.end(0) })
		}
		g.failed(err)
		return
	}
	g.now, g.known = s, s.info
	g.work.Go(func() { g.watch(s) })
	g.log.Info("fleeting plug-in started", "pid", s.p.ID(), "group", s.info.ID, "version", s.info.Version, "max_size", s.info.MaxSize)
}

// failed notes that there is no session, and when there may be one again. g.mu is held.
func (g *Group) failed(err error) {
	g.now, g.why = nil, err
	pause := min(g.opts.Limits.Pause<<min(g.failures, 16), maxPause)
	g.failures++
	g.next = time.Now().Add(pause)
	if !g.closed {
		g.log.Warn("fleeting plug-in does not serve; its instances stay known", "error", g.hider(clip(err.Error(), maxText)), "next_start_in", pause)
	}
}

// watch waits for the end of a process.
func (g *Group) watch(s *session) {
	<-s.p.done
	g.drop(s, &lostError{s.p.ended()})
	s.client.Kill() // what go-plugin holds of it
}

// drop takes a session out of service and kills its process, if it is the one that serves.
func (g *Group) drop(s *session, why error) {
	g.mu.Lock()
	if g.now == s {
		if time.Since(s.begun) >= goodLife {
			g.failures = 0
		}
		g.failed(why)
	}
	g.mu.Unlock()
	s.p.kill()
}

// Close says farewell to the plug-in and ends it. ctx bounds how long calls under way and the farewell are waited for.
func (g *Group) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.opts.Limits.End)
	defer cancel()
	g.mu.Lock()
	again := g.closed
	g.closed = true
	s := g.now
	g.mu.Unlock()
	if again {
		g.work.Wait()
		return nil
	}
	var err error
	if s != nil {
		select {
		case g.serial <- struct{}{}: // what was begun is done
		case <-ctx.Done():
		}
		err = g.farewell(ctx, s)
	}
	g.stop()
	g.work.Wait()
	return err
}

// farewell tells a session to end and sees it do so.
func (g *Group) farewell(ctx context.Context, s *session) error {
	err := s.invoke(ctx, g.opts.Limits.End, "Shutdown", empty{}, empty{})
	if unimplemented(err) {
		err = nil
	}
	s.end(time.Second)
	var lost *lostError
	if err == nil || errors.As(err, &lost) {
		return nil
	}
	return g.fail("shutdown", err)
}
