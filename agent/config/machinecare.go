package config

import (
	"fmt"
	"time"
)

// MachineCare is [machines] of millwright.toml: how the agent looks after its machines, whatever runner they belong to. What is nil has
// its default. Changes take effect at once.
type MachineCare struct {
	// OrphanGrace is how long an instance under our owner tag that no journal entry explains is left alone. Default 30m.
	OrphanGrace *Duration `toml:"orphan_grace"`
	// ProbeInterval is between two probes of an idle machine's engine; 0 turns them off. Default 30s.
	ProbeInterval *Duration `toml:"probe_interval"`
	// How long a machine may be in a state before something is done about it.
	CreateTimeout    *Duration `toml:"create_timeout"`    // from the decision until it is ready; default 30m
	ProvisionTimeout *Duration `toml:"provision_timeout"` // of that, from the running instance on; default 25m
	GPUTimeout       *Duration `toml:"gpu_timeout"`       // of that, until the GPUs of a machine that has some answer; 0: nobody waits; default 15m
	AcquireTimeout   *Duration `toml:"acquire_timeout"`   // reserved for a job that does not come; default 10m
	RemoveTimeout    *Duration `toml:"remove_timeout"`    // after it a removal is reported as overdue; default 10m
	// MaxLife is how long after its creation a machine switches itself off, whatever becomes of the agent and of its job; 0: never. Use
	// more than max_machine_age and the longest job together. Default: a day more than max_machine_age, never without that.
	MaxLife *Duration `toml:"max_life"`
}

// checkCare notes what makes no sense in [machines].
func (d *decoder) checkCare(c MachineCare) {
	for _, n := range []struct {
		key   string
		v     *Duration
		least time.Duration
		zero  string // what 0 means, "" when it is not allowed
	}{
		{"orphan_grace", c.OrphanGrace, 0, "at once"},
		{"probe_interval", c.ProbeInterval, time.Second, "off"},
		{"create_timeout", c.CreateTimeout, time.Minute, ""},
		{"provision_timeout", c.ProvisionTimeout, time.Minute, ""},
		{"gpu_timeout", c.GPUTimeout, time.Minute, "GPUs are not waited for"},
		{"acquire_timeout", c.AcquireTimeout, time.Minute, ""},
		{"remove_timeout", c.RemoveTimeout, time.Minute, ""},
		{"max_life", c.MaxLife, time.Hour, "never"},
	} {
		if n.v == nil || time.Duration(*n.v) >= n.least || *n.v == 0 && n.zero != "" {
			continue
		}
		also := ""
		if n.zero != "" && n.least > 0 {
			also = fmt.Sprintf(", or 0 (%s)", n.zero)
		}
		d.bad("machines", n.key, "%s is too short; use %s at least%s", time.Duration(*n.v), n.least, also)
	}
}
