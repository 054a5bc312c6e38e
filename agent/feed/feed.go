// Package feed asks the coordinators for jobs: for all runners in turn, only when there is a slot to run one in and a machine to run it
// on, and hands each job with its machine's lease to whoever runs it.
//
// One goroutine owns all state. A request for a job and a running job are a goroutine each, which report to it.
package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// ErrNoCapacity means that there is no machine for a job now, so none is asked for.
var ErrNoCapacity = errors.New("no capacity for another job")

// Lease is the hold on what a job will run on. It is released once.
type Lease interface {
	Release()
}

// Provider gives leases before a job is asked for. Acquire returns soon; any error means that there is none, and all but ErrNoCapacity
// are logged. Executors without machines use Free.
type Provider interface {
	Acquire(ctx context.Context) (Lease, error)
}

// Requester asks a coordinator for a job; *coordinator.Client is one.
type Requester interface {
	RequestJob(ctx context.Context) (*coordinator.Job, error)
}

// Handler runs one job, in a goroutine of its own, and returns when it is over. The lease is its own to release. ctx is the one that
// Start got.
type Handler func(ctx context.Context, job *coordinator.Job, lease Lease)

// Settings are what a feed works by; Configure puts new ones into force.
type Settings struct {
	Concurrent    int           // jobs and requests for jobs at once, over all runners; less than 1 is 1
	CheckInterval time.Duration // in which each runner has its turn; 0 or less means 3 s
	Runners       []Runner
}

// Runner is one [[runners]] entry. Key, Client, Provider and Handler are required.
type Runner struct {
	Key      string // tells the runners apart, over reloads too
	Name     string // for logs
	Executor string // for logs
	Client   Requester
	Provider Provider
	Handler  Handler

	Limit               int  // jobs and requests at once; 0 or less is none
	RequestConcurrency  int  // requests at once; less than 1 is 1
	Adaptive            bool // FF_USE_ADAPTIVE_REQUEST_CONCURRENCY: RequestConcurrency is the most, load decides
	StrictCheckInterval bool // no further request right after a job

	UnhealthyRequestsLimit int           // refused tokens in a row that disable the runner; 0 or less means 3
	UnhealthyInterval      time.Duration // for how long; 0 or less means 1 h
}

