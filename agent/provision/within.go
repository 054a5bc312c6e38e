package provision

import (
	"context"
	"path/filepath"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Wishes are what an operator says of the machines of one runner. The zero value has none.
type Wishes struct {
	EngineTime time.Duration // until the configured engine answers; 0: Options.EngineTimeout
	GPUTime    time.Duration // until the GPUs of a machine that has some answer; 0: Options.GPUTimeout; less: nobody waits for them
	FirstBoot  bool          // the machines are to do all at their first boot, without a login
	// Preload are images that machines have before a job asks for them: names, which are pulled once the machine is ready and waits for a job,
	// and paths of archives as `docker save` writes them, which are loaded before it is ready.
	Preload []string
}

// preload sorts the images.
func (w Wishes) preload() (names, archives []string) {
	for _, image := range w.Preload {
		if filepath.IsAbs(image) {
			archives = append(archives, image)
		} else {
			names = append(names, image)
		}
	}
	return names, archives
}

// Within is a Provisioner for the machines of one runner. It is safe for concurrent use.
type Within struct {
	*Provisioner
	wishes func() Wishes
}

// Within returns p with wishes, which are asked for anew for each machine.
func (p *Provisioner) Within(wishes func() Wishes) Within { return Within{p, wishes} }

// Provision is the Provisioner's.
func (w Within) Provision(ctx context.Context, m fleet.Machine, phase func(string)) (fleet.Endpoint, error) {
	return w.provision(ctx, m, phase, w.wishes())
}

// FirstBoot is the Provisioner's for machines that are to do all at their first boot, and "" for others.
func (w Within) FirstBoot(ctx context.Context, m fleet.Machine) (string, error) {
	if !w.wishes().FirstBoot {
		return "", nil
	}
	return w.Provisioner.FirstBoot(ctx, m)
}
