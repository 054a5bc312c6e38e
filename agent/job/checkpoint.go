package job

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/trace"
)

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
	r.progress.Handle, r.progress.Machine, r.progress.Seat = h.Handle(), r.engine.Machine, r.engine.Seat
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
