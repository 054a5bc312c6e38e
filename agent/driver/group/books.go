package group

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	// missedUpdates is how many lists in a row must lack an instance before it counts as gone. One that is being deleted is gone at once.
	missedUpdates = 6
	// missedInDoubt is the same for an instance that does not answer those who use it.
	missedInDoubt = 2
	// backAgain is how many lists in a row must show an instance again that was gone before it counts as a new one: lists lag, and some
	// groups give the same hosts again and again.
	backAgain = 3
)

// books is who has which instance, who waits for one, and what the group was asked for. It asks nobody and has no clock. Whoever holds it
// locks it.
type books struct {
	log *slog.Logger
	max int // instances at most; 0: no bound

	settle, granted time.Duration

	claims    map[string]*claim    // by the machine's name
	owners    map[string]string    // of instances, by id: the machine's name
	waiting   []string             // machines without an instance, the longest waiting first
	unwanted  []string             // machines that are to be removed while an instance of theirs may still show up
	inflight  int                  // by which the group is being asked to increase
	failed    map[string]abi.Error // machines that get none, and why
	instances map[string]*instance // that the group has, by id
	past      map[string]time.Time // instances that were gone, by id
	asks      []ask                // increases whose instances have not all shown up, the oldest first
	lists     int                  // so far
	cutOff    int                  // machines of the agent before that had no instance yet: the group may have made them one

	missed  int
	removed int
	settled int
}

// claim is a machine's hold on its instance.
type claim struct {
	id      string
	address string
	gone    bool // the instance is
	why     string
}

// instance is one of the group as it was seen last.
type instance struct {
	Instance
	first   time.Time // when a list showed it first
	fresh   bool      // nobody ever had it, so that a machine may have it
	granted bool      // an increase was asked for that it came with
	shown   int       // lists in a row that show it
	missed  int       // lists in a row that lack it
	doubted bool      // it did not answer, and no list has shown it since
	doom    *doom     // nil: nobody wants it deleted
}

// doom is the wish to have an instance deleted.
type doom struct {
	since time.Time
	asked time.Time // when the group was asked last; zero: not yet
	err   error     // what it answered
}

// ask is an increase.
type ask struct {
	n    int // instances that have not shown up yet
	at   time.Time
	err  error // why it is not known whether there will be any; nil: they were granted
	life time.Duration
}

// newBooks returns books in which nothing stands.
func newBooks(o Options) books {
	return books{
		log: o.Log.With("driver", o.Name), settle: o.Settle, granted: o.GrantedLife, claims: map[string]*claim{}, owners: map[string]string{},
		failed: map[string]abi.Error{}, instances: map[string]*instance{}, past: map[string]time.Time{},
	}
}

// recall takes up what the journal says of a machine. Of two machines with one instance the one that is not being removed has it: an id
// may be given again before the record of the machine that had it first is gone.
func (b *books) recall(m fleet.Machine) {
	id := m.Instance.ID
	if id == "" {
		b.cutOff++
		return
	}
	if other, ok := b.owners[id]; ok {
		if m.State == fleet.Removing {
			return
		}
		delete(b.claims, other)
	}
	b.owners[id] = m.Name
	b.claims[m.Name] = &claim{id: id, address: m.Instance.Address}
	b.instances[id] = &instance{Instance: Instance{ID: id, State: Running}, first: m.CreatedAt} // until a list tells
}

// want puts a machine into the queue, unless it waits or has an instance.
func (b *books) want(name string) {
	if b.claims[name] != nil || slices.Contains(b.waiting, name) {
		return
	}
	b.quit(name)
	b.waiting = append(b.waiting, name)
}

// quit takes a machine out of the queues.
func (b *books) quit(name string) {
	same := func(other string) bool { return other == name }
	b.waiting, b.unwanted = slices.DeleteFunc(b.waiting, same), slices.DeleteFunc(b.unwanted, same)
	delete(b.failed, name)
}

// listed takes in a list: what shows up is counted against the increases and given to the machines that wait, what is missing for long
// enough is gone.
func (b *books) listed(now time.Time, all []Instance) {
	changed := false
	b.lists++
	shown := map[string]bool{}
	for _, i := range all {
		if i.ID == "" || i.State == Deleted || shown[i.ID] {
			continue
		}
		shown[i.ID] = true
		if b.see(now, i) {
			changed = true
		}
	}
	for _, id := range sorted(b.instances) {
		if !shown[id] && b.lack(now, id) {
			changed = true
		}
	}
	b.give(now)
	b.giveUp(now)
	for id, at := range b.past {
		if now.Sub(at) > time.Hour && !shown[id] {
			delete(b.past, id)
		}
	}
	if !changed {
		b.settled++
	}
}

// see takes in an instance that a list shows. It tells whether that is news.
func (b *books) see(now time.Time, i Instance) bool {
	known := b.instances[i.ID]
	if known == nil {
		known = &instance{Instance: i, first: now}
		if _, was := b.past[i.ID]; was && b.owners[i.ID] == "" {
			known.fresh = false // until it is back for good
		} else {
			known.fresh = b.owners[i.ID] == "" && (b.lists > 1 || i.State == Creating)
			b.arrived(now, known)
		}
		b.instances[i.ID] = known
		known.shown = 1
		if b.lists == 1 && b.cutOff > 0 && b.owners[i.ID] == "" && i.State == Running {
			b.cutOff--
			known.doom = &doom{since: now} // what an agent did not see to its end is nobody's, and would take a place for as long as strays are left alone
			b.log.Info("Instance came when the agent before had ended; it is removed", "instance", i.ID)
		}
		return true
	}
	changed := known.State != i.State
	known.State, known.missed, known.doubted = i.State, 0, false
	known.shown++
	if _, was := b.past[i.ID]; was && known.shown >= backAgain && b.owners[i.ID] == "" && known.doom == nil && i.State != Deleting {
		delete(b.past, i.ID)
		known.fresh = true
		b.arrived(now, known)
	}
	return changed
}

