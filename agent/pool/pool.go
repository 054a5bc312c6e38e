package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// ErrStopped means that the pool ends or has ended.
var ErrStopped = errors.New("the pool of machines is stopped")

// stopGrace is how long Stop waits for calls under way after it cancelled them.
const stopGrace = 5 * time.Second

// Pool is one runner's machines. Its exported methods may be called from any goroutine.
type Pool struct {
	opts Options
	log  *slog.Logger
	out  events

	started atomic.Bool
	queue   chan func()   // events, run one after the other by the loop
	done    chan struct{} // closed when the loop ended

	// What follows belongs to the loop.

	ctx     context.Context // of the calls that are made elsewhere; ends when the pool gives up on them
	cancel  context.CancelFunc
	calls   int           // under way elsewhere, each of which will send an event
	creates chan struct{} // bounds driver calls that create, and removes those that remove; each call holds a place
	removes chan struct{}

	settings Settings
	fleet    []*machine // in order of creation
	byName   map[string]*machine
	view     fleet.Fleet // the same as plan reads it

	decision *fleet.Decision // nil before the first
	usedThen int             // jobs that ran when it was made
	stale    bool            // the settings changed since
	announce bool            // the decision changed and nobody was told yet
	asking   bool            // the Decider is at it
	askedAt  time.Time
	askAgain bool // once it answered, since the settings changed meanwhile

	kept     map[int64]*Lease // of jobs that go on and were not asked for yet
	wanting  []*Lease         // have a job and no machine, the longest waiting first
	reserved int              // leases that may have a machine made
	newIdle  bool             // a machine became idle since the last step

	bucket      fleet.Bucket        // of Settings.Throttle
	waited      map[int64]*waitedOf // jobs that waited for machines
	leased      LeaseCounts
	missedSoFar int // see Status.Missed
	breaker     breaker
	ladder      ladder
	setbacks    setbackWrites
	failures    failures
	demand      demand
	groups      map[string]*group
	orphans     map[string]*orphan
	unreadable  map[string]error     // journal entries that can't be read, by the machine's name
	past        map[string]time.Time // machines that were removed lately, by name
	probes      probes

	looking  bool      // another program's machines are being looked at
	lookedAt time.Time // when that began last
	saw      bool      // they were seen
	reported string    // what would be done, as it was last told

	idleFor time.Duration // machines' idle time, summed up
	ticked  time.Time     // when that was done last

	shared  *Shared
	layouts map[string][]abi.Option // of the drivers, by name
	logged  map[string]bool         // guard rails that change something now and were logged

	ebbing   bool // no growth but for jobs in hand; with ebbAway idle machines go
	ebbAway  bool
	stopping bool
	draining bool
	patient  bool   // a drain waits for holds and freezes to end
	drain    Drain  // how, while it drains
	final    Status // when done is closed
}

// machine is a machine with what only the pool knows of it.
type machine struct {
	fleet.Machine
	writes writes

	leases []*Lease           // one for each slot that is taken
	busy   bool               // a call for it is under way: create, provision, check, remove
	ctx    context.Context    // of its creation; nil when this agent did not begin it
	cancel context.CancelFunc // ends ctx
	broken string             // why it is removed once nobody holds it
	dirty  bool               // a dead agent's job may have left containers on it
	fresh  time.Time          // when its engine was last known to work

	probeAt     time.Time // of its next probe while it is idle
	silentSince time.Time
	interrupted bool      // its provider takes it back
	overdueAt   time.Time // when the log was last told that its removal does not end

	choice   string    // the alternative that it is made of; "" when the policies chose
	group    string    // of the list that shows it
	spot     bool      // its provider may take it back at any time
	answered time.Time // when the provider took the creation on; zero before
	listed   bool      // a list has shown it
	missing  int       // complete lists in a row without it
	retryAt  time.Time // of its removal

	drainTries int  // removals that failed since the pool drains
	leftOver   bool // these were too many

	onGone []func()

	phase   string
	phaseAt time.Time
	phases  []fleet.PhaseTime // that have ended
}

// New returns a pool that does nothing before Start.
func New(o Options) (*Pool, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	p := &Pool{
		opts: o, log: o.Log.With("runner", o.Settings.Runner.Name), settings: o.Settings,
		queue: make(chan func(), 64), done: make(chan struct{}),
		creates: make(chan struct{}, o.Parallel), removes: make(chan struct{}, o.Parallel),
		byName: map[string]*machine{}, groups: map[string]*group{}, orphans: map[string]*orphan{},
		kept: map[int64]*Lease{}, past: map[string]time.Time{}, unreadable: map[string]error{}, shared: o.Shared, layouts: map[string][]abi.Option{}, logged: map[string]bool{},
	}
	p.out.init(o.Events, o.OnIdle)
	return p, nil
}

