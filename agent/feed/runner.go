package feed

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// How the adaptive limit of requests moves with their outcomes. Source: GitLab Runner documentation, request_concurrency.
const (
	jobFactor    = 1.1
	emptyFactor  = 0.95
	loadedFactor = 0.5
)

// complaintInterval is how often the same trouble of a runner is logged.
const complaintInterval = time.Minute

// runner is what the loop knows of one runner.
type runner struct {
	settings Runner
	ctx      context.Context // of its requests
	cancel   context.CancelFunc
	removed  bool

	asking, running int
	moving          float64 // the adaptive limit, from 1 to RequestConcurrency
	blocked         bool    // it is to ask as soon as there is a slot
	starved         bool    // it lacked a machine at its last visit
	woken           bool    // Wake came while it was asking

	polls bool // the coordinator holds requests open
	hasty int  // requests in a row that were made at once after an empty answer and came back at once

	unhealthy int       // refused tokens in a row
	disabled  time.Time // until then it does not ask

	complaint  string // the trouble that was logged last, "" when all is well
	complained time.Time
}

func newRunner() *runner {
	r := &runner{moving: 1}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

func (r *runner) remove() {
	r.removed = true
	r.cancel()
}

// full tells whether the runner's own limit is reached.
func (r *runner) full() bool { return r.settings.Limit > 0 && r.asking+r.running >= r.settings.Limit }

// requests is how many requests may be open at once.
func (r *runner) requests() int {
	most := max(r.settings.RequestConcurrency, 1)
	if !r.settings.Adaptive {
		return most
	}
	return min(int(math.Ceil(r.moving)), most)
}

// adapt moves the adaptive limit by what a request met.
func (r *runner) adapt(factor float64, retried bool) {
	if retried {
		factor = loadedFactor
	}
	r.moving *= factor
	r.clampRequests()
}

func (r *runner) clampRequests() {
	r.moving = min(max(r.moving, 1), float64(max(r.settings.RequestConcurrency, 1)))
}

// maxHasty is how many requests in a row may follow each other without a pause. An empty answer that was held open is asked after once, for
// the job that ended it, and once more for the state of the queue that the next one waits on.
const maxHasty = 2

// heldOpen is how long an answer takes at least that costs its coordinator no haste.
const heldOpen = time.Second

// again tells whether to ask at once after an empty answer, rather than at the next turn: where the coordinator holds requests open, one is
// always to be open, or a job that is queued meanwhile waits for the turn.
func (r *runner) again(a asked) bool {
	if a.polled {
		r.polls = true
	}
	if r.settings.StrictCheckInterval || a.retried || !r.polls {
		return false
	}
	if a.took >= heldOpen {
		r.hasty = 0
		return true
	}
	if r.hasty++; r.hasty > maxHasty {
		r.hasty, r.polls = 0, a.polled // it may hold them no longer
		return false
	}
	return true
}

// healthy tells whether the runner may ask.
func (l *loop) healthy(r *runner) bool {
	if r.disabled.IsZero() {
		return true
	}
	if time.Now().Before(r.disabled) {
		return false
	}
	r.unhealthy, r.disabled = 0, time.Time{}
	l.f.o.Logger.Info("runner is asked for jobs again", "runner", r.settings.Name)
	l.event(Event{Kind: Enabled, Runner: r.settings.Key})
	return true
}

// wellAgain clears what stood against the runner.
func (l *loop) wellAgain(r *runner) {
	r.unhealthy = 0
	if r.complaint != "" {
		r.complaint = ""
		l.f.o.Logger.Info("the coordinator answers again", "runner", r.settings.Name)
	}
}

// refused takes an error of a request. Only a refused token and a request that could not be made count against the runner: an outage of
// the coordinator must not keep it from working when that is over.
func (l *loop) refused(r *runner, a asked) {
	err := a.err
	if !errors.Is(err, coordinator.ErrForbidden) && !errors.Is(err, coordinator.ErrClient) {
		r.unhealthy = 0
		l.complain(r, "no job could be asked for", err)
		l.event(Event{Kind: Failed, Runner: r.settings.Key, Err: err, Duration: a.took})
		return
	}
	r.unhealthy++
	l.event(Event{Kind: Unhealthy, Runner: r.settings.Key, Err: err, Duration: a.took})
	limit := r.settings.UnhealthyRequestsLimit
	if limit <= 0 {
		limit = defaultUnhealthyLimit
	}
	if r.unhealthy < limit || !r.disabled.IsZero() {
		l.complain(r, "no job could be asked for", err)
		return
	}
	interval := r.settings.UnhealthyInterval
	if interval <= 0 {
		interval = defaultUnhealthyInterval
	}
	r.disabled = time.Now().Add(interval)
	l.f.o.Logger.Error("runner is disabled", "runner", r.settings.Name, "for", interval, "failures", r.unhealthy, "error", err)
	l.event(Event{Kind: Disabled, Runner: r.settings.Key, Err: err, Duration: interval})
}

// complain logs a trouble when it is new, and then once a minute.
func (l *loop) complain(r *runner, what string, err error) {
	text := what
	var e *coordinator.Error
	if errors.As(err, &e) {
		text += fmt.Sprint(e.Status, e.Message) // the rest of it differs from time to time
	}
	if text == r.complaint && time.Since(r.complained) < complaintInterval {
		return
	}
	r.complaint, r.complained = text, time.Now()
	l.f.o.Logger.Warn(what, "runner", r.settings.Name, "executor", r.settings.Executor, "error", err, "consequence", "it is tried again")
}
