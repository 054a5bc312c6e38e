package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
)

// Notices is what Engines give too where a provider may take a machine back under a job (spot machines).
type Notices interface {
	// Interrupted blocks until the provider takes back the machine of the engine that was given last, and returns what it says of that;
	// nil when ctx ends before.
	Interrupted(ctx context.Context) error
	// Gone blocks until the provider says that this machine is switched off or there no more, and returns that; nil when ctx ends before.
	Gone(ctx context.Context) error
	// Suspect asks the provider soon, and not only when its turn comes.
	Suspect()
}

// suspicion is how long a job that was killed, or whose engine is silent, waits for the provider's word that it was its doing.
const suspicion = 5 * time.Second

// takenBack is the failure of a job whose machine its provider took back. The reason is the one that GitLab retries a job for.
type takenBack struct {
	machine string
	notice  error
	err     error // what happened to the job
}

func (e *takenBack) Error() string {
	return fmt.Sprintf("the provider took the machine %s back (%v): %v", e.machine, e.notice, e.err)
}

// Unwrap leaves the exit code of a script behind, which is not the script's own.
func (e *takenBack) Unwrap() error { return e.notice }

// heedProvider tells the trace when the provider takes the machine back. What it returns ends that.
func (r *run) heedProvider(ctx context.Context) (end func()) {
	n, ok := r.p.Engines.(Notices)
	if !ok {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if notice := n.Interrupted(ctx); notice != nil {
			r.notice = notice
			r.log.Warn("the provider takes the job's machine back", "machine", r.engine.Machine, "notice", notice)
			r.trace.Noticeln(fmt.Sprintf("The provider takes the machine %s back (%v); this job may not come to its end", r.engine.Machine, notice))
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// blameProvider returns err as the provider's doing where it is: once it took the machine back, whatever ends the job but a cancel, a
// time-out or the agent's own end. A script that was killed, or an engine that is silent, asks first.
func (r *run) blameProvider(ctx context.Context, err error) error {
	n, ok := r.p.Engines.(Notices)
	var known *takenBack
	if !ok || err == nil || r.engine.Machine == "" || errors.As(err, &known) {
		return err
	}
	reason, code, _ := classify(err)
	if reason != coordinator.ScriptFailure && reason != coordinator.RunnerSystemFailure {
		return err
	}
	if r.notice == nil && (killed(err, code) || isEngineFault(err)) {
		n.Suspect()
		ctx, cancel := context.WithTimeout(ctx, suspicion)
		defer cancel()
		r.notice = n.Interrupted(ctx)
	}
	if r.notice == nil {
		return err
	}
	return &takenBack{machine: r.engine.Machine, notice: r.notice, err: err}
}

// killed tells whether a script ended by SIGKILL or SIGTERM, as it does when its machine is switched off.
func killed(err error, code int) bool {
	var exit *executor.ExitError
	return errors.As(err, &exit) && (code == 137 || code == 143)
}
