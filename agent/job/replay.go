package job

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millwright-ci/millwright/agent/executor"
)

// prepareStage is the section in which the executor is prepared.
const prepareStage = "prepare_executor"

// replay is how a run goes on with what an agent before has begun: until goLive it repeats what is done, without running or saying
// anything. A job that is begun here is live from its acceptance on.
type replay struct {
	start   func()      // begins to send the trace
	resumed bool        // an agent before had the job
	gone    func() bool // the agent hands its jobs over
	unlost  sync.Once   // guards the removal of a folder that can't be written

	mu       sync.Mutex // guards what follows
	progress progress
	next     int // of progress.Done
	live     bool
	limits   map[string]*limit
	canceled bool // the coordinator wants a cancel, which waits for goLive
	lost     error
	stranded bool // the job can't go on, which shows while what is done is being repeated
}

// replaying tells whether the next stage is one that is done.
func (r *run) replaying() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next < len(r.progress.Done)
}

// behind tells whether an agent before has come further than this one.
func (r *run) behind() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resumed || r.next < len(r.progress.Done)
}

// upcoming tells whether the next stage of those that are done is that one.
func (r *run) upcoming(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next < len(r.progress.Done) && r.progress.Done[r.next].Name == name
}

// replayed returns the next stage of those that are done, when there is one.
func (r *run) replayed(name string) (done, bool) {
	r.mu.Lock()
	if r.next >= len(r.progress.Done) {
		r.mu.Unlock()
		return done{}, false
	}
	d := r.progress.Done[r.next]
	r.next++
	var fire []string // what came between this stage and the next
	for _, e := range r.progress.Ends {
		if e.After == r.next && r.next < len(r.progress.Done) && r.progress.Done[r.next].Class != e.Name {
			fire = append(fire, e.Name)
		}
	}
	r.mu.Unlock()
	if d.Name != name {
		return r.stray(d.Name, name), true
	}
	r.trace.Skip(d.Said)
	for _, end := range fire {
		r.fire(end)
	}
	return d, true
}

// stray gives the job up, since it would take another course than under the agent before.
func (r *run) stray(before, now string) done {
	err := r.strand(fmt.Errorf("it was in stage %s under the agent before, and would be in %s now", before, now))
	r.control.abort(err)
	return done{Name: now, Kind: outcomeError, Text: err.Error()}
}

// repeat gives a stage the outcome that it had.
func (r *run) repeat(ctx context.Context, d done) error {
	switch d.Kind {
	case outcomeEnded:
		r.fire(d.Class)
	case outcomeInterrupted:
		r.control.abort(&interruptedError{errors.New(d.Text)})
	case outcomeAborted:
		r.control.abort(errAborted)
	default:
		return d.err()
	}
	if ctx.Err() == nil {
		return errors.New(d.Text)
	}
	return context.Cause(ctx)
}

// goLive ends the repetition: from now on stages run, limits count, and the trace is sent.
func (r *run) goLive() {
	r.mu.Lock()
	if r.live {
		r.mu.Unlock()
		return
	}
	r.live = true
	cancel := r.canceled
	for _, e := range r.progress.Ends {
		cancel = cancel || e.Name == cancelName
	}
	for _, l := range r.limits {
		l.arm()
	}
	r.mu.Unlock()
	r.trace.Live()
	r.start()
	if cancel {
		r.control.cancel() // which phase it meets is known by now
	}
}

// perform runs one script to its end: or takes its outcome, or the rest of it, from an agent before.
func (r *run) perform(ctx context.Context, s executor.Stage) error {
	if d, ok := r.replayed(s.Name); ok {
		return r.repeat(ctx, d)
	}
	r.goLive()
	r.observe(s.Name, executor.Position{})
	if r.p.Keep != "" {
		s.Starting = func(from executor.Start) { r.noteCurrent(func(c *current) { c.From = from }) }
	}
	if r.p.Keep != "" || r.p.OnState != nil {
		s.Started = func(at executor.Position) {
			r.noteCurrent(func(c *current) { c.At = at })
			r.observe(s.Name, at)
		}
	}
	var started bool
	err := r.onEngine(ctx, func(ctx context.Context) (err error) {
		started, err = r.attach(ctx, s)
		return err
	})
	if !started && ctx.Err() == nil {
		r.beginStage(s.Name)
		err = r.onEngine(ctx, func(ctx context.Context) error { return r.exec.Run(ctx, s) })
	} else if !started {
		err = context.Cause(ctx)
	}
	if left(ctx) {
		r.trace.Leave() // before anything else is said
		return context.Cause(ctx)
	}
	r.trace.FlushJob()
	r.record(ctx, done{Name: s.Name}, err)
	return err
}

// attach goes on with the stage that ran when the agent before ended; it is false when there is none, or it had not been started.
func (r *run) attach(ctx context.Context, s executor.Stage) (started bool, err error) {
	now := r.takeCurrent(s.Name)
	l, ok := r.exec.(executor.Lasting)
	if now == nil || !ok {
		return false, nil
	}
	err = r.onEngine(ctx, func(ctx context.Context) (err error) {
		started, err = l.Attach(ctx, s, now.From, now.At)
		return err
	})
	return started, err
}
