package fakecloud

import (
	"fmt"
	"net/http"
	"time"
)

// Act is what can befall a machine.
type Act string

// The acts.
const (
	Vanish    Act = "vanish"    // it is gone, as if its host had burned down
	Stop      Act = "stop"      // it is switched off; the cloud says so
	Interrupt Act = "interrupt" // the cloud takes it back after a notice
	Mute      Act = "mute"      // the cloud says that it runs; it takes connections and never answers
	Close     Act = "close"     // the cloud says that it runs; it ends connections at once
	Revive    Act = "revive"    // it runs and answers again, after Stop, Mute or Close
)

// Act lets something befall a machine. notice is how long after Interrupt the machine is gone.
func (c *Cloud) Act(name string, act Act, notice time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.live[name]
	if i == nil {
		return refuse(http.StatusNotFound, CodeNotFound, "there is no machine "+name)
	}
	change := change{at: time.Now()}
	switch act {
	case Vanish:
		c.lose(i, "vanished")
		return nil
	case Stop:
		change.status, change.message = Stopped, "switched off"
	case Interrupt:
		change.status, change.message = Preempting, fmt.Sprintf("taken back in %s", notice)
		c.later(i, notice, func() { c.lose(i, "preempted") })
	case Revive:
		change.status = Running
	case Mute, Close:
	default:
		return refuse(http.StatusBadRequest, CodeInvalid, fmt.Sprintf("nothing is called %q", act))
	}
	if change.status != "" {
		i.changes = append(i.changes, change)
	}
	switch {
	case i.machine == nil: // it boots, or has no servers
		i.fate = act
	case act != Interrupt:
		i.machine.act(act)
	}
	return nil
}

// Put lets a machine be in a state, by the words that the suite of drivers has for them.
func (c *Cloud) Put(name, state string) error {
	return c.Act(name, map[string]Act{"stopped": Stop, "interrupted": Interrupt, "gone": Vanish}[state], time.Hour)
}
