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
	if c.ProbeInterval != nil {
		if made.Probe = time.Duration(*c.ProbeInterval); made.Probe == 0 {
			made.Probe = -1 // the pool's 0 is its default
		}
	}
	return made
}

// maxLife is a machine's life as the pool's settings have it.
func maxLife(c config.MachineCare) time.Duration {
	switch {
	case c.MaxLife == nil:
		return 0
	case *c.MaxLife == 0:
		return -1 // the pool's 0 is its default
	}
	return time.Duration(*c.MaxLife)
}
