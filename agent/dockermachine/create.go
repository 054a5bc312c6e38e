package dockermachine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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
	if err := c.o.Store.Save(*e); err != nil {
		return false, err
	}
	c.o.Words.Phase(phaseInsert)
	if e.Machine.Instance, err = insert(ctx, d, *e, keys); err != nil {
		return false, err
	}
	c.o.Words.Phase(phaseBoot)
	err = c.boot(ctx, d, e)
	if serr := c.o.Store.Save(*e); err == nil {
		err = serr
	}
	if err != nil {
		return true, err
	}
	return true, c.provisioned(ctx, c.o.Words, p, e)
}

// provisioned makes the engine of a machine ready and writes that down.
func (c *Machines) provisioned(ctx context.Context, words Progress, p *provision.Provisioner, e *journal.Entry) error {
	if l, ok := c.login(*e, e.Machine); ok && l.KeyFile != "" {
		e.KeyFile = l.KeyFile
	}
	if _, err := p.Provision(ctx, e.Machine, words.Phase); err != nil {
		return err
	}
	e.Machine.State, e.Machine.ReadyAt = fleet.Idle, time.Now().UTC().Truncate(time.Second)
	return c.o.Store.Save(*e)
}

// Limits of calls of a driver.
const (
	callTimeout  = 2 * time.Minute // of one
	insertTries  = 5
	longestPause = 2 * time.Minute // that a provider may ask for before it is an error
	bootPoll     = 2 * time.Second
)

// insert asks the provider for the machine. Where it has too many calls, it is asked again when it says so.
func insert(ctx context.Context, d driver.Driver, e journal.Entry, keys abi.Bootstrap) (abi.Instance, error) {
	req := abi.CreateRequest{
		ABI: abi.Version, Owner: ownerOf(e), Name: e.Machine.Name, Options: driverOptions(e.Machine.Options), Bootstrap: keys,
	}
	for try := 1; ; try++ {
		// Once it is asked, the end of ctx does not cut the call off: an answer that nobody waits for may be an instance that nobody knows.
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		i, err := d.Create(call, req)
		cancel()
		var told *driver.Error
		if !errors.As(err, &told) || told.Info.Kind != abi.RateLimited || try == insertTries {
			return i, err
		}
		pause := time.Duration(max(told.Info.RetryAfterS, 1<<try)) * time.Second
		if pause > longestPause || wait(ctx, pause) != nil {
			return i, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// boot waits until the instance runs and has an address. One list call shows it; what a failed list lacks is not gone.
func (c *Machines) boot(ctx context.Context, d driver.Driver, e *journal.Entry) error {
	missing := 0
	for {
		switch i := e.Machine.Instance; i.Status {
		case abi.StatusRunning:
			if i.Address != "" {
				return nil
			}
		case abi.StatusStopped, abi.StatusGone, abi.StatusInterrupted:
			if i.Error != nil {
				return &driver.Error{Driver: e.Machine.Driver, Op: abi.ExportCreate, Info: *i.Error}
			}
			return fmt.Errorf("the instance is %s before it ever ran: %s", i.Status, i.Message)
		}
		if err := wait(ctx, bootPoll); err != nil {
			return fmt.Errorf("the instance is %s: %w", e.Machine.Instance.Status, err)
		}
		i, known, err := look(ctx, d, *e)
		switch {
		case err != nil:
			c.o.Log.Warn("The provider does not answer; it is asked again", "machine", e.Machine.Name, "error", err)
		case known:
			missing = 0
			e.Machine.Instance = i
		default:
			if missing++; missing > goneAfter {
				return errors.New("the provider's lists do not have it any more")
			}
		}
	}
}

// goneAfter is how many complete lists in a row must lack a new machine before that is believed: providers' lists lag behind.
const goneAfter = 15

// look returns the provider's record of a machine; known is false when a complete list lacks it.
func look(ctx context.Context, d driver.Driver, e journal.Entry) (i abi.Instance, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := d.List(ctx, abi.ListRequest{ABI: abi.Version, Owner: ownerOf(e), Options: driverOptions(e.Machine.Options)})
	if err != nil {
		return i, false, err
	}
	for _, i := range found.Instances {
		if i.Name == e.Machine.Name {
			if len(i.State) == 0 {
				i.State = e.Machine.Instance.State
			}
			return i, true, nil
		}
	}
	if !found.Complete {
		err = errors.New("its list is not complete")
	}
	return i, false, err
}

// ownerOf is the tag of what is made for a machine.
func ownerOf(e journal.Entry) abi.Owner { return abi.Owner{ID: e.Owner, Runner: "by-hand"} }

// driverOptions leaves out the options that are the host's.
func driverOptions(o abi.Options) abi.Options {
	d := make(abi.Options, len(o))
	for name, values := range o {
		if !provision.IsHostOption(name) {
			d[name] = values
		}
	}
	return d
}

const (
	optURL   = "url"
	optCerts = "none-cert-path"
)

// createNone notes an engine that is there already. Nobody is asked, as in docker-machine.
func (c *Machines) createNone(e journal.Entry, options []string) error {
	given := abi.Options{}
	for _, entry := range options {
		name, value, _ := strings.Cut(entry, "=")
		given[name] = append(given[name], value)
	}
	if err := c.judge(provision.ValidateOptions(given)); err != nil {
		return fmt.Errorf("Error setting machine configuration from flags provided: %w", err) //nolint:staticcheck // docker-machine's words
	}
	link, certs := given.Get(optURL), given.Get(optCerts)
	u, err := url.Parse(link)
	if err != nil || u.Hostname() == "" || u.Scheme != "tcp" && u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("Error setting machine configuration from flags provided: --url: %q is no URL of an engine; give tcp://HOST:2376", link) //nolint:staticcheck // docker-machine's words
	}
	port, _ := strconv.Atoi(u.Port()) // the parser let digits alone through
	e.Machine.Options = given
	e.Machine.State, e.Machine.Instance = fleet.Idle, abi.Instance{
		Name: e.Machine.Name, ID: net.JoinHostPort(u.Hostname(), strconv.Itoa(cmp.Or(port, 2376))), Status: abi.StatusRunning, Address: u.Hostname(), EnginePort: port,
	}
	c.o.Words.Phase(phaseCheck)
	err = c.o.Store.Add(e)
	if errors.Is(err, journal.ErrExists) {
		return c.exists(e.Machine.Name)
	}
	if err == nil && certs != "" {
		if err = copyCerts(certs, c.o.Store.Dir(e.Machine.Name)); err != nil {
			err = errors.Join(err, c.o.Store.Remove(e.Machine.Name))
		}
	}
	if err != nil {
		return err
	}
	c.say("To see how to connect your Docker Client to the Docker Engine running on this virtual machine, run: %s env %s", c.o.Command, e.Machine.Name)
	return nil
}

func copyCerts(from, to string) error {
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return fmt.Errorf("--%s: %w", optCerts, err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
