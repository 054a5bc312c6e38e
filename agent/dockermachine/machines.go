package dockermachine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/hosts"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Exit codes, beside 0 and 1: docker-machine's.
const exitPreCreate = 3

// ExitError is an error with an exit code of its own.
type ExitError struct {
	Code int
	Err  error // its text may be empty: then all has been said
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }

// Secrets are the values of secret options of a machine, by the credential's key.
type Secrets struct {
	Values  map[string]string
	Written bool // they were options, not found in the environment
}

// Drivers gives drivers by name. The supervisor implements it.
type Drivers interface {
	// Names are those that there are for certain, sorted.
	Names() []string
	Describe(name string) (abi.Describe, error)
	// Read turns entries name=value into options; references stand in the place of secret values.
	Read(ctx context.Context, name string, list []string) (abi.Options, Secrets, []abi.Problem, error)
	// For returns the driver, ready for calls with references to these secrets.
	For(name string, s Secrets) driver.Driver
	// Login is how a machine is logged in to that was not made with our keys.
	Login(m fleet.Machine) (provision.Login, bool)
	// Switch has the driver switch a machine: start, stop, restart, kill. driver.ErrNoSwitch: it can't.
	Switch(ctx context.Context, op string, m fleet.Machine, owner abi.Owner, s Secrets) error
	// Logs is the end of what a machine wrote to its console. driver.ErrNoLogs: its driver can't tell.
	Logs(ctx context.Context, m fleet.Machine, owner abi.Owner, s Secrets) (string, error)
}

// Agent is who has the machines of the store that were not made by hand.
type Agent interface {
	// Remove removes machines of the agent's, through it or, when none runs, in its place.
	Remove(ctx context.Context, names []string) error
}

// Options are what New needs.
type Options struct {
	Store   *journal.Hand
	Command string   // how it is called, for hints: docker-machine
	Line    []string // the command line as a whole, for hints
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Log     *slog.Logger

	Drivers func() (Drivers, error) // called when first needed
	Agent   Agent                   // nil: the store is no agent's
	Debug   io.Writer               // gets the log of provisioning; nil: only the machine's file does
	Certs   CertFiles
	Words   Progress // shows how far a creation is

	CreateTimeout time.Duration // until a new machine runs; default 30m
}

// Machines are the machines of a store. It is for one command.
type Machines struct {
	o       Options
	opening sync.Mutex // guards drivers
	drivers Drivers    // nil until they are needed
}

// New returns the machines of a store.
func New(o Options) *Machines {
	o.CreateTimeout = cmp.Or(o.CreateTimeout, 30*time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Words == nil {
		o.Words = Plain(o.Out)
	}
	return &Machines{o: o}
}

func (c *Machines) say(format string, args ...any) { fmt.Fprintf(c.o.Out, format+"\n", args...) }

func (c *Machines) warn(format string, args ...any) { fmt.Fprintf(c.o.Err, format+"\n", args...) }

// lookUp opens the drivers once.
func (c *Machines) lookUp() (Drivers, error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.drivers == nil {
		d, err := c.o.Drivers()
		if err != nil {
			return nil, err
		}
		c.drivers = d
	}
	return c.drivers, nil
}

// entry returns a machine that can be read.
func (c *Machines) entry(name string) (journal.Entry, error) {
	e, err := c.o.Store.Entry(name)
	if errors.Is(err, journal.ErrNoMachine) {
		return e, c.missing(name)
	}
	if err == nil && e.Err != nil {
		err = fmt.Errorf("machine %s: %w", name, e.Err)
	}
	return e, err
}

func (c *Machines) missing(name string) error {
	return fmt.Errorf("Docker machine %q does not exist. Use \"%s ls\" to list machines. Use \"%s create\" to add a new one.", name, c.o.Command, c.o.Command) //nolint:staticcheck // docker-machine's words, which scripts look for
}

// errNoName is docker-machine's word for a command that has nothing to act on.
var errNoName = errors.New(`Error: No machine name(s) specified and no "default" machine exists`) //nolint:staticcheck // docker-machine's words

// defaultMachine is the one that commands without a name are for.
const defaultMachine = "default"

// named returns the names, or that of the default machine when there are none.
func (c *Machines) named(names []string) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	if _, err := c.o.Store.Entry(defaultMachine); err != nil {
		return nil, errNoName
	}
	return []string{defaultMachine}, nil
}

