package feed

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// asked is how a request for a job went.
type asked struct {
	r       *runner
	by      Runner // the settings that it was made by
	job     *coordinator.Job
	lease   Lease
	err     error
	noLease bool // there was no machine, so nothing was asked
	retried bool // the coordinator was overloaded, even if it answered in the end
	polled  bool // the coordinator held the request open
	took    time.Duration
}

// ended is a job whose handler has returned.
type ended struct {
	r    *runner
	job  *coordinator.Job
	took time.Duration
}

// ask takes a lease and asks for a job, and reports to the loop.
func (l *loop) ask(ctx context.Context, r *runner, by Runner) {
	a := asked{r: r, by: by}
	defer func() { l.asked <- a }()
	a.lease, a.err = by.Provider.Acquire(ctx)
	if a.err != nil {
		a.noLease = true
		return
	}
	if a.err = ctx.Err(); a.err == nil {
		var retried, polled atomic.Bool
		began := time.Now()
		lasting, cancel := lingering(ctx)
		defer cancel()
		told := coordinator.OnPolled(coordinator.OnRetriable(lasting, func() { retried.Store(true) }), func() { polled.Store(true) })
		a.job, a.err = by.Client.RequestJob(told)
		a.retried, a.polled, a.took = retried.Load(), polled.Load(), time.Since(began)
	}
	if a.job == nil {
		a.lease.Release()
	}
}

// linger is how old a request gets at least before it is given up. While a coordinator looks for a job nothing tells it that nobody waits any
// more, and it would give one out that is lost then. One that holds a request open has found none.
const linger = 2 * time.Second

// lingering returns a context for a request that begins now: it ends with ctx, but not before the request is old enough.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	began := time.Now()
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() {
		time.AfterFunc(linger-time.Since(began), func() { cancel(context.Cause(ctx)) })
	})
	return lasting, func() {
		unwatch()
		cancel(context.Canceled)
	}
}

// answered takes a request's outcome. A job that came is run whatever else has happened since: the coordinator has given it out.
func (l *loop) answered(a asked) {
	r := a.r
	r.asking--
	l.asking--
	switch {
	case a.job != nil:
		l.start(a)
	case a.noLease:
		l.noLease(a)
	case errors.Is(a.err, context.Canceled) && r.ctx.Err() != nil:
		// Drained or removed.
	case a.err == nil:
		r.adapt(emptyFactor, a.retried)
		l.wellAgain(r)
		l.event(Event{Kind: Empty, Runner: r.settings.Key, Duration: a.took})
		if r.again(a) {
			r.blocked = true // fill follows
		}
	default:
		r.adapt(1, a.retried)
		l.refused(r, a)
	}
	l.fill()
}

// start hands a job to its handler. The runner is to ask for another one at once, after those that wait for a slot already.
func (l *loop) start(a asked) {
	r := a.r
	r.running++
	l.running++
	r.adapt(jobFactor, a.retried)
	l.wellAgain(r)
	l.event(Event{Kind: Received, Runner: r.settings.Key, Job: a.job, Duration: a.took})
	began := time.Now()
	go func() {
		a.by.Handler(l.jobs, a.job, a.lease)
		l.ended <- ended{r: r, job: a.job, took: time.Since(began)}
	}()
	r.hasty = 0
	if !r.settings.StrictCheckInterval {
		r.blocked = true // fill follows
	}
}

// adopted is a job that an agent before has begun.
type adopted struct {
	key string
	job *coordinator.Job
	run func()
}

// startAdopted starts the adopted jobs whose runner is there.
func (l *loop) startAdopted() {
	l.adopted = slices.DeleteFunc(l.adopted, func(a adopted) bool {
		i := slices.IndexFunc(l.runners, func(r *runner) bool { return r.settings.Key == a.key })
		if i < 0 {
			return false
		}
		r, began := l.runners[i], time.Now()
		r.running++
		l.running++
		go func() {
			a.run()
			l.ended <- ended{r: r, job: a.job, took: time.Since(began)}
		}()
		return true
	})
}

// noLease waits for Wake, or for the next turn.
func (l *loop) noLease(a asked) {
	r := a.r
	if r.ctx.Err() != nil {
		return
	}
	r.starved = true
	why := Event{Kind: Skipped, Runner: r.settings.Key, Why: NoMachine}
	if errors.Is(a.err, ErrNoCapacity) {
		l.f.o.Logger.Debug("Failed to process runner", "runner", r.settings.Name, "executor", r.settings.Executor, "error", a.err)
	} else {
		l.complain(r, "Failed to process runner", a.err)
		why.Err = a.err
	}
	l.event(why)
	if r.woken {
		l.visit(r)
	}
}
