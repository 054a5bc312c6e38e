package pool

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// goneAfter is how many complete lists in a row must lack a machine, or show an instance that nobody knows, before that is believed:
// providers answer from copies that lag behind.
const goneAfter = 2

// pastSpan is how long the names of removed machines are remembered.
const pastSpan = time.Hour

// longestListPause is the longest pause after lists that failed.
const longestListPause = time.Minute

// group is what one list call covers: the machines of one driver with the same options, but for their names. Mostly there is one.
type group struct {
	key     string
	driver  string
	options abi.Options

	busy     bool
	last     time.Time // when the last list ended
	failures int       // in a row
	err      string    // of the last list
}

// orphan is an instance under our owner tag that no journal entry explains.
type orphan struct {
	instance abi.Instance
	group    *group
	first    time.Time
	lists    int
	grace    time.Duration
}

// groupKey tells which machines one list shows. The machine's name counts as %s, because options may hold it.
func groupKey(driver string, o abi.Options, name string) string {
	data, _ := json.Marshal(driverOptions(o)) // lists of strings by name: it cannot fail
	key := string(data)
	if name != "" {
		key = strings.ReplaceAll(key, name, "%s")
	}
	return driver + " " + key
}

// poll starts the lists that are due: soon while something waits for an answer, otherwise now and then.
func (p *Pool) poll(now time.Time) {
	waiting := p.regroup()
	for key, g := range p.groups {
		pause := p.opts.List
		if waiting[key] || p.suspects(g, now) {
			pause = p.opts.Poll
		}
		if g.failures > 0 {
			pause = max(pause, delay(g.failures-1, p.opts.Poll, longestListPause, p.opts.Jitter()))
		}
		if !g.busy && (g.last.IsZero() || now.Sub(g.last) >= pause) {
			p.list(g, now)
		}
	}
}

// regroup makes p.groups those of the machines and of the settings, and returns which of them hold a machine that waits for a list.
func (p *Pool) regroup() (waiting map[string]bool) {
	waiting = map[string]bool{}
	needed := map[string]bool{}
	need := func(key, driver string, options abi.Options) {
		needed[key] = true
		if p.groups[key] == nil {
			p.groups[key] = &group{key: key, driver: driver, options: options}
		}
	}
	if s := p.settings; s.Driver != "" {
		o := p.machineOptions("%s")
		need(groupKey(s.Driver, o, ""), s.Driver, s.Options)
	}
	for _, m := range p.fleet {
		if m.State == fleet.Removing {
			continue
		}
		need(m.group, m.Driver, m.Options)
		if m.State == fleet.Creating && !m.busy || m.missing > 0 {
			waiting[m.group] = true
		}
	}
	maps.DeleteFunc(p.past, func(_ string, at time.Time) bool { return time.Since(at) > pastSpan })
	for key, g := range p.groups {
		if !needed[key] && !g.busy {
			delete(p.groups, key)
		}
	}
	return waiting
}

// suspects tells whether g has an orphan that only another list keeps from being removed. Unsafe names are never removed.
func (p *Pool) suspects(g *group, now time.Time) bool {
	for _, o := range p.orphans {
		if o.group.key == g.key && now.Sub(o.first) >= o.grace {
			return true
		}
	}
	return false
}

// list asks the provider for all instances of a group.
func (p *Pool) list(g *group, now time.Time) {
	g.busy = true
	request := abi.ListRequest{ABI: abi.Version, Owner: p.owner(), Options: driverOptions(g.options)}
	p.call(func() func() {
		result, err := p.callList(g.driver, request)
		var unknown []abi.Instance // asked after the list: what is journalled before it is created cannot be among them
		for _, i := range result.Instances {
			if !p.opts.Journal.Has(i.Name) {
				unknown = append(unknown, i)
			}
		}
		return func() { p.listed(g, now, result, unknown, err) }
	})
}

// callList runs elsewhere.
func (p *Pool) callList(name string, request abi.ListRequest) (abi.ListResult, error) {
	d, err := p.opts.Drivers(name)
	if err != nil {
		return abi.ListResult{}, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.opts.CallTimeout)
	defer cancel()
	return d.List(ctx, request)
}

