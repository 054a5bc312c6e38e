package dockermachine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/hosts"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// machineName is docker-machine's rule for names, with the longest name that a host can bear.
var machineName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]{0,62}$`)

// Described returns what a driver says of itself, with the options that every driver has after its own.
func (c *Machines) Described(name string) (abi.Describe, error) {
	if name == hosts.None {
		d := hosts.Describe(hosts.None)
		for i := range d.Options {
			if d.Options[i].Name != optURL { // docker-machine knows no other, and asks no engine
				d.Options[i].Required, d.Options[i].Env = false, ""
			}
		}
		d.Options = append(d.Options, provision.HostOptions()...)
		return d, nil
	}
	drivers, err := c.lookUp()
	if err != nil {
		return abi.Describe{}, err
	}
	d, err := drivers.Describe(name)
	d.Options = append(d.Options[:len(d.Options):len(d.Options)], provision.HostOptions()...)
	return d, err
}

// Create makes a machine: it asks the driver, waits until the instance runs, and provisions it. options are entries name=value. What was
// made stays when it fails, to be looked at and removed; only when the provider was never asked is nothing left, and then the exit code is 3
// where the provider, or the driver, refused beforehand.
func (c *Machines) Create(ctx context.Context, driverName, name string, options []string) error {
	if !machineName.MatchString(name) {
		return fmt.Errorf("Error creating machine: Invalid hostname specified. Allowed hostname chars are: 0-9a-zA-Z . -, at most 63, the first no dot and no hyphen: %q", name) //nolint:staticcheck // docker-machine's words
	}
	if _, err := c.o.Store.Entry(name); err == nil {
		return c.exists(name)
	}
	if err := c.takeCerts(); err != nil {
		return err
	}
	owner, err := c.o.Store.Owner()
	if err != nil {
		return err
	}
	e := journal.Entry{Kind: journal.KindByHand, Owner: owner, Machine: fleet.Machine{
		Name: name, Driver: driverName, State: fleet.Creating, CreatedAt: time.Now().UTC().Truncate(time.Second),
	}}
	if driverName == hosts.None {
		return c.createNone(e, options)
	}
	drivers, err := c.lookUp()
	if err != nil {
		return err
	}
	read, secrets, problems, err := drivers.Read(ctx, driverName, options)
	if err == nil {
		err = c.judge(problems)
	}
	if err != nil {
		return fmt.Errorf("Error setting machine configuration from flags provided: %w", err) //nolint:staticcheck // docker-machine's words
	}
	e.Machine.Options, e.Secrets, e.Written = read, secrets.Values, secrets.Written
	return c.create(ctx, drivers.For(driverName, secrets), e)
}

func (c *Machines) exists(name string) error {
	return fmt.Errorf("Docker machine %q already exists", name) //nolint:staticcheck // docker-machine's words
}

// judge tells the warnings among problems, and returns the others.
func (c *Machines) judge(problems []abi.Problem) error {
	var errs []error
	for _, p := range problems {
		if p.Warning {
			c.say("WARNING: --%s %s", p.Option, p.Message)
			continue
		}
		errs = append(errs, fmt.Errorf("--%s: %s", p.Option, p.Message))
	}
	return errors.Join(errs...)
}

func (c *Machines) create(ctx context.Context, d driver.Driver, e journal.Entry) (err error) {
	name := e.Machine.Name
	c.o.Words.Phase(phaseCheck)
	if err := c.preCreate(ctx, d, e); err != nil {
		c.o.Words.End(err)
		return &ExitError{exitPreCreate, fmt.Errorf("Error with pre-create check: %w", err)} //nolint:staticcheck // docker-machine's words
	}
	err = c.o.Store.Add(e)
	if errors.Is(err, journal.ErrExists) {
		return c.exists(name)
	}
	if err != nil {
		return err
	}
	release, err := c.o.Store.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	log, err := c.openLog(name)
	if err != nil {
		return err
	}
	defer log.Close()
	begun, err := c.made(ctx, d, &e, log)
	c.o.Words.End(err)
	if err == nil {
		c.say("To see how to connect your Docker Client to the Docker Engine running on this virtual machine, run: %s env %s", c.o.Command, name)
		return nil
	}
	fmt.Fprintf(log, "%s: %v\n", name, err)
	err = fmt.Errorf("Error creating machine: %w", err) //nolint:staticcheck // docker-machine's words
	if !begun && errors.Is(err, driver.ErrInvalid) {
		err = &ExitError{exitPreCreate, errors.Join(err, c.o.Store.Remove(name))}
	}
	return err
}

// preCreate looks whether the provider answers, and whether it has the machine already: that would not be this one.
func (c *Machines) preCreate(ctx context.Context, d driver.Driver, e journal.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := d.List(ctx, abi.ListRequest{ABI: abi.Version, Owner: ownerOf(e), Options: driverOptions(e.Machine.Options)})
	if err != nil {
		return err
	}
	for _, i := range found.Instances {
		if i.Name == e.Machine.Name && i.Status != abi.StatusGone {
			return fmt.Errorf("%s has an instance %s of that name already, left by a machine whose entry was removed; remove it there first", e.Machine.Driver, i.ID)
		}
	}
	return nil
}

// made takes the machine through its phases and keeps e and the store up to date. begun tells whether the provider may have made something.
func (c *Machines) made(ctx context.Context, d driver.Driver, e *journal.Entry, log io.Writer) (begun bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.CreateTimeout, fmt.Errorf("not ready within %s", c.o.CreateTimeout))
	defer cancel()
	p, err := c.provisioner(*e, log, 0)
	if err != nil {
		return false, err
	}
	defer p.Close()
	keys, err := p.Bootstrap(ctx, e.Machine.Name)
	if err != nil {
		return false, err
	}
	e.Machine.SSHUser = keys.SSHUser
	words := noted{c.o.Words, c, e}
	words.Phase(phaseInsert)
	if err := c.o.Store.Save(*e); err != nil {
		return false, err
	}
	if e.Machine.Instance, err = insert(ctx, d, *e, keys); err != nil {
		return false, err
	}
	words.Phase(phaseBoot)
	err = c.boot(ctx, d, e)
	if serr := c.o.Store.Save(*e); err == nil {
		err = serr
	}
	if err != nil {
		return true, err
	}
	return true, c.provisioned(ctx, words, p, e)
}

// provisioned makes the engine of a machine ready and writes that down.
func (c *Machines) provisioned(ctx context.Context, words Progress, p *provision.Provisioner, e *journal.Entry) error {
	if l, ok := c.login(*e, e.Machine); ok && l.KeyFile != "" {
		e.KeyFile = l.KeyFile
	}
	if _, err := p.Provision(ctx, e.Machine, words.Phase); err != nil {
		return err
	}
	e.Phase, e.Machine.State, e.Machine.ReadyAt = "", fleet.Idle, time.Now().UTC().Truncate(time.Second)
	return c.o.Store.Save(*e)
}
