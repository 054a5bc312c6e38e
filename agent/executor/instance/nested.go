package instance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/executor/nesting"
	"github.com/millwright-ci/millwright/agent/executor/remote"
	"github.com/millwright-ci/millwright/agent/wait"
)

// Isolation is the virtual machine that a job gets on its instance.
type Isolation struct {
	Image string // of the virtual machine
	Slot  int    // a number that no other job on the instance has
	Nest  nesting.Options
	Login config.Connector // how the virtual machine is reached from the instance
}

// Nested runs a job in a virtual machine on its instance, which is made for it and deleted with it. It implements executor.Lasting.
type Nested struct {
	target *connect.Target // of the instance
	v      Isolation
	o      remote.Settings

	line   *connect.Line // to the instance
	daemon *nesting.Daemon
	inside *remote.Executor // in the virtual machine; nil before that can be logged in to
	pin    *connect.Pin
	handle nestedHandle
}

var (
	_ executor.Lasting = (*Nested)(nil)
	_ executor.Prober  = (*Nested)(nil)
)

// nestedHandle is what another agent needs to go on in a virtual machine, or to delete it.
type nestedHandle struct {
	VM     nesting.VM      `json:"vm"`
	Key    string          `json:"host_key,omitempty"` // of the virtual machine, a line of authorized_keys
	Inside json.RawMessage `json:"inside,omitempty"`
}

