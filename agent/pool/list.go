package pool

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// goneAfter is how many complete lists in a row must lack a machine, or show an instance that nobody knows, before that is believed:
// providers answer from copies that lag behind.
const goneAfter = 2

// lagPolls is for how many polls' time (half a minute) a new machine may be missing from complete lists.
const lagPolls = 15

// pastSpan is how long the names of removed machines are remembered.
const pastSpan = time.Hour

// longestListPause is the longest pause after lists that failed.
const longestListPause = time.Minute

// group is what one list call covers: the machines of one driver with the same options, but for their names. Mostly there is one.
type group struct {
	key     string
	driver  string
	began   time.Time // when the last list that was taken in began
	options abi.Options

	busy     bool
	doubted  []string  // machines that their jobs think gone
	answered bool      // a list succeeded
	needed   time.Time // when a machine or the settings were last in it
	last     time.Time // when the last list ended
	failures int       // in a row
	err      string    // of the last list
}

// groupKey tells which machines one list shows. The machine's name counts as %s, because options may hold it.
func groupKey(driver string, o abi.Options, name string) string {
	return fleet.Place{Driver: driver, Options: driverOptions(o), Machine: name}.Key()
}

// poll starts the lists that are due: soon while something waits for an answer, otherwise now and then.
func (p *Pool) poll(now time.Time) {
	waiting, spot := p.regroup()
	for key, g := range p.groups {
		pause := p.listEvery()
		if spot[key] {
			pause = min(pause, p.opts.SpotList)
		}
		if waiting[key] || p.suspects(g, now) || p.withheld(g) {
			pause = p.pollEvery()
		}
		pause = max(pause, p.accountOf(g.driver, g.options).listPause())
		if g.failures > 0 {
			pause = max(pause, delay(g.failures-1, p.pollEvery(), longestListPause, p.opts.Jitter()))
		}
		if !g.busy && (g.last.IsZero() || now.Sub(g.last) >= pause) {
			p.list(g, now, pause/2)
		}
	}
}

// listEvery is the time between two lists while nothing is expected, pollEvery that while something is.
func (p *Pool) listEvery() time.Duration { return cmp.Or(p.settings.List, p.opts.List) }
func (p *Pool) pollEvery() time.Duration { return cmp.Or(p.settings.Poll, p.opts.Poll) }

// answers tells whether what makes machines now has told what there is, and did not fail twice in a row since.
func (p *Pool) answers() bool {
	for _, g := range p.groups {
		if g.driver == p.settings.Driver && g.answered && g.failures < 2 {
			return true
		}
	}
	return false
}

// withheld tells whether no job is asked for because g did not answer.
func (p *Pool) withheld(g *group) bool {
	return p.settings.Runner.Instances != nil && g.driver == p.settings.Driver && g.failures > 0 && !p.answers()
}

// regroup makes p.groups those of the machines and of the settings, and of a while ago, since what was given up may turn up late. It
// returns which of them hold a machine that waits for a list, and which hold one that its provider may take back at short notice.
func (p *Pool) regroup() (waiting, spot map[string]bool) {
	waiting, spot = map[string]bool{}, map[string]bool{}
	now := time.Now()
	need := func(key, driver string, options abi.Options, at time.Time) {
		if p.groups[key] == nil {
			p.groups[key] = &group{key: key, driver: driver, options: options}
		}
		p.groups[key].needed = latest(p.groups[key].needed, at)
	}
	if s := p.settings; s.Driver != "" {
		for _, a := range s.alternatives() {
			plain := abi.Options{}
			maps.Copy(plain, s.Options)
			maps.Copy(plain, a.Options)
			need(p.groupOf(s.Driver, p.machineOptions("%s", a), ""), s.Driver, plain, now)
		}
	}
	for _, m := range p.fleet {
		if m.State == fleet.Removing {
			continue
		}
		need(m.group, m.Driver, m.Options, now)
		if m.State == fleet.Creating && !m.busy || m.missing > 0 {
			waiting[m.group] = true
		}
		if m.spot {
			spot[m.group] = true
		}
	}
	if p.opts.Caretaker {
		p.takeCare(now, need)
	}
	maps.DeleteFunc(p.past, func(_ string, at time.Time) bool { return now.Sub(at) > pastSpan })
	for key, g := range p.groups {
		if now.Sub(g.needed) > pastSpan && !g.busy && !p.hasOrphan(g) {
			delete(p.groups, key)
		}
	}
	if !p.opts.Caretaker {
		p.shared.watching(p.opts.Key, p.groups)
	}
	return waiting, spot
}

