package job

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/executor"
)

// probeBeat is how often the engine of a machine is asked, while a job works on it, whether it is there.
const probeBeat = 6 * time.Second

// errSilent is what happened to a job whose machine the provider has no more.
var errSilent = errors.New("its engine does not answer; try the job again")

// onEngine runs f, which works on the job's engine. Where that is a machine's, f ends as soon as the engine does not answer and the
// provider says that it has the machine no more, with that as the cause of f's context and as the error. An engine that is silent for
// another reason is the executor's matter, which waits longer.
func (r *run) onEngine(ctx context.Context, f func(context.Context) error) error {
	n, ok := r.p.Engines.(Notices)
	p, can := r.exec.(executor.Prober)
	if !ok || !can || r.engine.Machine == "" {
		return f(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		if gone := machineGone(ctx, p, n); gone != nil {
			cancel(executor.Errorf(executor.Engine, "%w", &takenBack{machine: r.engine.Machine, notice: gone, err: errSilent}))
		}
	})
	err := f(ctx)
	if cause := context.Cause(ctx); err != nil && isEngineFault(cause) {
		err = cause // rather than what came of it
	}
	cancel(nil)
	watch.Wait()
	return err
}

// machineGone returns what the provider says of a machine that it has no more once its engine does not answer, and nil when ctx ends.
func machineGone(ctx context.Context, p executor.Prober, n Notices) error {
	for wait := probeBeat; pause(ctx, wait) == nil; {
		if atMost(ctx, hesitation, p.Probe) == nil {
			wait = probeBeat
			continue
		}
		n.Suspect() // at each turn: one list that lacks a machine proves nothing
		if gone := atMost(ctx, hesitation, n.Gone); gone != nil {
			return gone
		}
		wait = hesitation / 4 // a notice that is lost with its lease answers at once
	}
	return nil
}

func atMost(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}
