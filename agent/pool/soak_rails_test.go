package pool_test

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// operator is what the world's operator has said, and what may not happen because of it.
type operator struct {
	held     map[string]time.Time // until when, by machine
	cordoned map[string]bool
	ceilings []ceilingsFrom

	started, changed, thaws time.Time // when the agent started, the settings changed last, and the last freeze ends

	mu    sync.Mutex // guards what follows
	notes []note
	wrong []string // calls that the provider should not have got
}

// note is a creation that a provider was asked for.
type note struct {
	at     time.Time // when it was decided
	judged bool      // by the ceiling of then
}

// ceilingsFrom are the ceilings of the runner from a time on.
type ceilingsFrom struct {
	at       time.Time
	ceilings fleet.Ceilings
}

// NoteCreate keeps when each creation was decided that a provider is asked for.
func (o *operator) NoteCreate(_ string, at time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notes = append(o.notes, note{at: at})
	return nil
}

// start starts an agent, which knows what was noted so far.
func (w *soakWorld) start() {
	o := &w.operator
	o.started = time.Now()
	o.ceilings = []ceilingsFrom{{o.started, w.opts.Settings.Ceilings}}
	machines, _, _ := w.journal.Load() // it has no error
	so := pool.SharedOptions{Log: o, Machines: machines}
	freeze := fleet.Freeze{}
	if w.opts.Shared != nil {
		freeze = w.opts.Shared.Freeze(o.started)
	}
	o.mu.Lock()
	for _, n := range o.notes {
		if time.Since(n.at) < time.Hour {
			so.Creates = append(so.Creates, pool.Create{Runner: runnerKey, At: n.at})
		}
	}
	o.mu.Unlock()
	w.opts.Shared = pool.NewShared(so)
	w.opts.Shared.SetFreeze(freeze)
	w.startOn(w.journal)
}

// change puts other settings into force.
func (w *soakWorld) change() {
	w.check() // by the settings before
	w.opts.Settings = w.settings()
	w.operator.changed = time.Now()
	w.operator.ceilings = append(w.operator.ceilings, ceilingsFrom{w.operator.changed, w.opts.Settings.Ceilings})
	if err := w.pool.Reconfigure(w.opts.Settings); err != nil {
		w.t.Fatal(err)
	}
}

// watched is the provider, which must get no creation and no removal while the agent is frozen.
type watched struct {
	driver.Driver
	w *soakWorld
}

func (d watched) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	d.w.asked("create " + req.Name)
	return d.Driver.Create(ctx, req)
}

func (d watched) Remove(ctx context.Context, req abi.RemoveRequest) error {
	d.w.asked("remove " + req.Name)
	return d.Driver.Remove(ctx, req)
}

func (w *soakWorld) asked(what string) {
	if w.opts.Shared.Freeze(time.Now()).Since.IsZero() {
		return
	}
	w.operator.mu.Lock()
	defer w.operator.mu.Unlock()
	w.operator.wrong = append(w.operator.wrong, what)
}

// freeze stops all creating and removing for a while, or ends that.
func (w *soakWorld) freeze() {
	var f fleet.Freeze
	if w.r.IntN(3) > 0 {
		f = fleet.Freeze{Since: time.Now(), Until: time.Now().Add(time.Duration(w.r.IntN(1800)) * time.Second)}
	}
	w.operator.thaws = time.Now()
	if !f.Until.IsZero() {
		w.operator.thaws = f.Until
	}
	w.opts.Shared.SetFreeze(f)
	w.pool.Sync()
}

// moveClock is the clock that was set between two agents: all that was written down is of another time.
func (w *soakWorld) moveClock() {
	by := time.Duration(w.r.IntN(4*3600)-2*3600) * time.Second
	move := func(t *time.Time) {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	w.journal.mu.Lock()
	defer w.journal.mu.Unlock()
	for name, m := range w.journal.machines {
		for _, t := range []*time.Time{&m.CreatedAt, &m.ReadyAt, &m.IdleSince, &m.StateSince, &m.ExpiresAt, &m.Hold.Until} {
			move(t)
		}
		w.journal.machines[name] = m
	}
	maps.DeleteFunc(w.operator.held, func(_ string, until time.Time) bool { return !time.Now().Before(until) }) // these have ended
	for name, until := range w.operator.held {
		w.operator.held[name] = until.Add(by)
	}
	w.operator.mu.Lock()
	defer w.operator.mu.Unlock()
	for i := range w.operator.notes {
		n := &w.operator.notes[i]
		move(&n.at)
		n.judged = true // whoever started before counted by another clock
		if now := time.Now(); n.at.After(now) {
			n.at = now
		}
	}
}

// kept checks what happened to the machines that the operator keeps.
func (w *soakWorld) kept(e fleet.Event) {
	m := e.Machine
	switch {
	case m == nil || m.From == m.State:
	case m.State == fleet.Removing && e.At.Before(w.operator.held[m.Name]):
		w.t.Errorf("%s is removed for %q, and was to be held until %s", m.Name, m.Reason, w.operator.held[m.Name])
	case m.State == fleet.Used && w.operator.cordoned[m.Name]:
		w.t.Errorf("%s got job %d, and is cordoned", m.Name, m.JobID)
	}
}

// checkCeilings looks at the operator's ceilings and the freeze.
func (w *soakWorld) checkCeilings(s pool.Status) {
	now := time.Now()
	w.operator.mu.Lock()
	defer w.operator.mu.Unlock()
	for _, what := range w.operator.wrong {
		w.t.Errorf("frozen, and the provider is asked to %s", what)
	}
	w.operator.checkRate(w)
	age := w.opts.Settings.Ceilings.MaxMachineAge
	if age == 0 || s.Frozen || s.Decision == nil {
		return
	}
	for _, m := range s.Machines {
		const slack = 3 * time.Second // of the pool's clock
		since := slices.MaxFunc([]time.Time{w.operator.started, w.operator.changed, w.operator.thaws, w.operator.held[m.Name], m.StateSince,
			m.CreatedAt.Add(age)}, time.Time.Compare)
		if m.State == fleet.Idle && !m.Held() && now.Sub(since) > slack {
			w.t.Errorf("%s is idle and %s old, with max_machine_age %s", m.Name, now.Sub(m.CreatedAt), age)
		}
	}
}

// checkRate counts, for each creation that was noted since it looked last, those of the hour before.
func (o *operator) checkRate(w *soakWorld) {
	o.notes = slices.DeleteFunc(o.notes, func(n note) bool { return n.judged && time.Since(n.at) > 2*time.Hour })
	for i := range o.notes {
		n := &o.notes[i]
		if n.judged {
			continue
		}
		n.judged = true
		most, within := o.most(n.at), 0
		for _, before := range o.notes {
			if ago := n.at.Sub(before.at); ago >= 0 && ago < time.Hour {
				within++
			}
		}
		if within > most {
			w.t.Errorf("%d creations within the hour before %s, with max_creates_per_hour %d", within, n.at, most)
		}
	}
}

// judge is checkRate for whoever does not hold mu.
func (o *operator) judge(w *soakWorld) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checkRate(w)
}

// most is max_creates_per_hour at a time; when it changed at that very instant, the larger of the two.
func (o *operator) most(at time.Time) int {
	most, before := math.MaxInt, math.MaxInt
	for _, c := range o.ceilings {
		if c.at.After(at) {
			break
		}
		before = most
		if most = c.ceilings.MaxCreatesPerHour; most <= 0 {
			most = math.MaxInt
		}
		if !c.at.Equal(at) {
			before = most
		}
	}
	return max(most, before)
}