// Start takes up the runner's machines from the journal and starts the loop, which ends with Stop. It fails when the journal cannot
// be read; single machines that cannot are logged and left alone.
func (p *Pool) Start() error {
	var machines []fleet.Machine
	if p.opts.Watch == nil {
		found, problems, err := p.opts.Journal.Load()
		if err != nil {
			return fmt.Errorf("runner %s: %w", p.settings.Runner.Name, err)
		}
		p.noteUnreadable(problems)
		machines = found
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.started.Store(true)
	go p.out.run()
	go p.loop(machines)
	return nil
}

// loop is the pool's goroutine. It ends when it was told to stop and no call is under way; when it drains, not before the last
// machine is gone.
func (p *Pool) loop(found []fleet.Machine) {
	defer close(p.done)
	defer p.out.close()
	defer p.cancel()
	tick := time.NewTicker(p.opts.Tick)
	defer tick.Stop()

	p.adopt(found)
	p.recallSetbacks(time.Now())
	p.tick()
	p.step()
	for !p.ended() {
		var began time.Time
		clock := false
		select {
		case event := <-p.queue:
			began = time.Now()
			event()
			p.pending()
		case <-tick.C:
			began, clock = time.Now(), true
			p.tick()
		}
		p.step()
		p.opts.OnStep(clock, time.Since(began))
	}
	p.final = p.status()
}

// pending handles the events that came meanwhile, so that a burst costs one step.
func (p *Pool) pending() {
	for range cap(p.queue) {
		select {
		case event := <-p.queue:
			event()
		default:
			return
		}
	}
}

func (p *Pool) ended() bool {
	return p.stopping && p.calls == 0 && (!p.draining || p.drained() || !p.patient && p.keptOnly())
}

// tick does what time alone asks for.
func (p *Pool) tick() {
	now := time.Now()
	p.sumIdle(now)
	if p.opts.Watch != nil {
		if !p.stopping {
			p.look(now)
			p.ask(now)
		}
		return
	}
	p.endHolds(now)
	p.drainOn()
	p.retryRemovals(now)
	p.watch(now)
	p.watchWaits(now)
	if p.stopping {
		return
	}
	p.probeIdle(now)
	p.poll(now)
	p.ask(now)
	p.logRails(now)
}

// call makes work run elsewhere and then, on the loop, what it returns. The loop does not end before.
func (p *Pool) call(work func() (then func())) {
	p.calls++
	go func() {
		then := work()
		p.queue <- func() {
			p.calls--
			then()
		}
	}()
}

// do runs f on the loop and waits for it. It is false when the loop has ended or never began, and f did not run. Call it from other
// goroutines only.
func (p *Pool) do(f func()) bool {
	if !p.started.Load() {
		return false
	}
	ran := make(chan struct{})
	select {
	case p.queue <- func() { f(); close(ran) }:
	case <-p.done:
		return false
	}
	select {
	case <-ran:
		return true
	case <-p.done:
		select {
		case <-ran:
			return true
		default:
			return false
		}
	}
}

// Stop ends the pool and waits. With drain it removes every machine first, those in use too, so stop the jobs before; when ctx ends
// sooner, or a second Stop comes without drain, the rest stays journalled for the next start, and the error names it. Without drain
// the machines stay as they are, and what is under way is cut off.
func (p *Pool) Stop(ctx context.Context, drain bool) error {
	if !p.started.Load() {
		return nil
	}
	p.do(func() { p.stop(drain) })
	select {
	case <-p.done:
	case <-ctx.Done():
		p.do(func() { p.stop(false) })
		select {
		case <-p.done:
		case <-time.After(stopGrace):
			return fmt.Errorf("runner %s: calls to the provider do not end; %w", p.opts.Settings.Runner.Name, ctx.Err())
		}
	}
	select {
	case <-p.out.done:
	case <-ctx.Done():
	}
	if left := p.final.Machines; drain && len(left) > 0 && p.opts.Watch == nil {
		if p.final.Kept == len(left) {
			p.log.Warn("Machines stay, since they are held or the agent is frozen", "machines", len(left))
			return nil
		}
		return fmt.Errorf("runner %s: %d machines are not removed yet, %s among them; start again to go on",
			p.final.Runner, len(left), left[0].Name)
	}
	return nil
}

// Retire is Stop with drain, but waits for machines that the operator has kept, as long as ctx allows.
func (p *Pool) Retire(ctx context.Context) error {
	p.do(func() { p.patient = true })
	return p.Stop(ctx, true)
}

// Hurry ends the patience of a Retire under way: what the operator has kept stays, journalled for the next start.
func (p *Pool) Hurry() { p.do(func() { p.patient = false }) }

func (p *Pool) stop(drain bool) {
	if !p.stopping {
		p.stopping = true
		p.shared.watching(p.opts.Key, nil)
		for _, l := range slices.Clone(p.wanting) {
			p.fail(l, ErrStopped)
		}
	}
	p.draining = drain && p.ctx.Err() == nil && p.opts.Watch == nil
	if !p.draining {
		p.cancel()
		return
	}
	p.drainOn()
}

// Reconfigure replaces the settings: limits at once, the rest for machines made from now on. An error leaves the old ones in place.
func (p *Pool) Reconfigure(s Settings) error {
	if p.opts.Decider != nil {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("runner %s: %w; the settings before stay in force", s.Runner.Name, err)
		}
	}
	p.do(func() {
		p.settings = s
		p.forgetSetbacks() // what failed may be what was changed
		clear(p.layouts)
		p.stale = true
		p.askedAt = time.Time{}
		p.askAgain = p.asking
		p.ask(time.Now())
		p.retireOthers()
	})
	return nil
}

