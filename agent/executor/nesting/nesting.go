// Package nesting speaks to a nesting daemon, which makes virtual machines on an instance, one for each job: over gRPC, through the SSH
// connection to the instance. The messages are those of gitlab.com/gitlab-org/fleeting/nesting.
package nesting

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"

	"gitlab.com/gitlab-org/fleeting/nesting/api"
	"gitlab.com/gitlab-org/fleeting/nesting/hypervisor"
	"golang.org/x/crypto/ssh"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Options say where the daemon of an instance is, and how it is set up.
type Options struct {
	// Host is where it listens, as the instance sees it: unix://PATH, in which blanks may stand as they are, or tcp://HOST:PORT. "" is the
	// daemon's own default.
	Host   string
	Config map[string]any // nesting_config, for a daemon that nobody has set up yet
}

// VM is a virtual machine on an instance.
type VM struct {
	ID   string `json:"id"`
	Name string `json:"name"` // of its image; "" where the daemon does not tell
	Addr string `json:"addr"` // as the instance reaches it, without a port as a rule
}

// Daemon is the daemon of one instance. It is safe for concurrent use; Close it.
type Daemon struct {
	conn   *grpc.ClientConn
	client api.Client
	config []byte
}

// Client returns the connection to the instance that the daemon is on, dialling where there is none. It belongs to whoever gives it.
type Client func(ctx context.Context) (*ssh.Client, error)

// Open settles where the daemon is. It is not called yet; where Host is not given, the instance is asked.
func Open(ctx context.Context, o Options, client Client) (*Daemon, error) {
	config := []byte("{}")
	if len(o.Config) > 0 {
		var err error
		if config, err = json.Marshal(o.Config); err != nil {
			return nil, fmt.Errorf("nesting_config: %w", err)
		}
	}
	network, address, err := place(o.Host)
	if err == nil && address == "" {
		address, err = ask(ctx, client)
	}
	if err != nil {
		return nil, fmt.Errorf("nesting daemon: %w", err)
	}
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		c, err := client(ctx)
		if err != nil {
			return nil, err
		}
		conn, err := c.DialContext(ctx, network, address)
		if err != nil {
			return nil, fmt.Errorf("%s on the instance: %w; is the daemon running there, and does its sshd forward?", address, err)
		}
		return conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///nesting", grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return nil, fmt.Errorf("nesting daemon: %w", err)
	}
	return &Daemon{conn: conn, client: api.New(conn), config: config}, nil
}

// Check tells what is wrong with a nesting_host; nil when nothing is.
func Check(host string) error {
	_, _, err := place(host)
	return err
}

// place reads a nesting_host; its address is "" where the daemon's default is meant.
func place(host string) (network, address string, err error) {
	network, address, found := strings.Cut(host, ":")
	switch {
	case host == "":
		return "unix", "", nil
	case found && network == "unix":
		address = strings.TrimPrefix(address, "//")
		if plain, err := url.PathUnescape(address); err == nil { // a blank may be %20
			address = plain
		}
		if path.IsAbs(address) {
			return network, address, nil
		}
	case found && network == "tcp" && strings.HasPrefix(address, "//"):
		address = strings.TrimPrefix(address, "//")
		if _, _, err := net.SplitHostPort(address); err == nil {
			return network, address, nil
		}
	}
	return "", "", fmt.Errorf("%q is no address: write unix:///PATH, such as unix:///var/run/nesting.sock, or tcp://HOST:PORT", host)
}

// errNoSocket means that no daemon was found.
var errNoSocket = errors.New("it has no socket at its usual places on the instance; is it running? Else name its socket by nesting_host")

// defaults prints where the daemon listens that was told nothing. Source: socketPath of the daemon's library.
const defaults = `for at in "$NESTING_SOCKET" "$HOME/Library/Application Support/nesting.sock" "$XDG_RUNTIME_DIR/nesting.sock" "$HOME/nesting.sock"; do
	if [ -S "$at" ]; then printf "%s\n" "$at"; exit 0; fi
done
exit 1`

