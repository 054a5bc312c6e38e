package group

import (
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// doom has a machine's instance deleted. known is whether that was asked for before; gone is whether there is nothing to delete, and the
// machine stands in the books no more. id is what the machine's record says; it counts for instances that no machine has.
func (b *books) doom(now time.Time, name, id string) (known, gone bool) {
	if waits := b.renounce(name); waits {
		return true, false
	}
	if c := b.claims[name]; c != nil {
		if c.gone {
			delete(b.claims, name)
			return true, true
		}
		id = c.id
	} else if id == "" || b.owners[id] != "" { // it never had one, or it is another machine's by now
		return true, true
	}
	i := b.instances[id]
	if i == nil {
		if b.lists > 0 {
			return true, true
		}
		i = &instance{Instance: Instance{ID: id, State: Running}} // the first list will tell
		b.instances[id] = i
	}
	i.fresh = false
	if i.doom != nil {
		return true, false
	}
	i.doom = &doom{since: now}
	return false, false
}

// renounce takes a machine out of the queue. It tells whether an instance of it may still show up, which it has to wait for: one that was
// asked for, and that no other machine waits for. That is deleted then.
func (b *books) renounce(name string) bool {
	i := slices.Index(b.unwanted, name)
	if i < 0 {
		if !slices.Contains(b.waiting, name) {
			b.quit(name)
			return false
		}
		b.quit(name)
		i = len(b.unwanted)
		b.unwanted = append(b.unwanted, name)
	}
	if i < b.pending()-len(b.waiting) {
		return true
	}
	b.quit(name)
	return false
}

// refusal is why the group did not take the deletion of a machine's instance on when it was asked last; nil: it did, or was not asked.
func (b *books) refusal(name, id string) error {
	if c := b.claims[name]; c != nil {
		id = c.id
	}
	if i := b.instances[id]; i != nil && i.doom != nil {
		err := i.doom.err
		i.doom.err = nil // it is told once
		return err
	}
	return nil
}

// deletions returns the instances whose deletion is to be asked for now: for the first time, or again since it had no effect.
func (b *books) deletions(now time.Time, retry time.Duration) []string {
	var ids []string
	for _, id := range sorted(b.instances) {
		i := b.instances[id]
		if i.doom == nil {
			continue
		}
		last, pause := i.doom.asked, retry
		if i.State == Deleting { // the group is at it
			last, pause = latest(last, i.doom.since), patience*retry
		}
		if last.IsZero() || now.Sub(last) >= pause {
			i.doom.asked = now
			ids = append(ids, id)
		}
	}
	return ids
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// patience is how many times longer than one without effect a deletion may take that the group shows.
const patience = 10

// deleting takes in what became of deletions, and returns how many were taken on.
func (b *books) deleting(ids, taken []string, err error) int {
	ok := map[string]bool{}
	for _, id := range taken {
		ok[id] = true
	}
	n := 0
	for _, id := range ids {
		i := b.instances[id]
		switch {
		case i == nil || i.doom == nil:
		case ok[id]:
			i.doom.err = nil
			n++
		case err != nil:
			i.doom.err = err
		default:
			i.doom.err = &driver.Error{Info: abi.Error{Kind: abi.Transient, Message: "the group did not take the deletion of " + id + " on"}}
		}
	}
	return n
}
