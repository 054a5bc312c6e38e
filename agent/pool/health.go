package pool

import (
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
)

// Of the probes of idle machines. A machine that fails one is asked again soon, and is removed when it failed Settings.ProbeTries in a row.
const (
	defaultTries    = 3
	probeAgain      = 5 * time.Second
	allSilentLimit  = 10 * time.Minute // after it machines go though none answers
	allSilentRemind = time.Minute      // between two lines of the log about that
)

// probes is what the pool knows of the machines that do not answer.
type probes struct {
	running  int
	answered time.Time // when an engine last gave a sign of life
	warned   time.Time // when the log was told that none answers
}

func (p *Pool) probeTries() int {
	if n := p.settings.ProbeTries; n > 0 {
		return n
	}
	return defaultTries
}

// alive notes a sign of life of m's engine.
func (p *Pool) alive(m *machine) {
	now := time.Now()
	m.fresh, m.Silent, m.silentSince = now, 0, time.Time{}
	m.close()
	p.probes.answered = now
	p.scheduleProbe(m, now)
}

// scheduleProbe sets when m is asked next for a sign of life. Jitter spreads machines that were made together.
func (p *Pool) scheduleProbe(m *machine, now time.Time) {
	pause := p.opts.Probe
	if m.Silent > 0 {
		pause = min(pause, probeAgain)
	}
	m.probeAt = now.Add(time.Duration(float64(pause) * (0.75 + p.opts.Jitter()/2)))
}

// probeIdle asks the engines of idle machines for a sign of life, each over its own connection, as their time comes and a few at
// once, so that a dead machine is gone before a job meets it. What an agent before left is cleaned on this occasion.
func (p *Pool) probeIdle(now time.Time) {
	if p.opts.Probe <= 0 {
		return
	}
	for _, m := range p.fleet {
		if p.probes.running >= p.opts.ProbeParallel {
			return
		}
		shared := m.State == fleet.Used && m.Capacity() > 1                                  // else its job finds out
		if m.State != fleet.Idle && !shared || m.busy || m.Held() || now.Before(m.probeAt) { // a held one is not removed, whatever it is like
			continue
		}
		m.busy = true
		p.probes.running++
		record, dirty := m.Machine, m.dirty && !shared
		p.call(func() func() {
			err := p.probe(record, dirty)
			return func() {
				p.probes.running--
				p.idleProbed(m, err)
			}
		})
	}
}

// idleProbed takes in the answer of an idle machine. A lease that took it meanwhile can't wait for another try.
func (p *Pool) idleProbed(m *machine, err error) {
	if err == nil || m.State != fleet.Idle || p.ctx.Err() != nil {
		p.probed(m, err)
		return
	}
	p.free(m)
	now := time.Now()
	if m.Silent++; m.Silent == 1 {
		m.silentSince = now
	}
	p.scheduleProbe(m, now)
	p.log.Debug("Idle machine does not answer", "name", m.Name, "tries", m.Silent, "error", err)
	if m.Silent >= p.probeTries() && !p.allSilent(m, now) {
		p.unavailable(m, err)
	}
}

// allSilent tells whether it is likelier that the agent's own network fails than that m does: several machines do not answer, and
// none has answered since m fell silent. They are kept then, for a while; a job that comes to one moves on to the next all the same.
func (p *Pool) allSilent(m *machine, now time.Time) bool {
	if p.probes.answered.After(m.silentSince) || now.Sub(m.silentSince) >= allSilentLimit {
		return false
	}
	silent := 0
	for _, other := range p.fleet {
		if (other.State == fleet.Idle || other.State == fleet.Used) && other.Silent > 0 {
			silent++
		}
	}
	if silent < 2 {
		return false
	}
	if now.Sub(p.probes.warned) >= allSilentRemind {
		p.probes.warned = now
		p.log.Warn("No idle machine answers; they are kept, since the agent's own network may be at fault", "machines", silent,
			"since", m.silentSince, "kept_for", allSilentLimit)
	}
	return true
}

// unavailable removes a machine whose engine does not answer. A lease that was to have it takes another one.
func (p *Pool) unavailable(m *machine, err error) {
	p.log.Warn("Machine does not answer", "name", m.Name, "instance", m.Instance.ID, "error", err)
	p.tell(m, fleet.MachineEvent{From: m.State, Err: err.Error(), Op: fleet.OpProbe, Kind: driver.KindOf(err)})
	p.remove(m, reasonUnavailable)
}
