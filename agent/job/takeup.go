package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
)

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
		if r.engineLost = isEngineFault(err); r.engineLost && r.engine.Machine != "" {
			l.Leave() // the machine goes, with all that is on it
			r.exec = nil
		}
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
