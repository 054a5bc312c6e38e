package provision

import (
	"context"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Within is a Provisioner for machines whose engine is waited for as long as the operator says. It is safe for concurrent use.
type Within struct {
	*Provisioner
	limit func() time.Duration
}

// Within returns p with a time of its own for the engine to answer, asked for each machine anew; 0 takes p's.
func (p *Provisioner) Within(limit func() time.Duration) Within { return Within{p, limit} }

// Provision is the Provisioner's.
func (w Within) Provision(ctx context.Context, m fleet.Machine, phase func(string)) (fleet.Endpoint, error) {
	return w.provision(ctx, m, phase, w.limit())
}
