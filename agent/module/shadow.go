package module

import (
	"context"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// shadow is a policy that nothing comes of, with the proposal of those before it.
type shadow struct {
	link  Link
	sofar abi.Proposal
}

// ask asks the policies in shadow, on a goroutine of its own: however slow they are, they hold up no decision. While it is at it,
// decisions go by unshadowed. The links stay in use until it has ended.
func (c *Chain) ask(ctx context.Context, set *linkset, s abi.Snapshot, shadows []shadow) {
	if len(shadows) == 0 || !c.beginShadow() {
		return
	}
	set.users.Add(1)
	go func() {
		defer set.users.Done()
		ctx := context.WithoutCancel(ctx) // each call has its own deadline
		steps := make([]fleet.Step, 0, len(shadows))
		for _, sh := range shadows {
			steps = append(steps, c.step(ctx, sh.link, s, sh.sofar))
		}
		c.endShadow(s.NowUnixMS, steps)
	}()
}

// beginShadow is false while the policies in shadow are still at an earlier snapshot.
func (c *Chain) beginShadow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	begins := !c.shadowing
	c.shadowing = true
	return begins
}

// endShadow puts what the policies in shadow proposed beside the decision of the same snapshot.
func (c *Chain) endShadow(nowUnixMS int64, steps []fleet.Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shadowing = false
	for i := len(c.records) - 1; i >= 0; i-- {
		if r := &c.records[i]; r.First.UnixMilli() <= nowUnixMS {
			r.Shadows = steps
			return
		}
	}
}
