// Package instances makes instances of the newer autoscaler ready: those that jobs run on themselves, and those whose engine runs them.
package instances

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/executor/nesting"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Phases of instances alone: of instance_ready_command, and of the daemon that makes virtual machines. The others are the provisioner's of
// machines.
const (
	PhaseReady = "ready"
	PhaseNest  = "nesting"
)

// engineTime is how long an engine may take to answer once its instance is ready.
const engineTime = 3 * time.Minute

// Options are what New needs; all are required but Log.
type Options struct {
	// Machines makes machines with keys of their own, and sets up engines where that is wished.
	Machines *provision.Provisioner
	// Target settles how an instance is reached.
	Target func(ctx context.Context, m fleet.Machine) (*connect.Target, error)
	// Wishes are what the runner's configuration says now.
	Wishes func(m fleet.Machine) Wishes
	// Heartbeat asks an instance's group whether it is fit for a job; nil: no group is asked.
	Heartbeat func(ctx context.Context, m fleet.Machine) error
	Log       *slog.Logger
}

// Wishes say what makes an instance ready.
type Wishes struct {
	ReadyCommand string           // run on each new instance; "" is none
	Engine       Engine           // what jobs need of an engine
	EngineHost   string           // where the engine listens on the instance; "" is the usual socket
	Way          connect.Way      // how it is reached there
	CheckTime    time.Duration    // of a probe; 0 is 3s
	Nest         *nesting.Options // the daemon that makes jobs' virtual machines; nil: jobs have none
}

// Engine says how the engine of an instance is reached.
type Engine int

// The engines.
const (
	NoEngine Engine = iota // jobs run on the instance itself
	Tunnel                 // the engine is there, and is reached through SSH
	TLS                    // the provisioner sets the engine up, as it does for docker+machine
)

// Provisioner makes instances ready. It implements pool.Provisioner, and is safe for concurrent use.
type Provisioner struct {
	o     Options
	lines lines
}

// New returns a provisioner; Close it.
func New(o Options) *Provisioner {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return &Provisioner{o: o, lines: lines{all: map[string]*kept{}}}
}

// Bootstrap makes the machine's keys and stores them. A group whose instances have keys of their own makes no use of them.
func (p *Provisioner) Bootstrap(ctx context.Context, name string) (abi.Bootstrap, error) {
	return p.o.Machines.Bootstrap(ctx, name)
}

// Provision makes the running instance of m ready: it waits for the login, runs instance_ready_command and sees to the engine. An error names
// the machine and the phase.
func (p *Provisioner) Provision(ctx context.Context, m fleet.Machine, phase func(string)) (fleet.Endpoint, error) {
	if phase == nil {
		phase = func(string) {}
	}
	w := p.o.Wishes(m)
	began := time.Now()
	name := provision.PhaseSSH
	enter := func(next string) { name = next; phase(next) }
	err := p.provision(ctx, m, w, enter)
	if err != nil {
		return fleet.Endpoint{}, fmt.Errorf("machine %s: %s: %w", m.Name, name, err)
	}
	if w.Engine == TLS {
		return p.o.Machines.Provision(ctx, m, phase)
	}
	p.o.Log.Info("instance ready", "machine", m.Name, "took", time.Since(began).Round(time.Millisecond))
	return p.Endpoint(m), nil
}

func (p *Provisioner) provision(ctx context.Context, m fleet.Machine, w Wishes, phase func(string)) error {
	if w.Engine == TLS && w.ReadyCommand == "" {
		return nil // the machines' own provisioner logs in
	}
	phase(provision.PhaseSSH)
	target, err := p.o.Target(ctx, m)
	if err != nil {
		return err
	}
	if target.Windows() {
		return p.provisionWindows(ctx, target, w, phase)
	}
	client, err := target.Await(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if w.ReadyCommand != "" {
		phase(PhaseReady)
		if err := ready(ctx, client, w.ReadyCommand); err != nil {
			return err
		}
	}
	if w.Nest != nil {
		phase(PhaseNest)
		if err := awaitNest(ctx, client, *w.Nest); err != nil {
			return err
		}
	}
	if w.Engine != Tunnel {
		return nil
	}
	phase(provision.PhaseEngine)
	line := p.lines.get(m, target)
	if err := awaitEngine(ctx, line, w); err != nil {
		return err
	}
	phase(provision.PhaseImage)
	engine, err := newClient(line, w)
	if err != nil {
		return err
	}
	defer engine.Close()
	_, err = p.o.Machines.LoadHelper(ctx, engine)
	return err
}

// ready runs instance_ready_command, which is the login's shell's to read.
func ready(ctx context.Context, client *ssh.Client, command string) error {
	s, err := client.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() }) // a host that is silent closes no session
	defer stop()
	var said, errs tail // in which order the two come is not known
	s.Stdout, s.Stderr = &said, &errs
	err = s.Run(command)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		said.add(&errs)
		return fmt.Errorf("instance_ready_command: %w%s", exitOf(err), said.end())
	}
	return nil
}

// exitOf puts the end of a command into words.
func exitOf(err error) error {
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	switch {
	case errors.As(err, &exit) && exit.Signal() == "":
		return fmt.Errorf("exit code %d", exit.ExitStatus())
	case errors.As(err, &missing):
		return errors.New("the connection was lost before it ended")
	}
	return err
}

// Endpoint says where a ready instance's engine answers, or, where jobs run on the instance itself, its login. It asks nobody.
func (p *Provisioner) Endpoint(m fleet.Machine) fleet.Endpoint {
	if p.o.Wishes(m).Engine == TLS {
		return p.o.Machines.Endpoint(m)
	}
	port := cmp.Or(m.Instance.SSHPort, 22)
	return fleet.Endpoint{Host: "ssh://" + net.JoinHostPort(m.Instance.Address, fmt.Sprint(port))}
}

// Reach returns what a job needs to reach the instance of m: itself, and its engine where that is reached through it.
func (p *Provisioner) Reach(ctx context.Context, m fleet.Machine) (*connect.Target, func(ctx context.Context, network, address string) (net.Conn, error), error) {
	w := p.o.Wishes(m)
	target, err := p.o.Target(ctx, m)
	if err != nil || w.Engine != Tunnel {
		return target, nil, err
	}
	return target, p.lines.get(m, target).Dialer(w.EngineHost, w.Way), nil
}

// Close ends all kept connections. The provisioner may be used again.
func (p *Provisioner) Close() { p.lines.close() }
