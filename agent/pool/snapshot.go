package pool

import (
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// snapshot is all that the policies get to know, but for what the chain adds for each module.
func (p *Pool) snapshot(now time.Time) abi.Snapshot {
	s := abi.Snapshot{
		ABI: abi.Version, Now: now.UTC().Format(time.RFC3339Nano), NowUnixMS: now.UnixMilli(),
		Zones:    p.opts.Zones(now),
		Runner:   p.settings.Runner,
		Fleet:    p.view.Counts(),
		Demand:   p.demandNow(now),
		Failures: p.failures.byKind(now),
	}
	if p.settings.Runner.Instances != nil {
		slots := p.slots(now)
		s.Slots = &slots
	}
	if p.opts.WantMachines() {
		for _, m := range p.fleet {
			s.Machines = append(s.Machines, machineView(now, &m.Machine))
		}
	}
	return s
}

// demandNow counts jobs: those on machines, those that wait for one, and those of the windows.
func (p *Pool) demandNow(now time.Time) abi.Demand {
	d := abi.Demand{Running: p.running(), Windows: p.demand.windows(now)}
	for _, l := range p.wanting {
		if l.job != 0 {
			d.Waiting++
		}
	}
	return d
}

func machineView(now time.Time, m *fleet.Machine) abi.MachineView {
	v := abi.MachineView{Name: m.Name, State: string(m.State), AgeS: now.Sub(m.CreatedAt).Seconds(), UsedCount: m.UsedCount}
	if m.State == fleet.Idle {
		v.IdleS = now.Sub(m.IdleSince).Seconds()
	}
	return v
}
