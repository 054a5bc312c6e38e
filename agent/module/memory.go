package module

import (
	"context"
	"errors"
	"fmt"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// MaxFailures is after how many failures in a row a dropped-in policy is quarantined.
const MaxFailures = 5

// memory is what a chain keeps of the policy of one name.
type memory struct {
	state       string
	fault       string // what was logged last; "" when it works
	failures    int    // in a row
	quarantined bool
}

// pardon gives a policy a new chance.
func (m *memory) pardon() { m.fault, m.failures, m.quarantined = "", 0, false }

// memory is called with mu held.
func (c *Chain) memory(name string) *memory {
	m := c.memories[name]
	if m == nil {
		m = &memory{}
		c.memories[name] = m
	}
	return m
}

// recall returns a policy's state, or why it is not to be asked.
func (c *Chain) recall(link Link) (state, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memory(link.Name)
	if m.quarantined {
		why = fmt.Sprintf("%s: quarantined after %d failures in a row, the last: %s", link.Name, m.failures, m.fault)
	}
	return m.state, why
}

// remember takes note of a policy's answer: its state, and its failures. It logs a policy that begins to fail, fails in another way,
// is quarantined or works again, once each.
func (c *Chain) remember(ctx context.Context, link Link, p abi.Proposal, err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
		if ctx.Err() != nil { // the agent's own doing
			return
		}
	}
	c.mu.Lock()
	m := c.memory(link.Name)
	before := m.fault
	m.fault = fault
	if err == nil {
		m.failures = 0
		if p.State != nil {
			m.state = *p.State
		}
	} else if counts(err) && !link.Module.Builtin() {
		m.failures++
		m.quarantined = m.failures >= MaxFailures
	}
	failures, quarantined := m.failures, m.quarantined
	c.mu.Unlock()

	switch log := c.o.Logger.With("policy", link.Name); {
	case quarantined:
		log.ErrorContext(ctx, "policy quarantined", "reason", fault, "failures", failures, "consequence",
			consequence(link)+"; it is asked again when its file changes, or after `millwright policy reload`")
	case before == fault:
	case fault == "":
		log.InfoContext(ctx, "policy works again")
	default:
		log.WarnContext(ctx, "policy skipped", "reason", fault, "failures", failures, "quarantine_at", MaxFailures, "consequence", consequence(link))
	}
}

// consequence says what a failure means for the runner.
func consequence(link Link) string {
	switch {
	case link.Shadow:
		return "none, since it is in shadow"
	case link.Required:
		return "no machine is created while it fails, since it is required"
	}
	return "keeping the proposal of those before it"
}

// counts tells whether a failure speaks against the module. What a policy reports by itself, such as that it has observed nothing yet,
// is its way to abstain.
func counts(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Cause != CauseReported
}

// Quarantined names the links that are not asked any more, with the reason.
func (c *Chain) Quarantined() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]string{}
	for _, l := range c.set.links {
		if m := c.memories[l.Name]; m != nil && m.quarantined {
			out[l.Name] = m.fault
		}
	}
	return out
}

// Faults returns how the links that fail now failed last, by name.
func (c *Chain) Faults() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]string{}
	for _, l := range c.set.links {
		if m := c.memories[l.Name]; m != nil && m.fault != "" {
			out[l.Name] = m.fault
		}
	}
	return out
}

// Pardon ends the quarantine of the policy of that name.
func (c *Chain) Pardon(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory(name).pardon()
}
