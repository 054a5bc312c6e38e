package pool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The phases of a creation that are the pool's; the provisioner's own come after them.
const (
	phaseInsert = "insert" // the provider is asked
	phaseBoot   = "boot"   // the instance starts
)

// create begins a machine: the intent goes to the journal, then the provider is asked.
func (p *Pool) create(reason string) {
	now := time.Now()
	name := p.newName(now)
	m := &machine{Machine: fleet.Machine{
		Name: name, Runner: p.opts.Key, Driver: p.settings.Driver, Options: p.machineOptions(name), CreatedAt: now,
	}}
	if life := p.settings.MachineLife; life > 0 {
		m.ExpiresAt = now.Add(life)
	}
	m.ctx, m.cancel = context.WithTimeout(p.ctx, p.opts.CreateTimeout)
	m.busy = true
	p.add(m)
	p.enter(m, fleet.Creating, reason)
	p.save(m, func(err error) {
		switch {
		case err != nil:
			p.notCreated(m, fmt.Errorf("%w; nothing was asked of the provider", err))
		case m.State == fleet.Removing:
			p.free(m)
		default:
			p.insert(m)
		}
	})
}

// machineOptions returns the options of a new machine: the settings', those that hold its name, and what the policies may replace.
func (p *Pool) machineOptions(name string) abi.Options {
	o := maps.Clone(p.settings.Options)
	if o == nil {
		o = abi.Options{}
	}
	for option, values := range p.settings.OptionsWithName {
		all := slices.Clone(o[option])
		for _, v := range values {
			all = append(all, strings.ReplaceAll(v, "%s", name))
		}
		o[option] = all
	}
	if p.decision != nil {
		for option, values := range p.decision.NextMachine {
			if slices.Contains(p.settings.Overridable, option) {
				o[option] = values
			}
		}
	}
	return o
}

// insert makes the machine's keys and asks the provider for the instance.
func (p *Pool) insert(m *machine) {
	p.enterPhase(m, phaseInsert)
	before := m.Machine
	p.call(func() func() {
		bootstrap, instance, err := p.callCreate(m.ctx, before)
		return func() { p.inserted(m, bootstrap.SSHUser, instance, err) }
	})
}

// callCreate runs elsewhere. Once the provider is asked, ctx does not cut the call off: an answer that nobody waits for may be an
// instance that nobody knows.
func (p *Pool) callCreate(ctx context.Context, m fleet.Machine) (b abi.Bootstrap, i abi.Instance, err error) {
	if err := enterGate(ctx, p.creates); err != nil {
		return b, i, err
	}
	defer leaveGate(p.creates)
	d, err := p.opts.Drivers(m.Driver)
	if err != nil {
		return b, i, err
	}
	if b, err = p.opts.Provisioner.Bootstrap(ctx, m.Name); err != nil {
		return b, i, err
	}
	if err := ctx.Err(); err != nil {
		return b, i, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.opts.CallTimeout)
	defer cancel()
	i, err = d.Create(ctx, abi.CreateRequest{
		ABI: abi.Version, Owner: p.owner(), Name: m.Name, Options: driverOptions(m.Options), Bootstrap: b,
		ExpiresAt: expiry(m.ExpiresAt),
	})
	return b, i, err
}

// expiry is a machine's end as drivers are told it; "" is never.
func expiry(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func (p *Pool) inserted(m *machine, user string, i abi.Instance, err error) {
	m.SSHUser = user
	if err == nil {
		m.Instance = i
		m.answered = time.Now()
	}
	switch p.free(m); {
	case m.State == fleet.Removing:
	case err != nil:
		p.creationFailed(m, err)
	default:
		p.save(m, nil)
		p.enterPhase(m, phaseBoot)
		p.advance(m)
	}
}

// advance looks at the instance of a machine that is being created: it is provisioned once it runs.
func (p *Pool) advance(m *machine) {
	switch i := m.Instance; i.Status {
	case abi.StatusRunning:
		if i.Address != "" {
			p.provision(m)
		}
	case abi.StatusStopped, abi.StatusGone, abi.StatusInterrupted:
		p.creationFailed(m, fmt.Errorf("the instance is %s before it ever ran: %s", i.Status, i.Message))
	}
}

func (p *Pool) provision(m *machine) {
	m.busy = true
	before := m.Machine
	p.call(func() func() {
		ctx, cancel := context.WithTimeout(m.ctx, p.opts.ProvisionTimeout)
		defer cancel()
		_, err := p.opts.Provisioner.Provision(ctx, before, func(phase string) {
			p.queue <- func() { p.enterPhase(m, phase) }
		})
		late := err != nil && m.ctx.Err() == nil && ctx.Err() != nil
		return func() {
			if late && m.State == fleet.Creating {
				p.overdue(m, overdueProvisioning, fmt.Sprintf("not provisioned after %s; it is removed and another one made", p.opts.ProvisionTimeout))
			}
			p.provisioned(m, err)
		}
	})
}

func (p *Pool) provisioned(m *machine, err error) {
	switch p.free(m); {
	case m.State == fleet.Removing:
	case err != nil:
		p.creationFailed(m, err)
	default:
		now := time.Now()
		m.cancel()
		m.ReadyAt, m.IdleSince = now, now
		p.alive(m)
		p.backoff = backoff{}
		p.log.Info("Machine created", "name", m.Name, "duration", now.Sub(m.CreatedAt), "now", now, "retries", 0)
		p.idle(m, "created")
		p.save(m, nil)
	}
}

// creationFailed removes what there may be of m and slows creation down. Jobs that wait learn of it.
func (p *Pool) creationFailed(m *machine, err error) {
	if p.ctx.Err() != nil {
		return // cut off by Stop, and journalled: the next start clears it away
	}
	p.noteFailure(m, err)
	p.remove(m, reasonFailed)
}

// notCreated is creationFailed for a machine that the provider never heard of.
func (p *Pool) notCreated(m *machine, err error) {
	p.noteFailure(m, err)
	m.cancel()
	p.call(func() func() {
		p.opts.Journal.Remove(m.Name) // a part may have been written; what stays is an intent, which the next start clears
		return func() { p.gone(m) }
	})
}

func (p *Pool) noteFailure(m *machine, err error) {
	now := time.Now()
	kind := driver.KindOf(err)
	p.backoff.failed(now, m.CreatedAt, err, p.opts.Jitter())
	p.failures.add(now, kind)
	p.log.Error("Machine creation failed", "name", m.Name, "time", now.Sub(m.CreatedAt), "error", err, "kind", kind,
		"phase", m.phase, "next_try", p.backoff.until)
	p.tell(m, fleet.MachineEvent{From: m.State, Phase: m.phase, Err: err.Error(), Duration: now.Sub(m.CreatedAt),
		Op: fleet.OpCreate, Kind: kind})
	p.chargeFailure(err)
}

// enterGate waits for a place. It and leaveGate run elsewhere.
func enterGate(ctx context.Context, gate chan struct{}) error {
	select {
	case gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func leaveGate(gate chan struct{}) { <-gate }

// driverOptions leaves out the options that are the host's: what configures the engine and its certificate.
func driverOptions(o abi.Options) abi.Options {
	d := make(abi.Options, len(o))
	for name, values := range o {
		if !hostOption(name) {
			d[name] = values
		}
	}
	return d
}

// hostOption tells an option that docker-machine's create has for every driver.
func hostOption(name string) bool {
	return strings.HasPrefix(name, "engine-") || name == "tls-san" || name == "tls-bootstrap-lock" ||
		name == "swarm" || strings.HasPrefix(name, "swarm-")
}
