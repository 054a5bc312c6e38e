package supervisor

import (
	"fmt"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// caretakerKey is the caretaker's among the runners' keys, which all have a slash; people see it as a runner's name.
const caretakerKey = "no runner"

// startCaretaker starts the pool that looks where runners that are no more had machines: a creation that timed out may go through when all of
// them are gone.
func (s *Supervisor) startCaretaker() error {
	o := s.poolOptions(caretakerKey, pool.Settings{Runner: abi.RunnerSettings{Name: caretakerKey}})
	o.Caretaker = true
	p, err := pool.New(o)
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		return fmt.Errorf("what turns up late of runners that are no more is not found: %w", err)
	}
	s.mu.Lock()
	s.caretaker = p
	s.mu.Unlock()
	return nil
}

// eachPool shows all pools as they are now, the caretaker only while it has something to tell.
func (s *Supervisor) eachPool(see func(*pool.Pool, pool.Status)) {
	for _, p := range s.pools() {
		status := p.Status()
		if status.Key == caretakerKey && len(status.Machines)+len(status.Orphans)+len(status.ListErrs) == 0 {
			continue
		}
		see(p, status)
	}
}

// lateAt returns where machines were removed before the restart. Not to know it is no reason not to start.
func (s *Supervisor) lateAt() []fleet.Place {
	places, err := s.journal.Places()
	if err != nil {
		s.log.Warn("Nobody knows where machines were removed lately; what turns up there late is not found", "error", err)
	}
	return places
}
