package group

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// ask is one round. Nothing is created unless the group could be listed just before.
func (d *Driver) ask(now time.Time) error {
	if err := d.begin(); err != nil {
		return err
	}
	d.decrease(now)
	var instances []Instance
	err := d.call(func(ctx context.Context) (err error) {
		instances, err = d.o.Group.List(ctx)
		return err
	})
	if err != nil {
		return d.failed("list", err)
	}
	d.mu.Lock()
	d.books.listed(time.Now(), instances)
	missing := d.books.addressless()
	d.mu.Unlock()
	d.connect(missing)
	d.increase()
	return nil
}

// call makes one call to the group, within its time.
func (d *Driver) call(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(d.ctx, d.o.CallTimeout)
	defer cancel()
	return f(ctx)
}

// begin asks the group what it is, until it has answered once.
func (d *Driver) begin() error {
	d.mu.Lock()
	begun := d.begun
	d.mu.Unlock()
	if begun {
		return nil
	}
	var info Info
	err := d.call(func(ctx context.Context) (err error) {
		info, err = d.o.Group.Info(ctx)
		return err
	})
	if err != nil {
		return d.failed("start", err)
	}
	return d.adopt("start", info)
}

// Adopt takes what the group says of itself when something else serves it from now on. The error is as Start's, and the group is as it was then.
func (d *Driver) Adopt(info Info) error { return d.adopt("adopt", info) }

func (d *Driver) adopt(op string, info Info) error {
	live := d.settings()
	if info.MaxSize > 0 && live.Max > info.MaxSize {
		return d.refuse(op, abi.Invalid, fmt.Sprintf(
			"max_instances is %d and the group %s may have %d instances at most; lower max_instances, or raise the group's own maximum", live.Max, info.ID, info.MaxSize))
	}
	if d.o.Registry != nil {
		if err := d.o.Registry.enter(d, info.ID); err != nil {
			return d.refuse(op, abi.Invalid, err.Error())
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.info, d.begun = info, true
	d.books.max = bounded(d.live.Max, info.MaxSize)
	return nil
}

// decrease asks for the deletions that are due.
func (d *Driver) decrease(now time.Time) {
	d.mu.Lock()
	ids := d.books.deletions(now, d.live.DeletionRetry)
	d.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	var taken []string
	err := d.call(func(ctx context.Context) (err error) {
		taken, err = d.o.Group.Decrease(ctx, ids)
		return err
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Deletes += d.books.deleting(ids, taken, err)
	if err != nil {
		d.o.Log.Warn("Instances can't be deleted; it is tried again", "driver", d.o.Name, "instances", len(ids), "taken_on", len(taken), "error", err)
	}
}

// increase asks for instances for the machines that wait and were not asked for yet.
func (d *Driver) increase() {
	d.mu.Lock()
	n := d.books.lacking()
	d.books.inflight = n
	d.mu.Unlock()
	if n <= 0 {
		return
	}
	asked := time.Now()
	granted := 0
	err := d.call(func(ctx context.Context) (err error) {
		granted, err = d.o.Group.Increase(ctx, n)
		return err
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Creates += d.books.increased(asked, n, granted, d.failed("create", err))
	if err != nil {
		d.o.Log.Warn("The group can't be increased", "driver", d.o.Name, "by", n, "granted", granted, "error", err)
	}
}

// connect asks where running instances are reached, a few at once. One that can't be told is asked for in the next round.
func (d *Driver) connect(ids []string) {
	var all sync.WaitGroup
	gate := make(chan struct{}, d.o.ParallelConnect)
	for _, id := range ids {
		gate <- struct{}{}
		all.Go(func() {
			defer func() { <-gate }()
			var c Connection
			err := d.call(func(ctx context.Context) (err error) {
				c, err = d.o.Group.Connect(ctx, id)
				return err
			})
			if err != nil {
				d.o.Log.Warn("An instance's address is not known yet", "driver", d.o.Name, "instance", id, "error", err)
				return
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.books.reached(id, c.Address(d.live.External))
		})
	}
	all.Wait()
}

// Address is where the instance is reached, "" when that is not known: at its external address if that is preferred or the only one.
func (c Connection) Address(external bool) string {
	if external && c.ExternalAddr != "" || c.InternalAddr == "" {
		return c.ExternalAddr
	}
	return c.InternalAddr
}

// Stats are a group's numbers, for metrics.
type Stats struct {
	Max       int // instances at most; 0: no bound is known
	Requested int // that machines wait for and the group was not asked for yet
	Pending   int // granted, or perhaps granted, and not shown yet
	Creating  int // and so on: as the last list showed them
	Running   int
	Deleting  int

	Creates int // instances that were granted so far
	Deletes int // deletions that were taken on so far
	Missed  int // lists so far in which an instance was missing
	Removed int // instances that were dropped because lists lacked them
	Settled int // lists after which nothing had to be done
	Lists   int
}

// Stats returns the numbers as they are now.
func (d *Driver) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	d.books.count(&s)
	return s
}
