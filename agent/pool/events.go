package pool

import (
	"fmt"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// eventBacklog is how many messages wait for a slow listener before they are lost.
const eventBacklog = 1024

// events passes on what the pool tells, in order and on a goroutine of its own, so that a listener that blocks (a paused terminal)
// never holds up a machine.
type events struct {
	listen func(fleet.Event)
	onIdle func()
	queue  chan func()
	done   chan struct{} // closed after the last message
}

func (e *events) init(listen func(fleet.Event), onIdle func()) {
	*e = events{listen: listen, onIdle: onIdle, queue: make(chan func(), eventBacklog), done: make(chan struct{})}
}

// run is the goroutine; close ends it.
func (e *events) run() {
	defer close(e.done)
	for tell := range e.queue {
		tell()
	}
}

func (e *events) close() { close(e.queue) }

func (e *events) send(ev fleet.Event) {
	if e.listen != nil {
		e.post(func() { e.listen(ev) })
	}
}

func (e *events) idle() {
	if e.onIdle != nil {
		e.post(e.onIdle)
	}
}

func (e *events) post(tell func()) {
	select {
	case e.queue <- tell:
	default: // the listener sleeps; it can ask for the status when it wakes up
	}
}

// enter moves m into a state and tells so.
func (p *Pool) enter(m *machine, s fleet.State, reason string) {
	now := time.Now()
	e := fleet.MachineEvent{From: m.State, Reason: reason}
	if s == fleet.Removing {
		e.Cause = cause(reason)
	}
	if m.State == fleet.Idle {
		p.idleFor += max(now.Sub(latest(p.ticked, m.StateSince)), 0)
	}
	if m.State != "" {
		e.Duration = now.Sub(m.StateSince)
	}
	if m.State == fleet.Creating {
		m.endPhase(now)
		e.Phases = m.phases
	}
	m.State, m.StateSince = s, now
	p.tell(m, e)
}

// enterPhase tells that the next phase of m's creation begins.
func (p *Pool) enterPhase(m *machine, phase string) {
	if m.State != fleet.Creating {
		return
	}
	now := time.Now()
	e := fleet.MachineEvent{From: m.State, Phase: phase}
	if m.phase != "" {
		e.Duration = now.Sub(m.phaseAt)
	}
	m.endPhase(now)
	m.phase, m.phaseAt = phase, now
	p.tell(m, e)
}

// endPhase notes how long the present phase took.
func (m *machine) endPhase(now time.Time) {
	if m.phase != "" {
		m.phases = append(m.phases, fleet.PhaseTime{Phase: m.phase, Duration: now.Sub(m.phaseAt)})
	}
	m.phase = ""
}

// phaseTimes says how long each phase of m's creation took, the present one up to now.
func phaseTimes(m *machine, now time.Time) string {
	var b strings.Builder
	for _, p := range m.phases {
		fmt.Fprintf(&b, "%s %s, ", p.Phase, p.Duration.Round(time.Millisecond))
	}
	if m.phase != "" {
		fmt.Fprintf(&b, "%s %s", m.phase, now.Sub(m.phaseAt).Round(time.Millisecond))
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// tell sends e about m as it is now.
func (p *Pool) tell(m *machine, e fleet.MachineEvent) {
	if e.JobID == 0 {
		e.JobID = m.JobID
	}
	e.Name, e.State, e.Target = m.Name, m.State, fleet.TargetOf(m.Driver, m.Options)
	p.out.send(fleet.Event{At: time.Now(), Runner: p.settings.Runner.Name, Executor: p.settings.Executor, Machine: &e})
}
