package pool

import (
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Care is how machines are looked after. The zero value has the defaults.
type Care struct {
	// OrphanGrace is how long an instance under our owner tag that no journal entry explains is left alone; nil means 30 minutes.
	OrphanGrace      *time.Duration
	Probe            time.Duration // between two probes of an idle machine; default 30s, less than 0: never
	CreateTimeout    time.Duration // from the decision to create until the engine answers; default 30m
	ProvisionTimeout time.Duration // of that, from the running instance on; default 25m, beyond the provisioner's own limits
	AcquireTimeout   time.Duration // a lease may hold a machine without a job; default 10m
	RemoveTimeout    time.Duration // after it a removal counts as overdue; default 10m
}

// complete fills in the defaults.
func (c *Care) complete() {
	if c.OrphanGrace == nil {
		grace := 30 * time.Minute
		c.OrphanGrace = &grace
	}
	if c.Probe == 0 {
		c.Probe = 30 * time.Second
	}
	for _, d := range []struct {
		v     *time.Duration
		value time.Duration
	}{
		{&c.CreateTimeout, 30 * time.Minute},
		{&c.ProvisionTimeout, 25 * time.Minute},
		{&c.AcquireTimeout, 10 * time.Minute},
		{&c.RemoveTimeout, 10 * time.Minute},
	} {
		if *d.v <= 0 {
			*d.v = d.value
		}
	}
}

// SetCare replaces how machines are looked after, at once. A creation under way does not get more time than it had.
func (p *Pool) SetCare(c Care) {
	c.complete()
	p.do(func() {
		p.opts.Care = c
		now := time.Now()
		for _, m := range p.fleet {
			if m.State == fleet.Idle && c.Probe > 0 && m.probeAt.Sub(now) > c.Probe {
				p.scheduleProbe(m, now)
			}
		}
		for _, o := range p.orphans {
			o.grace = p.grace(o.instance.Name)
		}
	})
}
