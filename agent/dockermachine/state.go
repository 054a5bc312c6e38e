package dockermachine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// docker-machine's words for states; "" is none.
const (
	stateRunning  = "Running"
	stateStopped  = "Stopped"
	stateStopping = "Stopping"
	stateStarting = "Starting"
	stateError    = "Error"
	stateTimeout  = "Timeout"
)

// condition is how a machine is, as far as could be learnt.
type condition struct {
	state string
	err   string // one line; "" when nothing is wrong
	took  time.Duration
}

// ofInstance puts a provider's record into docker-machine's words.
func ofInstance(i abi.Instance) condition {
	switch i.Status {
	case abi.StatusRunning:
		return condition{state: stateRunning}
	case abi.StatusCreating:
		return condition{state: stateStarting}
	case abi.StatusStopped:
		return condition{state: stateStopped}
	case abi.StatusInterrupted:
		return condition{state: stateStopping, err: "its provider takes it back: " + i.Message}
	case abi.StatusGone:
		return condition{err: "its provider has removed it: " + i.Message}
	}
	return condition{state: stateError, err: i.Message}
}

// ofAgent is the state of an agent's machine, by its record, which the agent keeps up to date.
func ofAgent(m fleet.Machine) condition {
	switch m.State {
	case fleet.Creating:
		return condition{state: stateStarting}
	case fleet.Removing:
		return condition{state: stateStopping, err: m.RemoveErr}
	}
	return ofInstance(m.Instance)
}

// conditions asks the providers of all machines at once, with one call for those of a driver with the same options. What has no answer
// within the time has the state Timeout. The entries' instances are brought up to date; the store is not.
func (c *Machines) conditions(ctx context.Context, entries []journal.Entry, within time.Duration) []condition {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	out := make([]condition, len(entries))
	groups := map[string][]int{}
	for i, e := range entries {
		switch {
		case e.Err != nil:
			out[i] = condition{state: stateError, err: e.Err.Error()}
		case e.Kind == journal.KindAgent:
			out[i] = ofAgent(e.Machine)
		case e.Kind == journal.KindForeign: // nobody here knows its provider; its engine is asked
		case isNone(e):
			out[i] = condition{state: stateRunning}
		default:
			key := groupKey(e)
			groups[key] = append(groups[key], i)
		}
	}
	var wg sync.WaitGroup
	for _, list := range groups {
		wg.Go(func() { c.ask(ctx, entries, list, out) })
	}
	wg.Wait()
	return out
}

// groupKey is the same for machines that one list call shows.
func groupKey(e journal.Entry) string {
	secrets, _ := json.Marshal(e.Secrets)
	options, _ := json.Marshal(driverOptions(e.Machine.Options)) // strings by name: neither can fail
	return e.Machine.Driver + "\n" + e.Owner + "\n" + string(secrets) + "\n" + strings.ReplaceAll(string(options), e.Machine.Name, "%s")
}

// ask learns the state of the machines of one group. It owns their places in entries and out.
func (c *Machines) ask(ctx context.Context, entries []journal.Entry, list []int, out []condition) {
	began := time.Now()
	found, err := c.listFor(ctx, entries[list[0]])
	took := time.Since(began)
	byName := map[string]abi.Instance{}
	for _, i := range found.Instances {
		byName[i.Name] = i
	}
	for _, n := range list {
		m := &entries[n].Machine
		i, ok := byName[m.Name]
		switch {
		case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			out[n] = condition{state: stateTimeout}
		case err != nil:
			out[n] = condition{state: stateError, err: firstLine(err.Error())}
		case ok:
			if len(i.State) == 0 {
				i.State = m.Instance.State
			}
			m.Instance = i
			out[n] = ofInstance(i)
		case m.State == fleet.Creating:
			out[n] = condition{state: stateStarting}
		case !found.Complete:
			out[n] = condition{state: stateError, err: "its provider's list is not complete"}
		default:
			out[n] = condition{err: "its provider does not have it"}
		}
		out[n].took = took
	}
}

// listFor asks the provider of a machine. It returns when ctx ends, whatever the driver does then.
func (c *Machines) listFor(ctx context.Context, e journal.Entry) (abi.ListResult, error) {
	drivers, err := c.lookUp()
	if err != nil {
		return abi.ListResult{}, err
	}
	type answer struct {
		found abi.ListResult
		err   error
	}
	got := make(chan answer, 1)
	go func() {
		found, err := drivers.For(e.Machine.Driver, secretsOf(e)).List(ctx, abi.ListRequest{ABI: abi.Version, Owner: ownerOf(e), Options: driverOptions(e.Machine.Options)})
		got <- answer{found, err}
	}()
	select {
	case a := <-got:
		return a.found, a.err
	case <-ctx.Done():
		return abi.ListResult{}, ctx.Err()
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// statusTimeout is how long one machine's provider may take.
const statusTimeout = 30 * time.Second

// now returns how a machine is, and brings e up to date.
func (c *Machines) now(ctx context.Context, e *journal.Entry) condition {
	if e.Kind == journal.KindForeign {
		if _, err := c.engineVersion(ctx, *e); err != nil {
			return condition{state: stateError, err: err.Error()}
		}
		return condition{state: stateRunning}
	}
	entries := []journal.Entry{*e}
	out := c.conditions(ctx, entries, statusTimeout)
	*e = entries[0]
	return out[0]
}

// Status prints the state of a machine in a word.
func (c *Machines) Status(ctx context.Context, names []string) error {
	e, err := c.one(names)
	if err != nil {
		return err
	}
	s := c.now(ctx, &e)
	if (s.state == stateError || s.state == stateTimeout) && s.err != "" {
		c.warn("%s", s.err)
	}
	c.say("%s", s.state)
	if s.state == stateError || s.state == stateTimeout {
		return &ExitError{1, fmt.Errorf("machine %s: its state is not known", e.Machine.Name)}
	}
	return nil
}