// arrived counts a new instance against the oldest increase that waits for one.
func (b *books) arrived(now time.Time, i *instance) {
	if !i.fresh || len(b.asks) == 0 {
		return
	}
	i.granted = true
	a := &b.asks[0]
	if a.n--; a.n == 0 {
		b.asks = b.asks[1:]
	}
}

// lack takes in that a list lacks an instance. It tells whether that is news.
func (b *books) lack(now time.Time, id string) bool {
	i := b.instances[id]
	i.shown = 0
	i.missed++
	b.missed++
	if i.doom != nil || i.State == Deleting {
		b.gone(now, id, "it has been deleted")
		return true
	}
	if i.missed < missedInDoubt || i.missed < missedUpdates && !i.doubted {
		return false
	}
	b.removed++
	b.gone(now, id, fmt.Sprintf("%d lists in a row lack it", i.missed))
	return true
}

// doubt notes that a machine's instance does not answer.
func (b *books) doubt(name string) {
	if c := b.claims[name]; c != nil && b.instances[c.id] != nil {
		b.instances[c.id].doubted = true
	}
}

// gone strikes an instance. The machine that had it keeps nothing but that.
func (b *books) gone(now time.Time, id, why string) {
	delete(b.instances, id)
	b.past[id] = now
	if c := b.claims[b.owners[id]]; c != nil {
		c.gone, c.why = true, why
	}
	delete(b.owners, id)
}

// give gives instances that nobody has to the machines that wait: the oldest to the longest waiting. What is left goes to those that are
// unwanted, and is deleted. One that came with an increase and is
// being deleted already is a machine's too, which fails with it: asking again is not the group's matter.
func (b *books) give(now time.Time) {
	if len(b.waiting)+len(b.unwanted) == 0 {
		return
	}
	var free []*instance
	for _, i := range b.instances {
		if i.fresh && i.doom == nil && i.missed == 0 && (i.State != Deleting || i.granted) {
			free = append(free, i)
		}
	}
	slices.SortFunc(free, byAge)
	for _, i := range free {
		queue := append(slices.Clone(b.waiting), b.unwanted...)
		if len(queue) == 0 {
			return
		}
		name := queue[0]
		if len(b.waiting) == 0 {
			i.doom = &doom{since: now}
		}
		b.quit(name)
		i.fresh = false
		b.owners[i.ID] = name
		b.claims[name] = &claim{id: i.ID}
		b.log.Info("Instance belongs to a machine now", "name", name, "instance", i.ID)
	}
}

// giveUp ends increases whose instances did not show up in time. Machines that wait for them get none: whoever wants another one asks
// again, so that a group never grows by more than was asked for.
func (b *books) giveUp(now time.Time) {
	for len(b.asks) > 0 {
		i := slices.IndexFunc(b.asks, func(a ask) bool { return now.Sub(a.at) >= a.life })
		if i < 0 {
			return
		}
		a := b.asks[i]
		b.asks = slices.Delete(b.asks, i, i+1)
		err := a.err
		if err == nil {
			err = &driver.Error{Info: abi.Error{Kind: abi.Capacity, Message: fmt.Sprintf("the group granted %d instances more and none shows up after %s", a.n, a.life)}}
		}
		b.fail(a.n, err)
	}
}

// fail makes up to n of the machines that wait fail, the last ones first, those that are unwanted before.
func (b *books) fail(n int, err error) {
	info := infoOf(err)
	queue := append(slices.Clone(b.waiting), b.unwanted...)
	slices.Reverse(queue)
	for _, name := range queue[:min(n, len(queue))] {
		b.quit(name)
		b.failed[name] = info
	}
}

// pending is how many instances may still show up.
func (b *books) pending() int {
	n := b.inflight
	for _, a := range b.asks {
		n += a.n
	}
	return n
}

// lacking is by how many instances to increase the group now.
func (b *books) lacking() int {
	pending := b.pending()
	n := len(b.waiting) - pending
	if b.max > 0 {
		n = min(n, b.max-pending-len(b.instances))
	}
	return max(n, 0)
}

// increased takes in what became of an increase by n, and returns how many instances were granted for sure. When the group refused, the
// machines fail. When nobody knows, they wait for a while: what shows up is theirs.
func (b *books) increased(asked time.Time, n, granted int, err error) int {
	b.inflight = 0
	granted = min(max(granted, 0), n)
	if granted > 0 {
		b.asks = append(b.asks, ask{n: granted, at: asked, life: b.granted})
	}
	switch {
	case err == nil || granted == n:
	case refused(err):
		b.fail(n-granted, err)
	default:
		b.asks = append(b.asks, ask{n: n - granted, at: asked, err: err, life: b.settle})
	}
	return granted
}

// refused tells whether an error says that nothing was done.
func refused(err error) bool {
	switch driver.KindOf(err) {
	case abi.Quota, abi.Capacity, abi.Auth, abi.Invalid, abi.RateLimited, abi.NotFound, abi.Conflict:
		return true
	}
	return false
}
