package drivertest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/group"
)

// GroupSubject is the group under test and what its suite must know of its provider. The group is the suite's alone: what is in it at the end of a check is
// removed.
type GroupSubject struct {
	Group group.Group
	// Inject lets something go wrong with the next calls until None; nil when nothing can be made to. Faults are those that it knows.
	Inject func(Fault) error
	Faults []Fault
	// Live counts the instances at the provider that are to stay; nil: only the group can tell.
	Live func() int
	// Settle is how long the provider may take to show what was done; 0 means one minute.
	Settle time.Duration
}

// RunGroup runs the suite of groups; T is *testing.T. newSubject is called once to learn
// which checks it wants, and once for each.
func RunGroup[T runner[T]](t T, newSubject func(t T) GroupSubject) {
	declared := newSubject(t)
	for _, c := range groupChecks {
		if c.lacks(declared) == "" {
			t.Run(c.name, func(t T) { c.test(newGroupBench(t, newSubject(t))) })
		}
	}
}

// ExamineGroup is Examine for a group.
func ExamineGroup(ctx context.Context, newSubject func() GroupSubject, report func(Outcome)) {
	for _, c := range groupChecks {
		if ctx.Err() != nil {
			return
		}
		if why := c.lacks(newSubject()); why != "" {
			report(Outcome{Check: c.name, Skipped: why})
			continue
		}
		report(examine(ctx, c.name, func(t TB) { c.test(newGroupBench(t, newSubject())) }))
	}
}

// groupCheck is one of the suite's.
type groupCheck struct {
	name  string
	fault Fault // that it needs; None: none
	test  func(*groupBench)
}

func (c groupCheck) lacks(s GroupSubject) string {
	if c.fault != None && (s.Inject == nil || !slices.Contains(s.Faults, c.fault)) {
		return "the provider can't be made to fail so"
	}
	return ""
}

var groupChecks = []groupCheck{
	{"it says which group it is, each time the same", None, sameGroup},
	{"it grows by what is asked, and its instances come to life", None, grows},
	{"it shrinks by those that are named, and by no other", None, shrinks},
	{"a removal twice, and of nothing, is taken on", None, shrinksTwice},
	{"it never passes its maximum, and claims no more than it granted", None, maximum},
	{"an instance that there is not can't be connected to", None, nobody},
	{"an ended context is an error and makes nothing", None, groupCancelled},
	{"a list that is refused is an error and never empty", Denied, func(b *groupBench) { b.listFails(Denied, driver.ErrAuth) }},
	{"too many calls have their kind", RateLimited, func(b *groupBench) { b.listFails(RateLimited, driver.ErrRateLimited) }},
	{"an answer of a group that makes no sense is an error", Junk, func(b *groupBench) { b.listFails(Junk, driver.ErrTransient) }},
	{"an increase whose answer is lost grows once", LostCreate, lostIncrease},
}

func sameGroup(b *groupBench) {
	first := b.info()
	if again := b.info(); first.ID == "" || first.ID != again.ID || first.MaxSize != again.MaxSize {
		b.t.Errorf("it is %+v, and then %+v", first, again)
	}
}

func grows(b *groupBench) {
	ids := b.grow(2)
	b.eventually("they run", func() bool {
		return len(b.list()) == 2 && !slices.ContainsFunc(b.list(), func(i group.Instance) bool { return i.State != group.Running })
	})
	if ids[0] == ids[1] {
		b.t.Errorf("two instances have the id %s", ids[0])
	}
	for _, id := range ids {
		var c group.Connection
		b.eventually("it can be connected to", func() (ok bool) {
			var err error
			c, err = b.Group.Connect(b.t.Context(), id)
			if err != nil && driver.KindOf(err) != "conflict" && driver.KindOf(err) != "transient" {
				b.t.Fatalf("connect: %v", err)
			}
			return err == nil
		})
		if c.Address(false) == "" {
			b.t.Errorf("%s has no address: %+v", id, c)
		}
		if err := b.Group.Heartbeat(b.t.Context(), id); err != nil {
			b.t.Errorf("heartbeat of an instance that runs: %v", err)
		}
	}
}

func shrinks(b *groupBench) {
	ids := b.grow(3)
	b.shrink(ids[1])
	b.eventually("two are left", func() bool { return len(b.there()) == 2 })
	if left := b.there(); !slices.Contains(left, ids[0]) || !slices.Contains(left, ids[2]) {
		b.t.Errorf("after the removal of %s of %v there are %v", ids[1], ids, left)
	}
	if b.Live != nil && b.Live() != 2 {
		b.t.Errorf("the provider keeps %d instances; an instance that is removed must take its place with it", b.Live())
	}
}

func shrinksTwice(b *groupBench) {
	ids := b.grow(1)
	b.shrink(ids[0])
	b.shrink(ids[0])
	b.eventually("none is left", func() bool { return len(b.there()) == 0 })
	b.shrink(ids[0])
}

func maximum(b *groupBench) {
	most := b.info().MaxSize
	if most == 0 || most > 50 {
		return // too much to try
	}
	granted, err := b.Group.Increase(b.t.Context(), most+3)
	if err != nil && !errors.Is(err, driver.ErrQuota) && !errors.Is(err, driver.ErrCapacity) {
		b.t.Errorf("an increase beyond the maximum: %v; quota and capacity are for that", err)
	}
	if granted > most {
		b.t.Errorf("it granted %d instances and may have %d", granted, most)
	}
	b.eventually("those that were granted are there", func() bool { return len(b.there()) >= granted })
	if n := len(b.there()); n > most {
		b.t.Errorf("it has %d instances and may have %d", n, most)
	}
	if granted == most {
		if more, err := b.Group.Increase(b.t.Context(), 1); err == nil && more > 0 {
			b.t.Errorf("a full group granted %d more", more)
		}
	}
}

// absent is the name of an instance that no group has.
const absent = "i-0000000000000dead"

func nobody(b *groupBench) {
	if c, err := b.Group.Connect(b.t.Context(), absent); err == nil {
		b.t.Errorf("connect to nobody: %+v", c)
	}
}

func groupCancelled(b *groupBench) {
	ctx, cancel := context.WithCancel(b.t.Context())
	cancel()
	if n, err := b.Group.Increase(ctx, 1); err == nil {
		b.t.Errorf("an increase in an ended context granted %d", n)
	}
	if list, err := b.Group.List(ctx); err == nil {
		b.t.Errorf("a list in an ended context shows %v", list)
	}
	if n := len(b.there()); n != 0 {
		b.t.Errorf("an increase in an ended context made %d instances", n)
	}
}

func (b *groupBench) listFails(f Fault, kind error) {
	b.grow(1)
	b.inject(f)
	list, err := b.Group.List(b.t.Context())
	b.inject(None)
	if !errors.Is(err, kind) {
		b.t.Errorf("the list is %v, %v; want an error of the kind %v", list, err, kind)
	}
	if n := len(b.there()); n != 1 {
		b.t.Errorf("after it %d instances are there", n)
	}
}

func lostIncrease(b *groupBench) {
	b.inject(LostCreate)
	n, err := b.Group.Increase(b.t.Context(), 2)
	b.inject(None)
	if err == nil {
		b.t.Errorf("an increase without an answer granted %d", n)
	}
	b.eventually("what came of it is shown", func() bool { return b.Live == nil || len(b.there()) == b.Live() })
	if n := len(b.there()); n > 2 {
		b.t.Errorf("it made %d instances", n)
	}
}