const (
	defaultCheckInterval     = 3 * time.Second
	defaultUnhealthyLimit    = 3
	defaultUnhealthyInterval = time.Hour
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of event.
const (
	Turn      EventKind = "turn"      // it was the runner's turn; a Skipped may follow
	Skipped   EventKind = "skipped"   // no job was asked for, as Why says; Err is set when a machine could not be had
	Empty     EventKind = "empty"     // the coordinator was asked, after Duration, and had no job
	Received  EventKind = "received"  // Job came, after Duration
	Ended     EventKind = "ended"     // Job's handler returned, after Duration
	Failed    EventKind = "failed"    // no job because of Err; the runner stays healthy
	Unhealthy EventKind = "unhealthy" // no job because of Err, and it counts against the runner
	Disabled  EventKind = "disabled"  // no requests for Duration, because of Err
	Enabled   EventKind = "enabled"   // requests again
)

// Why is what stood against a request for a job.
type Why string

// The reasons for no request.
const (
	NoSlot    Why = "no_slot"       // concurrent is reached
	AtLimit   Why = "limit"         // the runner's limit is reached
	Requests  Why = "request_limit" // as many requests as request_concurrency allows are open
	NoMachine Why = "no_machine"    // no machine is idle and none may be made
	NotWell   Why = "unhealthy"     // the runner is disabled for a while
	Leaving   Why = "draining"      // no more jobs are taken
)

// Event tells people what happened; nothing depends on it.
type Event struct {
	At       time.Time
	Kind     EventKind
	Runner   string // its key
	Why      Why
	Job      *coordinator.Job
	Err      error
	Duration time.Duration
}

// Options are what New needs; each may be left out.
type Options struct {
	Logger *slog.Logger
	// Events is called by the feed's own goroutine, in order: it returns soon and calls no method that waits.
	Events func(Event)
}

// Feed asks for jobs. Its methods are safe for concurrent use, and none but Wait waits.
type Feed struct {
	o    Options
	done chan struct{} // closed when the loop has ended

	mu      sync.Mutex // guards inbox, started and figures
	inbox   []func(*loop)
	started bool
	figures Figures
	posted  chan struct{} // has a value when inbox may have one
}

// New returns a feed that does nothing before Start.
func New(o Options) *Feed {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	return &Feed{o: o, done: make(chan struct{}), posted: make(chan struct{}, 1)}
}

// Start begins to ask for jobs, as Configure says. Handlers get ctx. When it ends, so do the open requests, and the feed ends with the
// last handler. Further calls do nothing.
func (f *Feed) Start(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.started {
		return
	}
	f.started = true
	go f.newLoop().run(ctx)
}

// Configure puts settings into force. Running jobs go on; a runner that is left out gets no more; a disabled one gets another chance.
// Lower numbers are reached as jobs end.
func (f *Feed) Configure(s Settings) { f.post(func(l *loop) { l.configure(s) }) }

// Remove takes one runner out. Its jobs go on.
func (f *Feed) Remove(key string) { f.post(func(l *loop) { l.remove(key) }) }

// Adopt has run called, in a goroutine of its own, for a job that an agent before has begun for the runner of that key: it holds a slot
// until run returns. It is called before the Configure that brings the runner.
func (f *Feed) Adopt(key string, job *coordinator.Job, run func()) {
	f.post(func(l *loop) { l.adopted = append(l.adopted, adopted{key, job, run}) })
}

// Wake says that those runners, or all when none is named, may have a machine again. Those that had none ask at once.
func (f *Feed) Wake(keys ...string) { f.post(func(l *loop) { l.wake(keys) }) }

// Drain ends open requests and takes no more jobs. Running jobs go on; Wait waits for them.
func (f *Feed) Drain() { f.post(func(l *loop) { l.drain() }) }

// Figures are a feed at one instant, for metrics.
type Figures struct {
	Slots   int // jobs and requests for jobs that there may be at once
	Running int // jobs
	Asking  int // requests
	Runners []RunnerFigures
}

// RunnerFigures are one runner at one instant.
type RunnerFigures struct {
	Key     string
	Running int // jobs
	Asking  int // requests

	HardLimit     int     // request_concurrency
	AdaptiveLimit float64 // what the load makes of it, from 1 to HardLimit
	UsedLimit     int     // the one that holds
	Disabled      bool    // it takes no jobs for a while, since its requests were refused
	Starved       bool    // it lacked a machine when it last had its turn
}

// Figures returns the feed as it was after its last step.
func (f *Feed) Figures() Figures {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.figures
}

// publish keeps what Figures returns.
func (f *Feed) publish(now Figures) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.figures = now
}

// Wait returns when the feed, after Drain or the end of Start's context, has neither requests nor jobs. Without Start it returns at once.
func (f *Feed) Wait() {
	f.mu.Lock()
	started := f.started
	f.mu.Unlock()
	if started {
		<-f.done
	}
}

// post has the loop do something.
func (f *Feed) post(do func(*loop)) {
	f.mu.Lock()
	f.inbox = append(f.inbox, do)
	f.mu.Unlock()
	select {
	case f.posted <- struct{}{}:
	default:
	}
}

// take empties the inbox.
func (f *Feed) take() []func(*loop) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.inbox
	f.inbox = nil
	return in
}

// Free is a Provider for executors that need no machine of their own.
type Free struct{}

// Acquire always succeeds.
func (Free) Acquire(context.Context) (Lease, error) { return freeLease{}, nil }

type freeLease struct{}

func (freeLease) Release() {}
