package pool_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/group/grouptest"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/pool"
)

// groupCalls are a process's calls to its group: each that changes something has a point before it and one after it where the process may die.
type groupCalls struct {
	*grouptest.Group
	p *process
}

func (c groupCalls) Increase(ctx context.Context, n int) (granted int, err error) {
	err = c.p.at(func() error {
		granted, err = c.Group.Increase(ctx, n)
		return err
	})
	return granted, err
}

func (c groupCalls) Decrease(ctx context.Context, ids []string) (taken []string, err error) {
	err = c.p.at(func() error {
		taken, err = c.Group.Decrease(ctx, ids)
		return err
	})
	return taken, err
}

func (c groupCalls) List(ctx context.Context) ([]group.Instance, error) {
	c.p.mu.Lock()
	dead := c.p.dead
	c.p.mu.Unlock()
	if dead {
		return nil, errDead
	}
	return c.Group.List(ctx)
}

// TestGroupCrash kills the agent at journal writes and calls to the group of a day's work, and starts it again: when it has settled,
// group and journal hold the same instances, none of which two machines have, and all of them serve.
func TestGroupCrash(t *testing.T) {
	points := 0
	synctest.Test(t, func(t *testing.T) { points = groupCrash(t, 0) })
	if points < 30 {
		t.Errorf("the day has %d points only", points)
	}
	for dies := 1; dies <= points; dies += 1 + points/30 { // TestCrash dies at each point that is not the group's
		t.Run(fmt.Sprintf("point %d", dies), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { groupCrash(t, dies) })
		})
	}
}

// groupCrash lets the process die at a point, or not at all at 0, and returns how many points it reached.
func groupCrash(t *testing.T, dies int) int {
	s := scaler{capacity: 2, uses: 3, max: 3, idle: 2, idleTime: 2 * time.Minute, preemptive: true}
	w := newGroupWorld(t, s, grouptest.Config{})
	disk, err := journal.Open(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{disk: disk, dies: dies}
	w.journal, w.opts.Owner = disk, disk.Owner()
	grace := time.Duration(0)
	w.opts.OrphanGrace = &grace
	w.startGroup(p, groupCalls{w.group, p})
	w.work()

	p.mu.Lock()
	points := p.point
	p.dead = true
	p.mu.Unlock()
	w.pool.Stop(t.Context(), false)
	w.driver.Close(t.Context())
	disk.Close()

	w.start()
	wait(10 * time.Minute)
	w.has(0, 2, 1)
	w.settledGroup()
	l := w.acquire()
	w.use(l, 99)
	l.Release(false)
	w.stop(true)
	if left := w.group.Instances(); len(left) > 0 {
		t.Errorf("instances are left: %+v", left)
	}
	return points
}

// work is a day: instances are made, jobs share them until they are worn out, and one breaks.
func (w *groupWorld) work() {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
	defer cancel()
	wait(time.Minute)
	var jobs sync.WaitGroup
	for id := range int64(4) {
		jobs.Go(func() {
			l, err := w.pool.AcquireForJob(ctx)
			if err != nil {
				return
			}
			l.Use(id + 1)
			at, done := context.WithTimeout(ctx, 10*time.Minute)
			defer done()
			l.Machine(at)
			time.Sleep(time.Duration(id+1) * 20 * time.Second)
			l.Release(id == 2)
		})
		wait(5 * time.Second)
	}
	jobs.Wait()
	wait(4 * time.Minute)
}

var _ pool.Journal = (*process)(nil)