// listed compares what the provider has with what we know. asked is when the list was asked for: what was created later may be
// missing from it.
func (p *Pool) listed(g *group, asked time.Time, r abi.ListResult, unknown []abi.Instance, err error) {
	now := time.Now()
	g.busy, g.last = false, now
	if p.stopping {
		return
	}
	if err != nil {
		if g.failures == 0 || g.err != err.Error() {
			p.log.Warn("Machines cannot be listed; none counts as gone", "driver", g.driver, "error", err)
		}
		g.failures++
		g.err = err.Error()
		return
	}
	g.failures, g.err = 0, ""
	shown := make(map[string]abi.Instance, len(r.Instances))
	for _, i := range r.Instances {
		shown[i.Name] = i
	}
	for _, m := range slices.Clone(p.fleet) {
		if m.group != g.key || m.State == fleet.Removing || m.answered.IsZero() || m.answered.After(asked) {
			continue
		}
		if i, ok := shown[m.Name]; ok {
			m.listed, m.missing = true, 0
			p.observe(m, i)
		} else if r.Complete {
			p.missed(m)
		}
	}
	if r.Complete {
		p.suspect(g, now, unknown)
	}
}

// observe takes in what the provider says about a machine.
func (p *Pool) observe(m *machine, i abi.Instance) {
	changed := i.ID != m.Instance.ID || i.Status != m.Instance.Status || i.Address != m.Instance.Address
	if len(i.State) == 0 {
		i.State = m.Instance.State
	}
	m.Instance = i
	if m.State == fleet.Creating {
		if changed {
			p.save(m, nil)
		}
		if !m.busy {
			p.advance(m)
		}
		return
	}
	switch i.Status {
	case abi.StatusStopped, abi.StatusGone, abi.StatusInterrupted:
		p.spoil(m, fmt.Sprintf("the instance is %s", i.Status))
	default:
		if changed {
			p.save(m, nil)
		}
	}
}

// missed notes that a complete list lacks a machine.
func (p *Pool) missed(m *machine) {
	if m.missing++; m.missing < goneAfter {
		return
	}
	const reason = "the instance is gone"
	if m.State == fleet.Creating {
		if !m.busy {
			p.creationFailed(m, fmt.Errorf("%s: %d complete lists lack it", reason, m.missing))
		}
		return
	}
	p.spoil(m, reason)
}

// spoil removes a machine that is of no more use, once nobody holds it. The driver's remove clears away what the instance left.
func (p *Pool) spoil(m *machine, reason string) {
	if m.lease != nil {
		m.broken = reason
		return
	}
	p.remove(m, reason)
}

// suspect counts how often an instance that no journal entry explains was shown, and removes it when both the lists and the grace
// time are enough. The removal is journalled like any other.
func (p *Pool) suspect(g *group, now time.Time, unknown []abi.Instance) {
	shown := make(map[string]bool, len(unknown))
	for _, i := range unknown {
		if p.byName[i.Name] != nil || i.Status == abi.StatusGone {
			continue
		}
		shown[i.Name] = true
		o := p.orphans[i.Name]
		if o == nil {
			o = &orphan{group: g, first: now, grace: p.grace(i.Name)}
			p.orphans[i.Name] = o
			p.log.Warn("Instance bears our owner tag and is in no journal", "name", i.Name, "id", i.ID, "driver", g.driver,
				"removed_after", o.grace)
		}
		if o.group.key != g.key {
			continue // another list shows it as well
		}
		o.instance = i
		if o.lists++; o.lists >= goneAfter && now.Sub(o.first) >= o.grace && safeName.MatchString(i.Name) {
			p.reap(o, now)
		}
	}
	for name, o := range p.orphans {
		if o.group.key == g.key && !shown[name] {
			delete(p.orphans, name)
		}
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
func (p *Pool) reap(o *orphan, now time.Time) {
	created, err := time.Parse(time.RFC3339, o.instance.CreatedAt)
	if err != nil {
		created = o.first
	}
	m := &machine{listed: true, answered: now, Machine: fleet.Machine{
		Name: o.instance.Name, Runner: p.opts.Key, Driver: o.group.driver, Options: o.group.options,
		CreatedAt: created, StateSince: now, Instance: o.instance,
	}}
	delete(p.orphans, m.Name)
	p.add(m)
	p.remove(m, reasonOrphan)
}
