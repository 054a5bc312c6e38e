package dockermachine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/agent/wait"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// operation is one way to switch a machine.
type operation struct {
	doing, done string     // what is said; "" says nothing
	reached     abi.Status // the state that it ends in
	refused     string     // the state in which docker-machine refuses it
}

var operations = map[string]operation{
	"start":   {doing: "Starting %q...", done: "Machine %q was started.", reached: abi.StatusRunning, refused: stateRunning},
	"stop":    {doing: "Stopping %q...", done: "Machine %q was stopped.", reached: abi.StatusStopped, refused: stateStopped},
	"kill":    {doing: "Killing %q...", done: "Machine %q was killed.", reached: abi.StatusStopped, refused: stateStopped},
	"restart": {doing: "Restarting %q...", done: "Machine %q was restarted.", reached: abi.StatusRunning},
}

// each does something with several machines at once, and joins what went wrong.
func each(names []string, do func(name string) error) error {
	errs := make([]error, len(names))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, name := range names {
		group.Go(func() error {
			errs[i] = do(name)
			return nil
		})
	}
	_ = group.Wait() // each error is in errs
	return errors.Join(errs...)
}

// Switch starts, stops, kills or restarts machines.
func (c *Machines) Switch(ctx context.Context, op string, names []string) error {
	names, err := c.named(names)
	if err != nil {
		return err
	}
	err = each(names, func(name string) error {
		return c.change(ctx, name, func(e *journal.Entry) error { return c.switchOne(ctx, op, e) })
	})
	if err == nil && operations[op].reached == abi.StatusRunning {
		c.say("Started machines may have new IP addresses. You may need to re-run the `%s env` command.", c.o.Command)
	}
	return err
}

func (c *Machines) switchOne(ctx context.Context, op string, e *journal.Entry) error {
	name, o := e.Machine.Name, operations[op]
	now := c.now(ctx, e)
	switch {
	case now.state == stateTimeout || now.state == stateError && now.err != "" && e.Machine.Instance.Address == "":
		return fmt.Errorf("machine %s: its state is not known: %s", name, now.err)
	case now.state == "":
		return fmt.Errorf("machine %s: %s", name, now.err)
	case o.refused != "" && now.state == o.refused:
		return fmt.Errorf("Machine %q is already %s.", name, map[string]string{stateRunning: "running", stateStopped: "stopped"}[o.refused]) //nolint:staticcheck // docker-machine's words
	case op == "restart" && now.state == stateStopped:
		op = "start"
	}
	c.say(o.doing, name)
	if err := c.power(ctx, op, e); err != nil {
		return fmt.Errorf("machine %s: %s: %w", name, op, err)
	}
	err := c.until(ctx, e, o.reached, op == "restart")
	if serr := c.o.Store.Save(*e); err == nil {
		err = serr
	}
	if err == nil && o.reached == abi.StatusRunning {
		err = c.again(ctx, e)
	}
	if err != nil {
		return err
	}
	c.say(o.done, name)
	return nil
}

// power switches a machine through its driver, or from inside where the driver can't. A restart that the driver has not is a stop and a start, as
// docker-machine does it.
func (c *Machines) power(ctx context.Context, op string, e *journal.Entry) error {
	if isNone(*e) {
		return driver.ErrNoSwitch
	}
	err := c.demand(ctx, op, *e)
	if !errors.Is(err, driver.ErrNoSwitch) {
		return err
	}
	switch op {
	case "start":
		return fmt.Errorf("%w; start it at its provider", err)
	case "restart":
		if err = c.demand(ctx, "stop", *e); err == nil {
			if err = c.until(ctx, e, abi.StatusStopped, false); err == nil {
				err = c.demand(ctx, "start", *e)
			}
		}
		if !errors.Is(err, driver.ErrNoSwitch) {
			return err
		}
	}
	p, err := c.provisioner(*e, c.o.Debug, sshPatience)
	if err != nil {
		return err
	}
	defer p.Close()
	if op == "restart" {
		return p.Reboot(ctx, e.Machine)
	}
	return p.PowerOff(ctx, e.Machine)
}

// demand has the driver switch a machine. While the provider is still at what it was asked before, it is asked again.
func (c *Machines) demand(ctx context.Context, op string, e journal.Entry) error {
	ctx, cancel := context.WithTimeoutCause(ctx, switchTimeout, fmt.Errorf("not within %s", switchTimeout))
	defer cancel()
	drivers, err := c.lookUp()
	if err != nil {
		return err
	}
	for {
		err := drivers.Switch(ctx, op, e.Machine, ownerOf(e), secretsOf(e))
		if !errors.Is(err, driver.ErrConflict) || wait.For(ctx, bootPoll) != nil {
			return err
		}
	}
}

// switchTimeout is how long a machine may take to be as it should.
const switchTimeout = 5 * time.Minute

// until waits until a machine is in a state. After a restart it is enough that it runs.
func (c *Machines) until(ctx context.Context, e *journal.Entry, want abi.Status, restarted bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, switchTimeout, fmt.Errorf("machine %s: not %s within %s", e.Machine.Name, want, switchTimeout))
	defer cancel()
	for {
		now := c.now(ctx, e)
		i := e.Machine.Instance
		if i.Status == want && (want != abi.StatusRunning || i.Address != "") {
			return nil
		}
		if want == abi.StatusStopped && i.Status == abi.StatusInterrupted { // off, and one that the provider may take back
			return nil
		}
		if restarted && now.state == stateError { // it does not answer yet
			return nil
		}
		if err := wait.For(ctx, bootPoll); err != nil {
			return fmt.Errorf("%w; it is %s", err, i.Status)
		}
	}
}

// again provisions a machine that was switched on: its address may be new, and its engine may have to be started.
func (c *Machines) again(ctx context.Context, e *journal.Entry) error {
	if isNone(*e) || e.Machine.State == fleet.Creating {
		return nil
	}
	return c.withProvisioner(*e, func(p *provision.Provisioner) error {
		if _, err := p.Provision(ctx, e.Machine, nil); err != nil {
			return err
		}
		return c.o.Store.Save(*e)
	})
}

// withProvisioner has do work on a machine with a provisioner that logs to its file.
func (c *Machines) withProvisioner(e journal.Entry, do func(*provision.Provisioner) error) error {
	log, err := c.openLog(e.Machine.Name)
	if err != nil {
		return err
	}
	defer log.Close()
	p, err := c.provisioner(e, log, 0)
	if err != nil {
		return err
	}
	defer p.Close()
	err = do(p)
	if err != nil {
		fmt.Fprintf(log, "%s: %v\n", e.Machine.Name, err)
	}
	return err
}