// ask asks the instance where the daemon listens.
func ask(ctx context.Context, client Client) (string, error) {
	c, err := client(ctx)
	if err != nil {
		return "", err
	}
	s, err := c.NewSession()
	if err != nil {
		return "", err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() }) // a host that is silent closes no session
	defer stop()
	var out bytes.Buffer
	s.Stdout = &out
	err = s.Run("sh -c '" + defaults + "'")
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return "", errNoSocket
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n") // a login may say something of its own accord first
	return lines[len(lines)-1], err
}

// Close ends the connection to the daemon; virtual machines stay.
func (d *Daemon) Close() { _ = d.conn.Close() }

// Create makes a virtual machine of an image and returns when it has an address; it boots then. What the slot, a number that no other job on
// the instance has, held before is deleted: stomped is its id, "" when it was empty. It blocks for minutes.
func (d *Daemon) Create(ctx context.Context, image string, slot int) (vm VM, stomped string, err error) {
	number := int32(slot)
	var before *string
	var made hypervisor.VirtualMachine
	err = d.call(ctx, func() (err error) {
		made, before, err = d.client.Create(ctx, image, &number)
		return err
	})
	if err != nil {
		return VM{}, "", fmt.Errorf("nesting daemon: create a virtual machine of %q: %w", image, said(ctx, err))
	}
	if made == nil || made.GetId() == "" {
		return VM{}, "", fmt.Errorf("nesting daemon: create a virtual machine of %q: it names none", image)
	}
	vm = VM{ID: made.GetId(), Name: made.GetName(), Addr: made.GetAddr()}
	if before != nil {
		stomped = *before
	}
	return vm, stomped, nil
}

// Delete removes a virtual machine. One that is not there is gone, which is as well.
func (d *Daemon) Delete(ctx context.Context, id string) error {
	err := d.call(ctx, func() error { return d.client.Delete(ctx, id) })
	if err == nil {
		return nil
	}
	if there, listErr := d.List(ctx); listErr == nil && !slices.ContainsFunc(there, func(vm VM) bool { return vm.ID == id }) {
		return nil // the daemon has no error of its own for that
	}
	return fmt.Errorf("nesting daemon: delete virtual machine %s: %w", id, said(ctx, err))
}

// List returns the virtual machines on the instance.
func (d *Daemon) List(ctx context.Context) ([]VM, error) {
	var list []VM
	err := d.call(ctx, func() error {
		there, err := d.client.List(ctx)
		for _, vm := range there {
			list = append(list, VM{ID: vm.GetId(), Name: vm.GetName(), Addr: vm.GetAddr()})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("nesting daemon: list: %w", said(ctx, err))
	}
	return list, nil
}

// Clear deletes all virtual machines on an instance on which no job runs.
func (d *Daemon) Clear(ctx context.Context) error {
	there, err := d.List(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, vm := range there {
		errs = append(errs, d.Delete(ctx, vm.ID))
	}
	return errors.Join(errs...)
}

// call sets up a daemon that has not been, and calls again: it keeps nothing over its own restart.
func (d *Daemon) call(ctx context.Context, f func() error) error {
	err := f()
	if status.Code(err) != codes.FailedPrecondition { // the daemon's code for one that is not set up, and for one that is already
		return err
	}
	if begun := d.client.Init(ctx, d.config); begun != nil && status.Code(begun) != codes.FailedPrecondition {
		return fmt.Errorf("set it up with nesting_config: %w", begun)
	}
	return f()
}

// Unreachable tells whether an error says that the daemon could not be asked, rather than that it refused.
func Unreachable(err error) bool {
	return errors.Is(err, errNoSocket) || err != nil && status.Code(err) == codes.Unavailable
}

// said leaves out of an error what gRPC puts before the daemon's words.
func said(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.Unavailable {
		return errors.New(s.Message())
	}
	return err
}