// one returns the machine of a command that is for one.
func (c *Machines) one(names []string) (journal.Entry, error) {
	names, err := c.named(names)
	if err != nil {
		return journal.Entry{}, err
	}
	if len(names) > 1 {
		return journal.Entry{}, errors.New("Error: Expected one machine name as an argument") //nolint:staticcheck // docker-machine's words
	}
	return c.entry(names[0])
}

// ours returns a machine that was made by hand, and so may be changed here.
func (c *Machines) ours(name string) (journal.Entry, error) {
	e, err := c.entry(name)
	switch {
	case err != nil:
	case e.Kind == journal.KindAgent:
		err = fmt.Errorf("machine %s: it is the agent's, which runs jobs on it; cordon or hold it, or remove it", name)
	case e.Kind == journal.KindForeign:
		err = fmt.Errorf("machine %s: docker-machine made it; `millwright machine import` takes it over", name)
	}
	return e, err
}

// lockPatience is how long a command waits for another one at the same machine.
const lockPatience = 30 * time.Second

// change locks a machine that was made by hand and has do change it, then writes it down.
func (c *Machines) change(ctx context.Context, name string, do func(e *journal.Entry) error) error {
	if _, err := c.ours(name); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, lockPatience)
	release, err := c.o.Store.Lock(wait, name)
	cancel()
	if err != nil {
		return err
	}
	defer release()
	e, err := c.ours(name)
	if err != nil {
		return err
	}
	return do(&e)
}

// isNone tells a machine that is nothing but the URL of an engine.
func isNone(e journal.Entry) bool { return e.Machine.Driver == hosts.None }

// secretsOf are those of a machine.
func secretsOf(e journal.Entry) Secrets { return Secrets{Values: e.Secrets, Written: e.Written} }

// url is where a machine's engine answers; "" when it has no address.
func (c *Machines) url(e journal.Entry) string {
	i := e.Machine.Instance
	if i.Address == "" {
		return ""
	}
	return "tcp://" + net.JoinHostPort(i.Address, strconv.Itoa(cmp.Or(i.EnginePort, 2376)))
}

func (c *Machines) endpoint(e journal.Entry) fleet.Endpoint {
	return fleet.Endpoint{Host: c.url(e), CertPath: c.o.Store.Dir(e.Machine.Name)}
}

// provisioner returns one for a machine; log gets what it does.
func (c *Machines) provisioner(e journal.Entry, log io.Writer, sshTimeout time.Duration) (*provision.Provisioner, error) {
	return provision.New(provision.Options{
		StoreDir: c.o.Store.Root(), Debug: log, Logger: c.o.Log, SSHTimeout: sshTimeout,
		Login: func(m fleet.Machine) (provision.Login, bool) { return c.login(e, m) },
	})
}

// login says how a machine is logged in to that was not made with our keys.
func (c *Machines) login(e journal.Entry, m fleet.Machine) (provision.Login, bool) {
	if e.Kind == journal.KindForeign {
		return provision.Login{KeyFile: e.KeyFile, KnownHosts: filepath.Join(c.o.Store.Dir(m.Name), "known_hosts")}, true
	}
	d, err := c.lookUp()
	if err != nil {
		c.o.Log.Error("The drivers can't be loaded", "error", err)
		return provision.Login{}, false
	}
	l, ok := d.Login(m)
	l.Rename = ok // docker-machine names every host, those of generic too
	return l, ok
}

// errNotRunning is docker-machine's word for it.
var errNotRunning = errors.New("Host is not running") //nolint:staticcheck // docker-machine's words

// running is an error when a machine was switched off, as far as is known here.
func running(e journal.Entry) error {
	switch e.Machine.Instance.Status {
	case abi.StatusStopped, abi.StatusGone:
		return errNotRunning
	}
	if e.Machine.Instance.Address == "" {
		return errNotRunning
	}
	return nil
}