// otherDriver tells whether m was made by a driver that the runner no longer names.
func (p *Pool) otherDriver(m *machine) bool {
	return p.settings.Driver != "" && m.Driver != p.settings.Driver
}

// retireOthers removes the machines of drivers that the runner no longer names: at once those that no job runs on.
func (p *Pool) retireOthers() {
	for _, m := range slices.Clone(p.fleet) {
		if p.opts.Watch == nil && m.State != fleet.Removing && p.otherDriver(m) {
			p.spoil(m, reasonDriver)
		}
	}
}

// adopt takes up the runner's machines as the agent before left them. What was idle stays so, with its age and use count, but is
// cleaned before it serves. What was half-made or in use is removed: nobody knows what state it is in. But a machine whose job goes on
// stays in use.
func (p *Pool) adopt(found []fleet.Machine) {
	now := time.Now()
	slices.SortStableFunc(found, func(a, b fleet.Machine) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, f := range found {
		if f.Runner != p.opts.Key {
			continue
		}
		if f.CreatedAt.After(now) { // the clock was set back, and the machine would never be too old
			f.CreatedAt = now
		}
		m := &machine{Machine: f, answered: now, listed: f.Instance.ID != "", dirty: true}
		p.add(m)
		switch {
		case f.State == fleet.Used && p.goesOn(m):
			p.goOn(m)
		case p.otherDriver(m):
			p.remove(m, reasonDriver)
		case f.State == fleet.Idle || f.State == fleet.Acquired:
			m.State = ""
			if m.IdleSince.IsZero() || m.IdleSince.After(now) {
				m.IdleSince = now
			}
			p.enter(m, fleet.Idle, "adopted")
		case f.State == fleet.Removing:
			p.startRemoval(m)
		default:
			if f.State == fleet.Used && f.JobID != 0 {
				p.log.Warn(jobsLost, "name", m.Name, "jobs", f.Jobs())
			}
			p.remove(m, "was "+string(f.State)+" when the agent ended")
		}
		p.log.Info("Machine adopted", "name", m.Name, "state", f.State, "usedCount", m.UsedCount, "lifetime", now.Sub(m.CreatedAt))
	}
}

const jobsLost = "A machine's jobs can't be taken up; unless they are reported, the coordinator ends them when it hears nothing of them"

// goesOn tells whether jobs go on that an agent before has begun on m, and strikes those that don't.
func (p *Pool) goesOn(m *machine) bool {
	going := p.opts.GoesOn[m.Name]
	var on, over []int64
	for _, job := range m.Jobs() {
		if slices.Contains(going, job) {
			on = append(on, job)
		} else {
			over = append(over, job)
		}
	}
	if len(on) == 0 {
		return false
	}
	if len(over) > 0 {
		p.log.Warn(jobsLost, "name", m.Name, "jobs", over)
	}
	m.SetJobs(on)
	return true
}

func (p *Pool) add(m *machine) {
	m.group = p.groupOf(m.Driver, m.Options, m.Name)
	m.spot = isSpot(p.layout(m.Driver), m.Options)
	p.fleet = append(p.fleet, m)
	p.view = append(p.view, &m.Machine)
	p.byName[m.Name] = m
}

func (p *Pool) drop(m *machine) {
	if i := slices.Index(p.fleet, m); i >= 0 {
		p.fleet, p.view = slices.Delete(p.fleet, i, i+1), slices.Delete(p.view, i, i+1)
	}
	delete(p.byName, m.Name)
}

// layout returns the options of a driver, as it describes them.
func (p *Pool) layout(driver string) []abi.Option {
	options, ok := p.layouts[driver]
	if !ok && p.shared.describe != nil {
		if options = p.shared.describe(driver); options != nil {
			p.layouts[driver] = options
		}
	}
	return options
}

func (p *Pool) groupOf(driver string, o abi.Options, name string) string {
	return groupKey(driver, listOptions(p.layout(driver), o), name)
}

// accountOf returns the account that a machine with these options is made in.
func (p *Pool) accountOf(driver string, o abi.Options) *account {
	return p.shared.account(driver, p.layout(driver), o)
}

func (p *Pool) owner() abi.Owner { return abi.Owner{ID: p.opts.Owner, Runner: p.opts.Key} }
