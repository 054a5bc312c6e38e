package pool

import (
	"maps"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// defaultCapacityMemory is how long an alternative that the provider had none of is passed over.
const defaultCapacityMemory = 3 * time.Minute

// Alternative is what the operator would rather have than no machine: options that replace those of the same names.
type Alternative struct {
	Name            string // as the operator wrote it, for people
	Options         abi.Options
	OptionsWithName abi.Options // %s in a value is the machine's name
}

// asConfigured names the options as config.toml has them: the first choice.
const asConfigured = "as configured"

// ladder remembers which alternatives a provider had none of lately.
type ladder struct {
	until map[string]time.Time // by the alternative's name: it is passed over before
}

// alternatives are all choices in order, the options of config.toml first.
func (s Settings) alternatives() []Alternative {
	return append([]Alternative{{Name: asConfigured}}, s.Alternatives...)
}

// pick returns the first alternative that is not passed over; when all are, the one that is so for the shortest time.
func (l *ladder) pick(now time.Time, all []Alternative) Alternative {
	best := all[0]
	for _, a := range all {
		if !now.Before(l.until[a.Name]) {
			return a
		}
		if l.until[a.Name].Before(l.until[best.Name]) {
			best = a
		}
	}
	return best
}

// failed passes an alternative over for some time. It tells whether another one is left to be tried now.
func (l *ladder) failed(now time.Time, name string, memory time.Duration, all []Alternative) bool {
	l.pass(name, now.Add(memory))
	maps.DeleteFunc(l.until, func(_ string, until time.Time) bool { return !now.Before(until) })
	return slices.ContainsFunc(all, func(a Alternative) bool { return now.After(l.until[a.Name]) })
}

// pass has an alternative passed over until a time.
func (l *ladder) pass(name string, until time.Time) {
	if l.until == nil {
		l.until = map[string]time.Time{}
	}
	l.until[name] = until
}

// passedOver lists the alternatives that the provider had none of lately, by name.
func (l *ladder) passedOver(now time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	for name, until := range l.until {
		if now.Before(until) {
			out[name] = until
		}
	}
	return out
}

// next returns what the next machine is made of: what the policies chose, as far as they may, or else the first alternative that is not
// passed over.
func (p *Pool) next(now time.Time) Alternative {
	if chosen := p.chosen(); len(chosen) > 0 {
		return Alternative{Options: chosen}
	}
	return p.ladder.pick(now, p.settings.alternatives())
}

// chosen are the options that the policies chose for the next machine, as far as they may be replaced.
func (p *Pool) chosen() abi.Options {
	if p.decision == nil || len(p.decision.NextMachine) == 0 {
		return nil
	}
	chosen := abi.Options{}
	for option, values := range p.decision.NextMachine {
		if slices.Contains(p.settings.Overridable, option) {
			chosen[option] = values
		}
	}
	return chosen
}

// stockedOut takes in that a creation failed. It tells whether another alternative is to be tried at once; that failure holds nobody back.
func (p *Pool) stockedOut(now time.Time, m *machine, kind abi.ErrorKind) bool {
	if m.choice == "" || kind != abi.Capacity && kind != abi.Quota {
		return false
	}
	memory := p.settings.CapacityMemory
	if memory <= 0 {
		memory = defaultCapacityMemory
	}
	left := p.ladder.failed(now, m.choice, memory, p.settings.alternatives())
	if left {
		p.log.Warn("The provider has none of this; trying another alternative", "name", m.Name, "kind", kind, "tried", m.choice,
			"next", p.ladder.pick(now, p.settings.alternatives()).Name, "passed_over_for", memory)
	}
	return left
}

// overrideRail is the record of options that the policies chose and may not.
func (p *Pool) overrideRail() []fleet.Rail {
	if p.decision == nil {
		return nil
	}
	wanted, got := len(p.decision.NextMachine), len(p.chosen())
	if wanted == got {
		return nil
	}
	return []fleet.Rail{{Name: "next_machine", Cause: "overridable", Wanted: wanted, Got: got,
		Reason: "policies may replace options of the roles zone, type and spot, and those that overridable of millwright.toml names"}}
}
