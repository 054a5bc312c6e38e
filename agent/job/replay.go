package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/trace"
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

// openTrace opens the job's trace: that which an agent before has begun, if there is one.
func (r *run) openTrace() (err error) {
	r.limits, r.lost = map[string]*limit{}, r.p.Lost
	r.control.canceled = func() { r.noteEnd(cancelName) }
	if r.p.Keep != "" {
		var state []byte
		if r.trace, state, err = trace.Resume(r.traceOptions()); err == nil {
			r.resumed = true
			if r.progress, err = readProgress(state); err != nil && r.lost == nil {
				r.lost = err
			}
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) && r.lost == nil {
			r.lost = err
		}
	}
	r.progress.Version = progressVersion
	o := r.traceOptions()
	o.Append = r.lost != nil // what the agent before has sent stays
	r.trace, err = trace.New(o)
	return err
}

// take makes the job this agent's: it accepts a new one, and asks whether one of an agent before still stands.
func (r *run) take(ctx, alive context.Context) (accepted bool, err error) {
	if r.lost == nil && !r.progress.Accepted {
		if accepted, err = r.accept(ctx, alive); accepted {
			r.progress.Accepted = true
			r.commit(false)
			r.goLive()
		}
		return accepted, err
	}
	r.log.Info("The job of an agent before is taken up", "stages_done", len(r.progress.Done), "lost", r.lost)
	if r.p.Engines != nil && (r.lost == nil || r.leftBehind()) {
		if err := r.awaitEngine(ctx, false); err != nil && r.lost == nil {
			r.lost = err
		}
		if r.engine.Machine != r.progress.Machine && r.isPrepared() && r.lost == nil {
			r.lost = fmt.Errorf("its machine %s is gone", r.progress.Machine)
		}
	}
	if r.progress.Ending && r.lost == nil {
		return true, nil // the same end is reported once more, which a coordinator that knows it takes well
	}
	reply, err := r.p.Client.UpdateJob(alive, r.p.Job, coordinator.Update{State: coordinator.JobRunning})
	switch {
	case reply.State == coordinator.ReplyAbort, reply.State == coordinator.ReplyNotFound, errors.Is(err, coordinator.ErrConflict):
		r.log.Info("The coordinator has given the job up, or knows its end")
		r.takeExecutor(alive)
		return false, errAborted
	case reply.State == coordinator.ReplyCancel:
		r.canceled = true
	case err != nil:
		r.log.Warn("the coordinator did not confirm the job; going on all the same", "error", err)
	}
	if r.lost != nil {
		r.goLive()
		r.takeExecutor(alive)
		return true, r.lostError()
	}
	return true, nil
}

// leftBehind tells whether a job that can't be taken up has left something on an engine that is there: on the machine that is kept for a
// job that was prepared, or on the host's own engine. No machine is awaited for it.
func (r *run) leftBehind() bool {
	return r.progress.Handle != nil && (r.progress.Machine == "" || r.isPrepared())
}

// lostError is how a job that can't be taken up fails.
func (r *run) lostError() error {
	return &failure{reason: coordinator.RunnerSystemFailure,
		err: fmt.Errorf("the agent was started anew and can't go on with the job: %w", r.lost)}
}

func (r *run) isPrepared() bool {
	return slices.ContainsFunc(r.progress.Done, func(d done) bool { return d.Name == prepareStage && d.Kind == outcomeOK })
}

// takeExecutor takes up the executor of an agent before for the clean-up alone.
func (r *run) takeExecutor(ctx context.Context) {
	if r.progress.Handle == nil || r.p.Engines == nil || r.engine.Machine != r.progress.Machine || r.exec != nil {
		return
	}
	e, err := r.newExecutor(r.progress.Handle)
	if err != nil {
		r.log.Warn("what the agent before left on the engine stays", "error", err)
		return
	}
	r.exec = e
	if l, ok := e.(executor.Lasting); ok {
		if err := l.Resume(ctx); err != nil {
			r.log.Warn("what the agent before left on the engine may stay", "error", err)
		}
	}
}

// clearPreparation removes what a preparation that was cut short has made.
func (r *run) clearPreparation(ctx context.Context) {
	r.trace.Println("The agent was started anew meanwhile; preparing again ...")
	r.takeExecutor(ctx)
	if err := r.cleanup(ctx); err != nil {
		r.log.Warn("clean-up after a preparation that was cut short", "error", err)
	}
}

// reprepare is the preparation that an agent before has finished.
func (r *run) reprepare(ctx context.Context, d done) error {
	if d.Kind != outcomeOK || d.Ready == nil {
		return r.repeat(ctx, d)
	}
	r.ready = *d.Ready
	e, err := r.newExecutor(r.progress.Handle)
	if err != nil {
		return err
	}
	r.exec = e
	l, ok := e.(executor.Lasting)
	if !ok {
		return r.strand(errors.New("what the executor runs ends with the agent"))
	}
	if err := r.resumeOn(ctx, l); err != nil && ctx.Err() == nil {
		r.engineLost = isEngineFault(err)
		return r.strand(err)
	}
	return nil
}

// strand is the failure of a job that can't go on for a reason that its repetition has brought up.
func (r *run) strand(why error) error {
	r.lost, r.stranded = why, true
	return r.lostError()
}

// hesitation is how long an engine may take to answer before the provider is asked whether its machine is there at all.
const hesitation = 2 * time.Second

