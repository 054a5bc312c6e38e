package pool

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// SetbackLog keeps what failed creations hold back over restarts; *journal.Journal is one. It is safe for concurrent use.
type SetbackLog interface {
	SetSetbacks(runner string, s fleet.Setbacks) error
	Setbacks(runner string) (fleet.Setbacks, error)
}

// longestRecall is the longest that a setback from before a restart holds, and how long after its end it still counts as one.
const longestRecall = time.Hour

// setbackWrites keeps the writes in order: one at a time, and what changed meanwhile goes into the next one.
type setbackWrites struct {
	busy, again bool
}

// inStock notes that the provider took the creation of m on.
func (p *Pool) inStock(m *machine) {
	if _, was := p.ladder.until[m.choice]; was {
		delete(p.ladder.until, m.choice)
		p.keepSetbacks()
	}
}

// succeeded notes that a machine became ready: nothing holds creation back any more.
func (p *Pool) succeeded() {
	if len(p.breaker.kinds) > 0 {
		p.breaker = breaker{}
		p.keepSetbacks()
	}
}

// forgetSetbacks has the next creation tried as if none had failed.
func (p *Pool) forgetSetbacks() {
	if len(p.breaker.kinds)+len(p.ladder.until) > 0 {
		p.breaker, p.ladder = breaker{}, ladder{}
		p.keepSetbacks()
	}
}

// keepSetbacks writes down what holds creation back now. A restart in between forgets the last failure at most.
func (p *Pool) keepSetbacks() {
	if p.opts.Setbacks == nil {
		return
	}
	if p.setbacks.busy {
		p.setbacks.again = true
		return
	}
	p.setbacks.busy = true
	now := p.setbacksNow(time.Now())
	p.call(func() func() {
		err := p.opts.Setbacks.SetSetbacks(p.opts.Key, now)
		return func() {
			if err != nil {
				p.log.Warn("A restart would not know which creations failed", "error", err)
			}
			again := p.setbacks.again
			if p.setbacks = (setbackWrites{}); again {
				p.keepSetbacks()
			}
		}
	})
}

func (p *Pool) setbacksNow(now time.Time) fleet.Setbacks {
	s := fleet.Setbacks{At: now.UTC(), MadeOf: p.settings.madeOf(p.opts.Owner), PassedOver: map[string]time.Time{}}
	for name, until := range p.ladder.passedOver(now) {
		s.PassedOver[name] = until.UTC()
	}
	for _, k := range p.breaker.kinds {
		s.Pauses = append(s.Pauses, fleet.Pause{Kind: k.kind, Failures: k.failures, Since: k.since.UTC(), Until: k.until.UTC(), Err: k.err})
	}
	return s
}

// recallSetbacks takes up what was held back before the restart, as far as machines are made of the same things as then. It holds for no longer
// than it did then, however the clock was set meanwhile.
func (p *Pool) recallSetbacks(now time.Time) {
	if p.opts.Setbacks == nil || p.opts.Decider == nil || p.opts.Watch != nil {
		return
	}
	s, err := p.opts.Setbacks.Setbacks(p.opts.Key)
	if err != nil {
		p.log.Warn("Nobody knows which creations failed before; all are tried", "error", err)
		return
	}
	if s.None() || s.MadeOf != p.settings.madeOf(p.opts.Owner) {
		return
	}
	left := func(until time.Time) time.Duration { return min(until.Sub(now), until.Sub(s.At), longestRecall) }
	for name, until := range s.PassedOver {
		if d := left(until); d > 0 {
			p.ladder.pass(name, now.Add(d))
		}
	}
	for _, pause := range s.Pauses {
		d := left(pause.Until)
		if d < -longestRecall || pause.Failures <= 0 {
			continue
		}
		first, _ := pace(pause.Kind)
		if pause.Kind == abi.Auth || pause.Kind == abi.Invalid {
			d = min(d, first) // the restart may be what mends it
		}
		p.breaker.recall(backoff{
			failures: pause.Failures, since: earlier(pause.Since, now), until: now.Add(d), kind: pause.Kind, err: pause.Err,
		})
	}
	if state := p.breaker.state(now); state != BreakerClosed || len(p.ladder.until) > 0 {
		p.log.Info("Creations failed before the restart, so machines are made carefully; a reload forgets that", "breaker", state,
			"next_try", p.breaker.until(), "passed_over", len(p.ladder.until))
	}
}

// madeOf is a digest of what machines are made of, with all alternatives.
func (s Settings) madeOf(salt string) string {
	data, err := json.Marshal([]any{salt, s.Driver, s.Options, s.OptionsWithName, s.Alternatives})
	if err != nil {
		return "" // lists of strings by name: it cannot fail
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
