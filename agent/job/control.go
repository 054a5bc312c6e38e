package job

import (
	"context"
	"sync"
)

// phase is what a cancel means: before the user's scripts it stops the job, during them the scripts, afterwards nothing.
type phase int

const (
	beforeScripts phase = iota
	inScripts
	afterScripts
)

// control is how the coordinator reaches a running job. The trace calls it from its own goroutine.
type control struct {
	abort    context.CancelCauseFunc // stops the whole job
	canceled func()                  // told of a cancel before it takes effect; may be nil

	mu     sync.Mutex // guards what follows
	phase  phase
	script context.CancelCauseFunc // stops the user's scripts
}

// cancel is called once, when the coordinator asks for a cancel.
func (c *control) cancel() {
	if c.canceled != nil {
		c.canceled()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.phase {
	case beforeScripts:
		c.abort(errCanceled)
	case inScripts:
		c.script(errCanceled)
	}
}

// drop is called once, when the job is over for the coordinator.
func (c *control) drop() { c.abort(errAborted) }

// enter begins a phase; script is needed for inScripts.
func (c *control) enter(p phase, script context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase, c.script = p, script
}