// resumeOn takes the executor up. An engine that does not answer may be starting anew, and is waited for; but not when the provider says
// that its machine is gone.
func (r *run) resumeOn(ctx context.Context, l executor.Lasting) error {
	n, ok := r.p.Engines.(Notices)
	if !ok {
		return l.Resume(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var told sync.WaitGroup
	told.Go(func() {
		for pause(ctx, hesitation) == nil { // again and again: one list that lacks a machine proves nothing
			n.Suspect()
		}
	})
	told.Go(func() {
		notice := n.Interrupted(ctx)
		if notice != nil && pause(ctx, hesitation) == nil { // a machine that is merely to be taken back answers by then
			cancel(executor.Errorf(executor.Engine, "its machine %s is gone: %w", r.engine.Machine, notice))
		}
	})
	err := l.Resume(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	told.Wait()
	return err
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
	started, err := r.attach(ctx, s)
	if !started && ctx.Err() == nil {
		r.beginStage(s.Name)
		err = r.exec.Run(ctx, s)
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
	return l.Attach(ctx, s, now.From, now.At)
}

// takeCurrent returns the stage that ran when the agent before ended, once.
func (r *run) takeCurrent(name string) *current {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.resumed || r.progress.Now == nil {
		return nil
	}
	r.resumed = false
	if now := *r.progress.Now; now.Name == name {
		return &now
	}
	return nil
}

// beginStage notes that a stage begins.
func (r *run) beginStage(name string) {
	r.mu.Lock()
	r.resumed = false
	r.progress.Now = &current{Name: name}
	r.mu.Unlock()
	r.commit(true)
}

func (r *run) noteCurrent(change func(*current)) {
	r.mu.Lock()
	if r.progress.Now != nil {
		change(r.progress.Now)
	}
	r.mu.Unlock()
	r.commit(false)
}

// record notes that a stage has ended.
func (r *run) record(ctx context.Context, d done, err error) {
	if left(ctx) {
		r.trace.Leave()
		return
	}
	d.outcome(ctx, err, r.limitOf)
	d.Said = r.trace.Said()
	r.mu.Lock()
	r.progress.Done = append(r.progress.Done, d)
	r.next = len(r.progress.Done)
	r.progress.Now = nil
	r.mu.Unlock()
	r.commit(false)
}

// noteHandle notes what the executor has made.
func (r *run) noteHandle() {
	h, ok := r.exec.(executor.Handled)
	if !ok || r.p.Keep == "" {
		return
	}
	r.mu.Lock()
	r.progress.Handle, r.progress.Machine = h.Handle(), r.engine.Machine
	r.mu.Unlock()
	r.commit(false)
}

// noteEnding notes that the job's end is about to be reported: it does not run any more.
func (r *run) noteEnding() {
	r.mu.Lock()
	r.progress.Ending = true
	r.mu.Unlock()
	r.commit(false)
}

// commit writes down how far the job is. fresh says that a stage's output begins.
func (r *run) commit(fresh bool) {
	if r.p.Keep == "" {
		return
	}
	r.mu.Lock()
	data, err := json.Marshal(r.progress)
	if err == nil {
		err = r.trace.Commit(data, fresh)
	}
	r.mu.Unlock()
	if err != nil && !r.gone() {
		r.unlost.Do(func() {
			r.log.Warn("the job ends with this agent, since its state can't be kept", "folder", r.p.Keep, "error", err)
			_ = os.RemoveAll(r.p.Keep)
		})
	}
}

// forget removes the job's folder when the job is over.
func (r *run) forget(res Result) {
	if r.p.Keep == "" || res.Left {
		return
	}
	if err := os.RemoveAll(r.p.Keep); err != nil {
		r.log.Warn("the folder of a job that has ended", "error", err)
	}
}

// leave lets go of a job that another agent goes on with.
func (r *run) leave() Result {
	r.trace.Leave()
	if l, ok := r.exec.(executor.Lasting); ok {
		l.Leave()
	}
	return Result{Left: true}
}

// left tells whether ctx ended because the agent hands its jobs over.
func left(ctx context.Context) bool { return errors.Is(context.Cause(ctx), executor.ErrLeft) }

// limit is a time limit of a part of the job.
type limit struct {
	at    time.Time // when it is over
	cause error
	fire  func()
	timer *time.Timer // nil before goLive
}

func (l *limit) arm() {
	if l.timer == nil {
		l.timer = time.AfterFunc(time.Until(l.at), l.fire)
	}
}

// within is a context with a time limit, which counts from its first beginning though another agent goes on. end must be called.
func (r *run) within(ctx context.Context, name string, d time.Duration, cause error) (limited context.Context, end func()) {
	limited, cancel := context.WithCancelCause(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress.Limits == nil {
		r.progress.Limits = map[string]time.Time{}
	}
	began, known := r.progress.Limits[name]
	if !known {
		began = time.Now()
		r.progress.Limits[name] = began
	}
	l := &limit{at: began.Add(d), cause: cause}
	l.fire = func() {
		r.noteEnd(name)
		cancel(cause)
	}
	r.limits[name] = l
	if r.live {
		l.arm()
	}
	return limited, func() {
		r.mu.Lock()
		delete(r.limits, name)
		if l.timer != nil {
			l.timer.Stop()
		}
		r.mu.Unlock()
		cancel(nil)
	}
}

// limitOf returns the name of the limit that ended with cause; "" when none did.
func (r *run) limitOf(cause error) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, l := range r.limits {
		if l.cause == cause {
			return name
		}
	}
	return ""
}

// fire repeats the end of a limit, or a cancel.
func (r *run) fire(name string) {
	if name == cancelName {
		r.control.cancel()
		return
	}
	r.mu.Lock()
	l := r.limits[name]
	r.mu.Unlock()
	if l != nil {
		l.fire()
	}
}

// noteEnd notes when a limit or a cancel ended something, once.
func (r *run) noteEnd(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := slices.ContainsFunc(r.progress.Ends, func(e ending) bool { return e.Name == name })
	if !known {
		r.progress.Ends = append(r.progress.Ends, ending{After: r.next, Name: name})
	}
}
