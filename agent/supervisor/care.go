package supervisor

import (
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/pool"
)

// readCare reads how to look after machines, as [machines] of millwright.toml says, as far as it says something. What the options of the supervisor say wins.
func (s *Supervisor) readCare() {
	if s.o.Operator == nil {
		return
	}
	op, err := s.o.Operator()
	if err != nil { // told by whoever reads the grants
		return
	}
	s.care = op.Machines
	if g := s.care.OrphanGrace; g != nil && s.o.OrphanGrace == nil {
		s.o.OrphanGrace = (*time.Duration)(g)
	}
}

// careFor sets the times of a pool.
func careFor(o *pool.Options, c config.MachineCare) {
	for _, set := range []struct {
		to   *time.Duration
		from *config.Duration
	}{
		{&o.CreateTimeout, c.CreateTimeout}, {&o.ProvisionTimeout, c.ProvisionTimeout},
		{&o.AcquireTimeout, c.AcquireTimeout}, {&o.RemoveTimeout, c.RemoveTimeout},
	} {
		if set.from != nil {
			*set.to = time.Duration(*set.from)
		}
	}
	if c.ProbeInterval != nil {
		if o.Probe = time.Duration(*c.ProbeInterval); o.Probe == 0 {
			o.Probe = -1 // the pool's 0 is its default
		}
	}
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
