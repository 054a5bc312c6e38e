package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestWatching lets another program's fleet live for a while under a pool that only watches: it says what it would do, once for each
// change, and does none of it.
func TestWatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, abi.RunnerSettings{IdleCount: 3, IdleTimeS: 60})
		log := &lines{}
		var now []fleet.Machine
		set := func(states ...fleet.State) {
			w.mu.Lock()
			defer w.mu.Unlock()
			now = nil
			for i, s := range states {
				now = append(now, fleet.Machine{Name: fmt.Sprintf("theirs-%d", i), State: s, CreatedAt: time.Now()})
			}
		}
		w.opts.Log = slog.New(slog.NewTextHandler(log, nil))
		w.opts.Watch = func(context.Context, map[string]bool) ([]fleet.Machine, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return now, nil
		}
		set(fleet.Idle)
		w.start()
		defer w.stop(true)
		time.Sleep(10 * time.Second)
		if n := strings.Count(log.String(), `msg="Would create machines"`); n != 1 || !strings.Contains(log.String(), "number=2") {
			t.Errorf("with one of three idle machines the log says\n%s", log.String())
		}
		set(fleet.Used, fleet.Idle, fleet.Idle, fleet.Idle)
		time.Sleep(10 * time.Second)
		if s := w.pool.Status(); s.Counts.Used != 1 || s.Counts.Idle != 3 || s.Demand.Windows[0].Arrivals != 1 {
			t.Errorf("it sees %+v, %+v", s.Counts, s.Demand)
		}
		if !strings.Contains(log.String(), "Would do nothing more") {
			t.Errorf("with three idle machines the log says\n%s", log.String())
		}
		set(fleet.Idle, fleet.Idle, fleet.Idle, fleet.Idle, fleet.Idle)
		time.Sleep(2 * time.Minute)
		if !strings.Contains(log.String(), "Would remove machines") {
			t.Errorf("with five idle machines the log says\n%s", log.String())
		}
		if _, err := w.pool.AcquireForJob(t.Context()); !errors.Is(err, pool.ErrWatching) {
			t.Errorf("a lease was given: %v", err)
		}
		for what, err := range map[string]error{
			"remove": w.pool.RemoveMachine(t.Context(), "theirs-0"), "cordon": w.pool.Cordon(t.Context(), "theirs-0", true),
			"reap": w.pool.Reap(t.Context(), "theirs-0"),
		} {
			if !errors.Is(err, pool.ErrWatching) {
				t.Errorf("%s: %v", what, err)
			}
		}
		set()
		time.Sleep(10 * time.Second)
		if s := w.pool.Status(); len(s.Machines) != 0 {
			t.Errorf("machines that are gone are still seen: %v", s.Machines)
		}
		if machines, _, err := w.journal.Load(); len(machines) > 0 || err != nil || len(w.cloud.Machines()) > 0 || w.cloud.Calls("create")+w.cloud.Calls("remove")+w.cloud.Calls("list") > 0 {
			t.Errorf("something was done: %v, %v, %v", machines, w.cloud.Machines(), err)
		}
	})
}