// isSpot tells whether options ask for a machine that its provider may take back at any time.
func isSpot(layout []abi.Option, o abi.Options) bool {
	return slices.ContainsFunc(layout, func(d abi.Option) bool {
		v := o.Get(d.Name)
		return d.Role == abi.RoleSpot && v != "" && v != "false"
	})
}

// hasOrphan tells whether an orphan of g was shown, which lists alone can tell the end of.
func (p *Pool) hasOrphan(g *group) bool {
	for _, o := range p.orphans {
		if o.group == g {
			return true
		}
	}
	return false
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

// list asks the provider for all instances of a group. Another pool's list that is not older than fresh does as well.
func (p *Pool) list(g *group, now time.Time, fresh time.Duration) {
	g.busy = true
	request := abi.ListRequest{ABI: abi.Version, Owner: p.owner(), Options: driverOptions(g.options)}
	in, after, doubted := p.accountOf(g.driver, g.options), g.began, g.doubted
	g.doubted = nil
	p.call(func() func() {
		result, began, err := in.list(p.ctx, g.key, after, fresh, func() (abi.ListResult, error) { return p.callList(g.driver, request, doubted) })
		journalled := map[string]bool{} // asked after the list: what is journalled before it is created cannot be missing
		for _, i := range result.Instances {
			journalled[i.Name] = p.opts.Journal.Has(i.Name)
		}
		return func() {
			g.began = began
			p.listed(g, earlier(began, now), result, journalled, err)
		}
	})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// callList runs elsewhere.
func (p *Pool) callList(name string, request abi.ListRequest, doubted []string) (abi.ListResult, error) {
	d, err := p.opts.Drivers(name)
	if err != nil {
		return abi.ListResult{}, err
	}
	if doubtful, ok := d.(driver.Doubtful); ok {
		for _, machine := range doubted {
			doubtful.Doubt(machine)
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.opts.CallTimeout)
	defer cancel()
	return d.List(ctx, request)
}

// listed compares what the provider has with what we know. asked is when the list was asked for: what was created later may be
// missing from it.
func (p *Pool) listed(g *group, asked time.Time, r abi.ListResult, journalled map[string]bool, err error) {
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
		p.missedSoFar++
		g.err = err.Error()
		return
	}
	g.failures, g.err, g.answered = 0, "", true
	shown := make(map[string]abi.Instance, len(r.Instances))
	for _, i := range r.Instances {
		shown[i.Name] = i
	}
	for _, m := range slices.Clone(p.fleet) {
		if m.group != g.key || m.State == fleet.Removing || m.answered.IsZero() || m.answered.After(asked) {
			continue
		}
		switch i, ok := shown[m.Name]; {
		case ok && !m.isLeftOf(i):
			m.listed, m.missing = true, 0
			p.observe(m, i)
		case r.Complete:
			p.missed(m)
		}
	}
	if r.Complete {
		p.suspect(g, now, r.Instances, journalled)
	}
}

// isLeftOf tells whether i is only what an instance left that has gone: its disk, its volume, its key. Drivers list that by the machine's name
// as something that is being created, since it is to be removed too.
func (m *machine) isLeftOf(i abi.Instance) bool {
	return m.State != fleet.Creating && i.Status == abi.StatusCreating && m.Instance.ID != "" && i.ID != m.Instance.ID
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
		p.withdrawn(m, i.Status, i.Message)
	default:
		if changed {
			p.save(m, nil)
		}
	}
}

// missed notes that a complete list lacks a machine. One that was made just now and that no list has shown yet may be missing from a list
// that lags.
func (p *Pool) missed(m *machine) {
	if !m.listed && time.Since(m.answered) < lagPolls*p.pollEvery() {
		return
	}
	p.missedSoFar++
	if m.missing++; m.missing < goneAfter {
		return
	}
	if m.State == fleet.Creating {
		if !m.busy {
			p.creationFailed(m, fmt.Errorf("the instance is gone: %d complete lists lack it", m.missing))
		}
		return
	}
	p.withdrawn(m, abi.StatusGone, "")
}
