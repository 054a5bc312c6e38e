package pool

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Place is where a pool looks for instances.
type Place struct {
	Key     string // the same for the same driver and options
	Driver  string
	Options abi.Options // the driver's, which may hold secrets
}

// NewPlace returns where a machine with a driver and options is. name is the machine's, which its options may hold; "" when they hold %s.
func NewPlace(driver string, options abi.Options, name string) Place {
	return Place{Key: groupKey(driver, options, name), Driver: driver, Options: driverOptions(options)}
}

// Places returns where the pool's machines are, and where they were a while ago.
func (p *Pool) Places() []Place {
	var places []Place
	p.do(func() {
		p.regroup()
		for _, g := range p.groups {
			places = append(places, Place{Key: g.key, Driver: g.driver, Options: driverOptions(g.options)}) // the key has no machine's name
		}
	})
	return places
}

// PlaceLog keeps over restarts where machines were removed lately; *journal.Journal is one. It is safe for concurrent use.
type PlaceLog interface {
	// NotePlace writes a place down, before a machine there is forgotten; when it returns nil, a restart will know.
	NotePlace(p fleet.Place) error
}

// noteEvery is how long a note of a place does for further machines there.
const noteEvery = 5 * time.Minute

// leave notes that a machine is about to be forgotten at a place. It blocks for a disk write, now and then.
func (s *Shared) leave(p fleet.Place) error {
	key := p.Key()
	s.mu.Lock()
	last, noted := s.left[key]
	s.mu.Unlock()
	if ago := p.Left.Sub(last.Left); noted && ago >= 0 && ago < noteEvery {
		return nil
	}
	if s.places != nil {
		if err := s.places.NotePlace(p); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left[key] = p
	return nil
}

// watching says which groups a pool lists; none once it does so no more.
func (s *Shared) watching(pool string, groups map[string]*group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watched, pool)
	if len(groups) > 0 {
		s.watched[pool] = slices.Collect(maps.Keys(groups))
	}
}

// isWatched tells whether a pool lists a group.
func (s *Shared) isWatched(group string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, groups := range s.watched {
		if slices.Contains(groups, group) {
			return true
		}
	}
	return false
}

// leftPlaces returns where machines were removed within pastSpan, in order of their keys, and forgets the others.
func (s *Shared) leftPlaces(now time.Time) []fleet.Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.left, func(_ string, p fleet.Place) bool { return now.Sub(p.Left) > pastSpan+noteEvery })
	for key, p := range s.left {
		if p.Left.After(now) { // the clock was set back
			p.Left = now
			s.left[key] = p
		}
	}
	return slices.SortedFunc(maps.Values(s.left), func(a, b fleet.Place) int { return strings.Compare(a.Key(), b.Key()) })
}

// takeCare has need told of the places that no other pool looks at any more.
func (p *Pool) takeCare(now time.Time, need func(key, driver string, options abi.Options, at time.Time)) {
	for _, place := range p.shared.leftPlaces(now) {
		if key := p.groupOf(place.Driver, place.Options, place.Machine); !p.shared.isWatched(key) {
			need(key, place.Driver, place.Options, place.Left.Add(noteEvery))
		}
	}
}
