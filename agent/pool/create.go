package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
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
	if !p.shared.take(p.opts.Key, now) {
		return // another runner was faster; the plan will know
	}
	if t := p.settings.Throttle; t.PerSecond > 0 {
		p.bucket = p.bucket.Refill(now, t).Take(1)
	}
	name, choice := p.newName(now), p.next(now)
	m := &machine{choice: choice.Name, Machine: fleet.Machine{
		Name: name, Runner: p.opts.Key, Driver: p.settings.Driver, Options: p.machineOptions(name, choice), CreatedAt: now,
		Slots: p.settings.limits().Slots,
	}}
	if life := p.life(now); life > 0 {
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

// machineOptions returns the options of a new machine: the settings' with those of choice in their place, and those that hold its name.
func (p *Pool) machineOptions(name string, choice Alternative) abi.Options {
	o := maps.Clone(p.settings.Options)
	if o == nil {
		o = abi.Options{}
	}
	withName := maps.Clone(p.settings.OptionsWithName)
	for option, values := range choice.Options {
		delete(withName, option)
		o[option] = values
	}
	for option, values := range choice.OptionsWithName {
		delete(o, option)
		if withName == nil {
			withName = abi.Options{}
		}
		withName[option] = values
	}
	for option, values := range withName {
		all := slices.Clone(o[option])
		for _, v := range values {
			all = append(all, strings.ReplaceAll(v, "%s", name))
		}
		o[option] = all
	}
	return o
}

// insert makes the machine's keys and asks the provider for the instance.
func (p *Pool) insert(m *machine) {
	p.enterPhase(m, phaseInsert)
	before, in := m.Machine, p.accountOf(m.Driver, m.Options)
	p.call(func() func() {
		bootstrap, instance, err := p.callCreate(m.ctx, before, in)
		return func() { p.inserted(m, bootstrap.SSHUser, instance, err) }
	})
}

// callCreate runs elsewhere. Once the provider is asked, ctx does not cut the call off: an answer that nobody waits for may be an
// instance that nobody knows.
func (p *Pool) callCreate(ctx context.Context, m fleet.Machine, in *account) (b abi.Bootstrap, i abi.Instance, err error) {
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
	if p.opts.FirstBoot != nil {
		if b.FirstBoot, err = p.opts.FirstBoot(ctx, m); err != nil {
			return b, i, err
		}
	}
	request := abi.CreateRequest{
		ABI: abi.Version, Owner: p.owner(), Name: m.Name, Options: driverOptions(m.Options), Bootstrap: b,
		ExpiresAt: expiry(m.ExpiresAt),
	}
	for try := 1; ; try++ {
		if err := p.beforeCreate(ctx, m, in, d, try); err != nil {
			return b, i, err
		}
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.opts.CallTimeout)
		i, err = d.Create(call, request)
		cancel()
		in.answered(err)
		if !errors.Is(err, driver.ErrRateLimited) || try == limitedTries || retryAfter(err) > limitedPatience {
			return b, i, err
		}
	}
}

// notAsked is why a provider was not asked for a machine at all.
type notAsked struct{ error }

func (e notAsked) Unwrap() error { return e.error }

// beforeCreate waits for the account's budget and writes the creation down. An error of the first try is a notAsked.
func (p *Pool) beforeCreate(ctx context.Context, m fleet.Machine, in *account, d driver.Driver, try int) error {
	err := in.enterFor(ctx, opCreate, d)
	if err == nil && p.shared.frozen() {
		err = ErrFrozen
	}
	if try > 1 {
		return err
	}
	if err == nil {
		err = p.shared.note(m.Runner, m.CreatedAt)
	}
	if err != nil {
		return notAsked{fmt.Errorf("machine %s: %w; nothing was asked of the provider", m.Name, err)}
	}
	return nil
}

// A creation that the provider had too many calls for is asked for again, with the same name, when the account's budget permits: that is no
// failure of the machine. A long pause is one, so that whoever waits learns of it.
const (
	limitedTries    = 5
	limitedPatience = 2 * time.Minute
)

// lifeBeyondAge is how much longer than max_machine_age a machine lives when nobody removes it: the longest job that it may have begun.
const lifeBeyondAge = 24 * time.Hour

// life returns how long after its creation a machine ends by itself; 0 is never.
func (p *Pool) life(now time.Time) time.Duration {
	if p.settings.MachineLife != 0 {
		return max(p.settings.MachineLife, 0)
	}
	if age := plan.MaxAge(p.limits(now)); age > 0 {
		return age + lifeBeyondAge
	}
	return 0
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
	case errors.As(err, new(notAsked)):
		p.notAsked(m, err)
	case err != nil:
		p.creationFailed(m, err)
	default:
		p.inStock(m)
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
		if i.Error != nil {
			p.creationFailed(m, &driver.Error{Driver: m.Driver, Op: opCreate, Info: *i.Error})
			return
		}
		p.creationFailed(m, fmt.Errorf("the instance is %s before it ever ran: %s", i.Status, i.Message))
	}
}

func (p *Pool) provision(m *machine) {
	m.busy = true
	before, limit := m.Machine, p.opts.ProvisionTimeout
	p.call(func() func() {
		ctx, cancel := context.WithTimeout(m.ctx, limit)
		defer cancel()
		_, err := p.opts.Provisioner.Provision(ctx, before, func(phase string) {
			p.queue <- func() { p.enterPhase(m, phase) }
		})
		late := err != nil && m.ctx.Err() == nil && ctx.Err() != nil
		return func() {
			if late && m.State == fleet.Creating {
				p.overdue(m, overdueProvisioning, fmt.Sprintf("not provisioned after %s; it is removed and another one made", limit))
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
		p.succeeded()
		p.log.Info("Machine created", "name", m.Name, "instance_id", m.Instance.ID, "duration", now.Sub(m.CreatedAt), "now", now, "retries", 0, "phases", phaseTimes(m, now))
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
	p.forgetCreation(m)
}

func (p *Pool) noteFailure(m *machine, err error) {
	now := time.Now()
	kind := driver.KindOf(err)
	another := p.stockedOut(now, m, kind)
	if !another {
		p.breaker.failed(now, m.CreatedAt, err, p.opts.Jitter())
	}
	p.keepSetbacks()
	p.failures.add(now, kind)
	p.log.Error("Machine creation failed", "name", m.Name, "time", now.Sub(m.CreatedAt), "error", err, "kind", kind,
		"phase", m.phase, "alternative", m.choice, "next_try", p.breaker.until())
	p.tell(m, fleet.MachineEvent{From: m.State, Phase: m.phase, Err: err.Error(), Duration: now.Sub(m.CreatedAt),
		Op: fleet.OpCreate, Kind: kind})
	if !another {
		p.chargeFailure(err)
	}
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
