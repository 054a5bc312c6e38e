package dockermachine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/wait"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Removal says how machines are removed.
type Removal struct {
	Force bool // forget a machine also when it can't be removed
	Yes   bool // ask nobody
	Quiet bool // say nothing of what is about to happen
}

// Split tells the machines of the store that are no agent's from all other names.
func (c *Machines) Split(names []string) (hand, others []string) {
	for _, name := range names {
		if e, err := c.o.Store.Entry(name); err == nil && e.Kind != journal.KindAgent {
			hand = append(hand, name)
		} else {
			others = append(others, name)
		}
	}
	return hand, others
}

// parallel is how many machines are worked on at once.
const parallel = 16

// Remove removes machines with what was made for them. Those of the agent go through the agent.
func (c *Machines) Remove(ctx context.Context, names []string, r Removal) error {
	if len(names) == 0 {
		return errors.New("Error: Expected to get one or more machine names as arguments") //nolint:staticcheck // docker-machine's words
	}
	if !r.Quiet {
		c.say("About to remove %s", strings.Join(names, ", "))
		c.say("WARNING: This action will delete both local reference and remote instance.")
	}
	if !r.Yes && !r.Force && !c.sure() {
		return &ExitError{1, errors.New("nothing was removed")}
	}
	errs := make([]error, len(names))
	var group errgroup.Group
	group.SetLimit(parallel)
	var agents []string
	for i, name := range names {
		e, err := c.o.Store.Entry(name)
		switch {
		case err != nil && r.Force:
			continue // it is not there, which is what was asked for
		case err == nil && e.Kind == journal.KindAgent:
			agents = append(agents, name)
			continue
		}
		group.Go(func() error {
			errs[i] = c.remove(ctx, name, r.Force)
			return nil
		})
	}
	_ = group.Wait() // each error is in errs
	words := "Successfully removed %s"
	if r.Quiet {
		words = "removed %s"
	}
	for i, name := range names {
		if errs[i] == nil && !slices.Contains(agents, name) {
			c.say(words, name)
		}
	}
	if len(agents) > 0 {
		errs = append(errs, c.removeAgents(ctx, agents))
	}
	return errors.Join(errs...)
}

// sure asks on the terminal.
func (c *Machines) sure() bool {
	fmt.Fprint(c.o.Out, "Are you sure? (y/n): ")
	answer, _ := bufio.NewReader(c.o.In).ReadString('\n') // an end is no answer
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

func (c *Machines) removeAgents(ctx context.Context, names []string) error {
	if c.o.Agent == nil {
		return fmt.Errorf("machine %s: it is an agent's; remove it with `millwright machine rm`, by the agent's --state-dir", strings.Join(names, ", "))
	}
	return c.o.Agent.Remove(ctx, names)
}

// remove removes one machine that was made by hand.
func (c *Machines) remove(ctx context.Context, name string, force bool) error {
	e, err := c.o.Store.Entry(name)
	switch {
	case errors.Is(err, journal.ErrNoMachine):
		return c.missing(name)
	case err != nil:
		return err
	case e.Err != nil || e.Kind == journal.KindForeign:
		if _, err = c.ours(name); !force {
			return err
		}
		return errors.Join(fmt.Errorf("%w; its entry is removed, and its instance is not", err), c.o.Store.Remove(name))
	}
	return c.change(ctx, name, func(e *journal.Entry) error {
		e.Machine.State = fleet.Removing
		err := c.o.Store.Save(*e)
		if err == nil {
			err = c.destroy(ctx, *e)
		}
		switch {
		case err == nil:
			return c.o.Store.Remove(name)
		case force:
			return errors.Join(fmt.Errorf("machine %s: %w; its entry is removed all the same, and the instance %s of %s may be left", name, err,
				e.Machine.Instance.ID, e.Machine.Driver), c.o.Store.Remove(name))
		}
		return fmt.Errorf("machine %s: %w", name, err)
	})
}

// Limits of a removal.
const (
	removeTries = 3
	removePause = 2 * time.Second
)

// destroy has the driver remove the instance.
func (c *Machines) destroy(ctx context.Context, e journal.Entry) error {
	if isNone(e) {
		return nil
	}
	drivers, err := c.lookUp()
	if err != nil {
		return err
	}
	d := drivers.For(e.Machine.Driver, secretsOf(e))
	m := e.Machine
	req := abi.RemoveRequest{ABI: abi.Version, Owner: ownerOf(e), Name: m.Name, ID: m.Instance.ID, Options: driverOptions(m.Options), State: m.Instance.State}
	for try := 1; ; try++ {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		err := d.Remove(call, req)
		cancel()
		if err == nil || try == removeTries || errors.Is(err, driver.ErrAuth) || wait.For(ctx, removePause) != nil {
			return err
		}
	}
}