// NewNested returns an executor for one job in a virtual machine on the instance that target reaches. Nobody is dialled before Prepare.
func NewNested(target *connect.Target, v Isolation, o remote.Settings) (*Nested, error) {
	if target == nil {
		return nil, executor.Errorf(executor.Engine, "the job has no instance")
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	e := &Nested{target: target, v: v, o: o, line: connect.NewLine(target)}
	if o.Handle != nil {
		if err := json.Unmarshal(o.Handle, &e.handle); err != nil {
			return nil, fmt.Errorf("what the agent before has noted of the job's virtual machine: %w", err)
		}
	}
	var err error
	if e.pin, err = connect.NewPin(e.handle.Key); err != nil {
		return nil, err
	}
	e.o.Handle = nil
	if e.handle.Inside != nil {
		e.o.Handle = e.handle.Inside
		e.inside, err = e.enter()
	}
	return e, err
}

// Handle implements executor.Handled.
func (e *Nested) Handle() []byte {
	e.handle.Key = e.pin.Text()
	if e.inside != nil {
		e.handle.Inside = e.inside.Handle()
	}
	data, _ := json.Marshal(e.handle) // texts: it cannot fail
	return data
}

// enter makes the executor in the virtual machine.
func (e *Nested) enter() (*remote.Executor, error) {
	vm, err := e.vm()
	if err != nil {
		return nil, err
	}
	o := e.o
	o.Greeting = fmt.Sprintf("Using virtual machine %s on %s as %s...", vm.Address, e.target.Address, vm.User)
	return within(vm, o)
}

// vm is the virtual machine as something that can be dialled: through its instance, with the credentials of config.toml.
func (e *Nested) vm() (*connect.Target, error) {
	target, err := connect.New(connect.Options{
		Connector: e.v.Login, Connection: group.Connection{InternalAddr: e.handle.VM.Addr}, Pin: e.pin,
		Through: func(ctx context.Context, network, address string) (net.Conn, error) {
			client, err := e.line.Client(ctx)
			if err != nil {
				return nil, &hostError{err}
			}
			return client.DialContext(ctx, network, address)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("virtual machine %s: %w", e.handle.VM.ID, err)
	}
	return target, nil
}

// hostError means that the instance itself can't be reached.
type hostError struct{ err error }

func (e *hostError) Error() string { return e.err.Error() }
func (e *hostError) Unwrap() error { return e.err }

// Prepare makes the virtual machine and waits until it can be logged in to.
func (e *Nested) Prepare(ctx context.Context) (executor.Ready, error) {
	if err := e.create(ctx); err != nil {
		return executor.Ready{}, e.fault(ctx, err)
	}
	vm, err := e.vm()
	if err == nil {
		err = await(ctx, vm)
	}
	if err == nil {
		e.inside, err = e.enter()
	}
	if err != nil {
		return executor.Ready{}, e.fault(ctx, fmt.Errorf("virtual machine %s: %w", e.handle.VM.ID, err))
	}
	ready, err := e.inside.Prepare(ctx)
	return ready, e.fault(ctx, err)
}

// await waits for the first login.
func await(ctx context.Context, vm *connect.Target) error {
	client, err := vm.Await(ctx)
	if err != nil {
		return err
	}
	return client.Close()
}

// create has the daemon make the virtual machine.
func (e *Nested) create(ctx context.Context) error {
	daemon, err := e.nest(ctx)
	if err != nil {
		return err
	}
	e.o.Console.Println(fmt.Sprintf("Creating a virtual machine of %s on %s ...", e.v.Image, e.target.Address))
	vm, stomped, err := daemon.Create(ctx, e.v.Image, e.v.Slot)
	if err != nil {
		return err
	}
	e.handle.VM = vm
	e.o.Log.Info("virtual machine created", "vm", vm.ID, "address", vm.Addr, "image", e.v.Image, "slot", e.v.Slot, "deleted", stomped)
	e.o.Console.Println(fmt.Sprintf("Virtual machine %s at %s is booting ...", vm.ID, vm.Addr))
	return nil
}

// nest returns the instance's daemon.
func (e *Nested) nest(ctx context.Context) (*nesting.Daemon, error) {
	if e.daemon != nil {
		return e.daemon, nil
	}
	if _, err := e.line.Client(ctx); err != nil { // so that an instance that is gone counts as such
		return nil, &hostError{err}
	}
	daemon, err := nesting.Open(ctx, e.v.Nest, e.line.Client)
	if err != nil {
		return nil, err
	}
	e.daemon = daemon
	return daemon, nil
}

// fault makes an instance that can't be reached the engine's fault, and a daemon that doesn't answer: another instance may serve. What becomes
// of one virtual machine says nothing about the others.
func (e *Nested) fault(ctx context.Context, err error) error {
	var exit *executor.ExitError
	var known *executor.Error
	if err == nil || ctx.Err() != nil || errors.As(err, &exit) || errors.As(err, &known) {
		return err
	}
	var host *hostError
	gone := errors.As(err, &host) || nesting.Unreachable(err)
	var lost *remote.LostError
	if errors.As(err, &lost) {
		gone = e.line.Ping(ctx) != nil
	}
	if gone {
		return &executor.Error{Kind: executor.Engine, Err: err}
	}
	return err
}

// Resume implements executor.Lasting.
func (e *Nested) Resume(ctx context.Context) error {
	if e.inside == nil {
		return errors.New("its virtual machine was not ready yet")
	}
	return e.fault(ctx, e.inside.Resume(ctx))
}

// Run implements executor.Executor.
func (e *Nested) Run(ctx context.Context, s executor.Stage) error {
	return e.fault(ctx, e.inside.Run(ctx, s))
}

// Attach implements executor.Lasting.
func (e *Nested) Attach(ctx context.Context, s executor.Stage, from executor.Start, at executor.Position) (bool, error) {
	started, err := e.inside.Attach(ctx, s, from, at)
	return started, e.fault(ctx, err)
}

// Probe implements executor.Prober: it asks the virtual machine, and so the instance.
func (e *Nested) Probe(ctx context.Context) error {
	if e.inside == nil {
		return nil // nothing is known against it
	}
	return e.inside.Probe(ctx)
}

// Leave implements executor.Lasting.
func (e *Nested) Leave() {
	if e.inside != nil {
		e.inside.Leave()
	}
	e.hangUp()
}

func (e *Nested) hangUp() {
	if e.daemon != nil {
		e.daemon.Close()
	}
	e.line.Close()
}

// The tries to delete a virtual machine. One that stays is deleted when a job gets its slot next.
const (
	deleteTries = 3
	deletePause = 2 * time.Second
)

// Cleanup deletes the virtual machine, with all that runs in it.
func (e *Nested) Cleanup(ctx context.Context) error {
	defer e.hangUp()
	if e.inside != nil {
		e.inside.Leave() // what the job has in there goes with it
	}
	if e.handle.VM.ID == "" {
		return nil
	}
	for try := 1; ; try++ {
		daemon, err := e.nest(ctx)
		if err == nil {
			err = daemon.Delete(ctx, e.handle.VM.ID)
		}
		if err == nil {
			e.o.Log.Info("virtual machine deleted", "vm", e.handle.VM.ID)
			return nil
		}
		if try == deleteTries || ctx.Err() != nil {
			return fmt.Errorf("%w; it is deleted when the next job gets its place on the instance", err)
		}
		if err := wait.For(ctx, deletePause); err != nil {
			return err
		}
	}
}
