package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// ErrName means that an orphan's name is none that we give, so that it can't even be journalled.
var ErrName = errors.New("its name is none that Millwright gives; remove it at the provider")

// orphan is an instance under our owner tag that no journal entry explains.
type orphan struct {
	instance abi.Instance
	group    *group
	first    time.Time
	lists    int
	grace    time.Duration
}

// Orphan is an instance under our owner tag that no journal entry explains.
type Orphan struct {
	Instance abi.Instance
	Driver   string
	Since    time.Time // when a list showed it first
	Removal  time.Time // when it is removed at the earliest; zero: never by itself
	Note     string    // why not; "" otherwise
}

// noteUnreadable remembers what is in the store and can't be taken up, and tells of it.
func (p *Pool) noteUnreadable(problems []journal.Problem) {
	for _, problem := range problems {
		if errors.Is(problem.Err, journal.ErrByHand) {
			continue // it is nobody's business here
		}
		p.log.Warn("Machine in the store is passed over", "machine", problem.Machine, "path", problem.Path, "error", problem.Err)
		if errors.Is(problem.Err, journal.ErrCorrupt) || errors.Is(problem.Err, journal.ErrIncomplete) {
			p.unreadable[problem.Machine] = fmt.Errorf("%s: %w", problem.Path, problem.Err)
		}
	}
}

// suspect counts how often an instance that no journal entry explains was shown, and removes it when both the lists and the grace
// time are enough. The removal is journalled like any other. One whose entry can't be read is shown, and left for a human to judge.
// journalled holds the names that the store has a folder for.
func (p *Pool) suspect(g *group, now time.Time, instances []abi.Instance, journalled map[string]bool) {
	shown := make(map[string]bool, len(instances))
	for _, i := range instances {
		unreadable := p.unreadable[i.Name] != nil
		if unreadable && !journalled[i.Name] { // its folder is gone: it was being made or removed when the store was read
			delete(p.unreadable, i.Name)
			unreadable = false
		}
		if p.byName[i.Name] != nil || i.Status == abi.StatusGone || journalled[i.Name] && !unreadable {
			continue
		}
		shown[i.Name] = true
		o := p.orphans[i.Name]
		if o == nil {
			o = &orphan{group: g, first: now, grace: p.grace(i.Name)}
			p.orphans[i.Name] = o
			p.tellOrphan(i, g, o)
		}
		if o.group.key != g.key {
			continue // another list shows it as well
		}
		o.instance = i
		if o.lists++; o.lists >= goneAfter && now.Sub(o.first) >= o.grace && !unreadable && CheckName(i.Name) == nil {
			p.reap(o, now)
		}
	}
	for name, o := range p.orphans {
		if o.group.key == g.key && !shown[name] {
			delete(p.orphans, name)
		}
	}
}

func (p *Pool) tellOrphan(i abi.Instance, g *group, o *orphan) {
	args := []any{"name", i.Name, "id", i.ID, "driver", g.driver}
	switch err := p.unreadable[i.Name]; {
	case err != nil:
		p.log.Error("Instance bears our owner tag and its journal entry can't be read; it is kept: mend the entry and restart, or `millwright machine reap`",
			append(args, "error", err)...)
	case CheckName(i.Name) != nil:
		p.log.Error("Instance bears our owner tag and a name that is none of ours; it is never removed", args...)
	default:
		p.log.Warn("Instance bears our owner tag and is in no journal", append(args, "removed_after", o.grace)...)
	}
}

// grace returns how long an orphan is left alone. A machine that we removed lately comes back only when its creation was answered
// with an error and went through all the same, or when a list lags: it may go at once.
func (p *Pool) grace(name string) time.Duration {
	if _, ours := p.past[name]; ours {
		return 0
	}
	return *p.opts.OrphanGrace
}

// reap takes an orphan up as a machine that is being removed.
func (p *Pool) reap(o *orphan, now time.Time) *machine {
	created, err := time.Parse(time.RFC3339, o.instance.CreatedAt)
	if err != nil {
		created = o.first
	}
	m := &machine{listed: true, answered: now, Machine: fleet.Machine{
		Name: o.instance.Name, Runner: p.opts.Key, Driver: o.group.driver, Options: o.group.options,
		CreatedAt: created, StateSince: now, Instance: o.instance,
	}}
	delete(p.orphans, m.Name)
	delete(p.unreadable, m.Name)
	p.add(m)
	p.remove(m, reasonOrphan)
	return m
}

// Reap removes an orphan now, whatever its grace time, and waits until it is gone or ctx ends; the removal goes on then. ErrUnknown
// means that no list showed one of that name.
func (p *Pool) Reap(ctx context.Context, name string) error {
	return p.removal(ctx, func() (*machine, error) {
		o := p.orphans[name]
		switch {
		case p.opts.Watch != nil:
			return nil, ErrWatching
		case o == nil:
			return nil, ErrUnknown
		case p.shared.frozen():
			return nil, ErrFrozen
		}
		if err := CheckName(name); err != nil {
			return nil, err
		}
		return p.reap(o, time.Now()), nil
	})
}

// orphanStatus is o for people.
func (p *Pool) orphanStatus(o *orphan) Orphan {
	i := o.instance
	i.State = nil
	s := Orphan{Instance: i, Driver: o.group.driver, Since: o.first, Removal: o.first.Add(o.grace)}
	if err := p.unreadable[i.Name]; err != nil {
		s.Note = "its journal entry can't be read: " + err.Error()
	} else if err := CheckName(i.Name); err != nil {
		s.Note = err.Error()
	}
	if s.Note != "" {
		s.Removal = time.Time{}
	}
	return s
}
