package pool

import (
	"slices"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// createSpan is what max_creates_per_hour counts over.
const createSpan = time.Hour

// CreateLog keeps the creations of the last hour over restarts; *journal.Journal is one. It is safe for concurrent use.
type CreateLog interface {
	// NoteCreate writes down that a provider is about to be asked for a machine; when it returns nil, a restart will know.
	NoteCreate(runner string, at time.Time) error
}

// Shared is what the pools of one agent share: the operator's ceilings on the whole and the freeze, and the accounts that their drivers
// call. The zero value is not usable. It is safe for concurrent use.
type Shared struct {
	log      CreateLog // nil: nothing is kept
	places   PlaceLog  // nil: the same
	describe func(driver string) []abi.Option

	mu       sync.Mutex // guards what follows
	all      fleet.Ceilings
	freeze   fleet.Freeze
	fleets   map[string]tally // by the runner's key
	creates  []Create         // of the last hour, in order
	own      map[string]int   // how many of these, by the runner's key
	accounts map[string]*account
	named    map[string]int // accounts of each driver so far
	rates    func(driver string) Rates
	left     map[string]fleet.Place // where machines were removed lately, by its key
	watched  map[string][]string    // the groups that pools list, by the pool's key
}

// tally is how many machines a runner has.
type tally struct{ total, live int }

// Create is one creation that a provider was asked for.
type Create struct {
	Runner string // its key
	At     time.Time
}

// SharedOptions are what NewShared needs; all may be left out.
type SharedOptions struct {
	Log      CreateLog
	Creates  []Create // of the last hour, as Log kept them
	Places   PlaceLog
	Left     []fleet.Place   // where machines were removed, as Places kept them
	Machines []fleet.Machine // of the journal: those of pools that have not started count too
	// Describe returns the options of a driver, nil where it can't; it may block. nil: no driver's are known.
	Describe func(driver string) []abi.Option
	// Rates are the budgets of calls of a driver's accounts; nil: the defaults.
	Rates func(driver string) Rates
}

// NewShared returns what pools are to share.
func NewShared(o SharedOptions) *Shared {
	s := &Shared{
		log: o.Log, places: o.Places, describe: o.Describe, rates: o.Rates, creates: slices.Clone(o.Creates),
		fleets: map[string]tally{}, own: map[string]int{}, accounts: map[string]*account{}, named: map[string]int{},
		left: map[string]fleet.Place{}, watched: map[string][]string{},
	}
	for _, p := range o.Left {
		s.left[p.Key()] = p
	}
	slices.SortFunc(s.creates, func(a, b Create) int { return a.At.Compare(b.At) })
	for _, c := range s.creates {
		s.own[c.Runner]++
	}
	for _, m := range o.Machines {
		t := s.fleets[m.Runner]
		t.total++
		if m.State != fleet.Removing {
			t.live++
		}
		s.fleets[m.Runner] = t
	}
	return s
}

// SetCeilings replaces the operator's ceilings on the agent as a whole. They hold from each pool's next step on.
func (s *Shared) SetCeilings(c fleet.Ceilings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = c
}

// SetFreeze replaces the freeze; the zero value ends it. Calls to providers that are under way go on.
func (s *Shared) SetFreeze(f fleet.Freeze) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freeze = f
}

// Freeze returns the freeze in force, the zero value when there is none.
func (s *Shared) Freeze(now time.Time) fleet.Freeze {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.freeze.Active(now) {
		return fleet.Freeze{}
	}
	return s.freeze
}

// frozen tells whether nothing may be created or removed now.
func (s *Shared) frozen() bool { return !s.Freeze(time.Now()).Since.IsZero() }

// view returns the ceilings on the whole, and what a runner's plan must know of the other runners.
func (s *Shared) view(key string, now time.Time) (fleet.Ceilings, fleet.Agent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	a := fleet.Agent{Creates: len(s.creates), OwnCreates: s.own[key]}
	for other, t := range s.fleets {
		if other != key {
			a.Machines += t.total
			a.Live += t.live
		}
	}
	return s.all, a
}

// put says how many machines a runner has.
func (s *Shared) put(key string, total, live int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if total == 0 {
		delete(s.fleets, key)
		return
	}
	s.fleets[key] = tally{total, live}
}

// take reserves the right to create one machine. It is the last word on the agent's ceilings: two pools may have planned with the same room.
func (s *Shared) take(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	machines := 0
	for _, t := range s.fleets {
		machines += t.total
	}
	if s.all.MaxMachines > 0 && machines >= s.all.MaxMachines || s.all.MaxCreatesPerHour > 0 && len(s.creates) >= s.all.MaxCreatesPerHour {
		return false
	}
	t := s.fleets[key]
	s.fleets[key] = tally{t.total + 1, t.live + 1}
	s.creates = append(s.creates, Create{key, now})
	s.own[key]++
	return true
}

// giveBack undoes the creation that was taken at a time, since no provider was asked.
func (s *Shared) giveBack(key string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.creates, func(c Create) bool { return c.Runner == key && c.At.Equal(at) })
	if i >= 0 {
		s.creates = slices.Delete(s.creates, i, i+1)
		s.own[key]--
	}
}

// note writes a creation down, before the provider is asked. It blocks for a disk write.
func (s *Shared) note(key string, at time.Time) error {
	if s.log == nil {
		return nil
	}
	return s.log.NoteCreate(key, at)
}

// forget drops the creations of more than an hour ago. One of a time to come counts as of now: the clock has been set back. The caller holds
// mu.
func (s *Shared) forget(now time.Time) {
	s.creates = slices.DeleteFunc(s.creates, func(c Create) bool {
		if now.Sub(c.At) < createSpan {
			return false
		}
		if s.own[c.Runner] > 1 {
			s.own[c.Runner]--
		} else {
			delete(s.own, c.Runner)
		}
		return true
	})
	for i := range s.creates {
		if s.creates[i].At.After(now) {
			s.creates[i].At = now
		}
	}
}
