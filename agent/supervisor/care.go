package supervisor

import (
	"cmp"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/pool"
)

// readCare reads how to look after machines, as [machines] of millwright.toml says, as far as it says something.
func (s *Supervisor) readCare() {
	if s.o.Operator == nil {
		return
	}
	op, err := s.o.Operator()
	if err != nil { // told by whoever reads the grants
		return
	}
	s.care = op.Machines
}

// setCare is readCare for what was read again. It puts nothing into force.
func (s *Supervisor) setCare(c config.MachineCare) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.care = c
}

func (s *Supervisor) currentCare() config.MachineCare {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.care
}

// poolCare is the present care as pools take it. What the options of the supervisor say wins.
func (s *Supervisor) poolCare() pool.Care {
	c := s.currentCare()
	made := pool.Care{OrphanGrace: cmp.Or(s.o.OrphanGrace, (*time.Duration)(c.OrphanGrace))}
	for _, set := range []struct {
		to   *time.Duration
		from *config.Duration
	}{
		{&made.CreateTimeout, c.CreateTimeout}, {&made.ProvisionTimeout, c.ProvisionTimeout},
		{&made.AcquireTimeout, c.AcquireTimeout}, {&made.RemoveTimeout, c.RemoveTimeout},
	} {
		if set.from != nil {
			*set.to = time.Duration(*set.from)
		}
	}
	made.Probe = orNever(c.ProbeInterval)
	return made
}

// orNever is a time of which 0 means never, for settings whose 0 is their default and where less than that is never.
func orNever(d *config.Duration) time.Duration {
	switch {
	case d == nil:
		return 0
	case *d == 0:
		return -1
	}
	return time.Duration(*d)
}
