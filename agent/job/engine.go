package job

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/wait"
)

// Engine is where a job's containers run, or, with the executor instance, the job itself.
type Engine struct {
	Endpoint fleet.Endpoint // zero means the engine that config.toml or the environment names
	Machine  string         // the machine's name; "" for an engine that is no machine's
	Instance string         // the provider's id of the machine; "" where it has none
	Seat     int            // a number that no other job on the machine has
	// Target is how the machine itself is reached, of executors of the newer autoscaler; else nil.
	Target *connect.Target
	// Dial connects to an engine that is reached through its machine; nil: Endpoint is.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Engines gives one job its engine.
type Engines interface {
	// Engine blocks until an engine is ready: for docker+machine until the leased machine is. Its error, other than the
	// context's, counts as a failed try to prepare. Called again after Broken it gives another engine.
	Engine(ctx context.Context) (Engine, error)
	// Broken reports that the engine given last does not work. The engine is not touched any more afterwards.
	Broken(cause error)
}

// Local is the engine that config.toml names, or the host's own.
type Local struct{}

// Engine implements Engines.
func (Local) Engine(context.Context) (Engine, error) { return Engine{}, nil }

// Broken implements Engines: there is no other engine, the next try meets the same one.
func (Local) Broken(error) {}

// pendingInterval is how often the coordinator hears that a job still waits for its machine; it drops the job after 2 minutes of
// silence. Source: GitLab's two-phase job commit.
const pendingInterval = 30 * time.Second

// accept waits for the engine, with the job pending at the coordinator, and then takes the job. It is not accepted when the
// coordinator has given it up meanwhile. An error of an accepted job is how it fails.
//
// alive outlives ctx for a while: the report must get through even while the agent is told to stop.
func (r *run) accept(ctx, alive context.Context) (accepted bool, err error) {
	waitErr := r.awaitEngine(ctx, true)
	if errors.Is(waitErr, errAborted) || left(ctx) {
		return false, waitErr
	}
	switch err := r.confirm(ctx, alive); {
	case errors.Is(err, errAborted):
		return false, err
	case errors.Is(err, errCanceled):
		return true, err
	}
	if errors.Is(waitErr, errCanceled) {
		return true, waitErr
	}
	if ctx.Err() != nil {
		return true, ended(ctx)
	}
	return true, nil // an engine that could not be had counts as the first try to prepare
}

// The tries to tell the coordinator that the job runs: for as long as GitLab keeps it for this runner.
const (
	confirmLimit      = 2 * time.Minute
	firstConfirmPause = 500 * time.Millisecond
	maxConfirmPause   = 10 * time.Second
)

// confirm tells the coordinator that the job runs, again and again while it does not answer: it would refuse the trace of a job that still
// waits there, and so end the job. Nil means that the job is this runner's, or that the coordinator stays silent.
func (r *run) confirm(ctx, alive context.Context) error {
	began, wait := time.Now(), firstConfirmPause
	for {
		reply, err := r.p.Client.UpdateJob(alive, r.p.Job, coordinator.Update{State: coordinator.JobRunning})
		switch {
		case reply.State == coordinator.ReplyAbort, reply.State == coordinator.ReplyNotFound, errors.Is(err, coordinator.ErrConflict):
			return errAborted // a conflict: it has been given to another runner
		case reply.State == coordinator.ReplyCancel:
			return errCanceled
		case err == nil:
			return nil
		}
		silent := time.Since(began)
		if ctx.Err() != nil || silent+wait > confirmLimit || !coordinator.Passing(err) {
			r.log.Warn("the coordinator did not confirm the job; running it all the same", "error", err, "silent_for", silent.Round(time.Second))
			return nil
		}
		r.log.Info("the coordinator did not confirm the job; asking again", "error", err, "next_try", wait)
		if pause(ctx, wait) != nil && left(ctx) {
			return nil
		}
		wait = min(2*wait, maxConfirmPause)
	}
}

// awaitEngine gets an engine. While it waits, pending tells the coordinator so and learns of a cancel; without pending the
// trace does both. What went wrong is kept for the first try to prepare.
func (r *run) awaitEngine(ctx context.Context, pending bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type answer struct {
		engine Engine
		err    error
	}
	got := make(chan answer, 1)
	go func() { // ends with ctx at the latest
		e, err := r.p.Engines.Engine(ctx)
		got <- answer{e, err}
	}()
	tick := time.NewTicker(pendingInterval)
	defer tick.Stop()
	for {
		select {
		case a := <-got:
			r.engine, r.engineErr = a.engine, a.err
			r.nameMachine()
			if ctx.Err() != nil {
				return ended(ctx)
			}
			return a.err
		case <-tick.C:
			if pending {
				r.keepPending(ctx, cancel)
			}
		}
	}
}

// nameMachine makes the log name the machine that the job runs on.
func (r *run) nameMachine() {
	r.log = r.base
	if r.engine.Machine != "" {
		r.log = r.base.With("machine", r.engine.Machine, "instance_id", r.engine.Instance)
	}
}

func (r *run) keepPending(ctx context.Context, cancel context.CancelCauseFunc) {
	reply, err := r.p.Client.UpdateJob(ctx, r.p.Job, coordinator.Update{State: coordinator.JobPending})
	if err != nil {
		r.log.Debug("the coordinator did not take note that the job waits", "error", err)
	}
	switch {
	case reply.State == coordinator.ReplyAbort, reply.State == coordinator.ReplyNotFound, errors.Is(err, coordinator.ErrConflict):
		cancel(errAborted)
	case reply.State == coordinator.ReplyCancel:
		cancel(errCanceled)
	}
}

// The tries to prepare.
const (
	prepareTries = 3
	preparePause = 3 * time.Second
)

// prepare gets engine, images and services ready, with a fresh executor at each try. What has a reason of its own is not tried
// again.
func (r *run) prepare(ctx context.Context) error {
	defer r.trace.Section(prepareStage, fmt.Sprintf("Preparing the %q executor", r.p.Runner.Executor))()
	if d, ok := r.replayed(prepareStage); ok {
		return r.reprepare(ctx, d)
	}
	r.goLive()
	r.observe(prepareStage, executor.Position{})
	if r.takeCurrent(prepareStage) != nil {
		r.clearPreparation(ctx)
	}
	r.beginStage(prepareStage)
	err := r.prepareAnew(ctx)
	r.record(ctx, done{Name: prepareStage, Ready: &r.ready}, err)
	return err
}

func (r *run) prepareAnew(ctx context.Context) error {
	for try := 1; ; try++ {
		err := r.prepareOnce(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if _, _, classified := classify(err); classified || try == prepareTries {
			return err
		}
		if err := r.cleanup(ctx); err != nil {
			r.log.Warn("clean-up after a failed preparation", "error", err)
		}
		r.trace.Errorln("Preparation failed: " + err.Error())
		r.trace.Println(fmt.Sprintf("Will be retried in %s ...", preparePause))
		if err := r.pause(ctx, preparePause); err != nil {
			return err
		}
		if r.engineErr != nil || isEngineFault(err) {
			if r.engineErr == nil {
				r.p.Engines.Broken(err)
			}
			if err := r.awaitEngine(ctx, false); err != nil && ctx.Err() != nil {
				return err
			}
		}
	}
}

func (r *run) prepareOnce(ctx context.Context) (err error) {
	if r.engineErr != nil {
		return r.engineErr
	}
	if r.engine.Machine != "" {
		name := r.engine.Machine
		if r.engine.Instance != "" {
			name += " (" + r.engine.Instance + ")"
		}
		r.trace.Println("Using machine " + name + " ...")
		r.sayAddresses()
	}
	if r.exec, err = r.newExecutor(nil); err != nil {
		return err
	}
	r.noteHandle() // so that nothing of an unfinished preparation is lost
	r.warnOfServices()
	err = r.onEngine(ctx, func(ctx context.Context) (err error) {
		r.ready, err = r.exec.Prepare(ctx)
		return err
	})
	if err == nil {
		r.noteHandle()
	}
	return err
}

// sayAddresses names the instance's addresses, as log_internal_ip and log_external_ip want.
func (r *run) sayAddresses() {
	a, t := r.p.Runner.Autoscaler, r.engine.Target
	if a == nil || t == nil {
		return
	}
	if a.LogInternalIP && t.Internal != "" {
		r.trace.Println("Instance internal IP: " + t.Internal)
	}
	if a.LogExternalIP && t.External != "" {
		r.trace.Println("Instance external IP: " + t.External)
	}
}

func isEngineFault(err error) bool {
	var kind *executor.Error
	return errors.As(err, &kind) && kind.Kind == executor.Engine
}

// pause is the package's, but for what is done.
func (r *run) pause(ctx context.Context, d time.Duration) error {
	if r.replaying() {
		return nil
	}
	return pause(ctx, d)
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	if wait.For(ctx, d) != nil {
		return ended(ctx)
	}
	return nil
}
