package hosts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/machinefile"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Options are what New needs.
type Options struct {
	Name  string // Generic or None
	Store string // the machine store
	// Release takes away what jobs left on the machine's host, before it is another machine's. nil: nothing does.
	Release func(ctx context.Context, m fleet.Machine) error
	// TryLogin logs in to a host once and changes nothing; root is why the user can't become root there. nil: nobody can.
	TryLogin func(ctx context.Context, l Login, addr, user string) (login, root error)
	// TryEngine asks an engine for a sign of life, by the certificates of a folder. nil: nobody can.
	TryEngine func(ctx context.Context, url, certs string) error
	// DialLimit is how long a host may take to answer at its port; default 5s.
	DialLimit time.Duration
}

// Driver leases hosts. It is safe for concurrent use.
type Driver struct {
	opts  Options
	files machinefile.Folder[lease]

	mu sync.Mutex // held while a free host is looked for and leased
}

var _ driver.Driver = (*Driver)(nil)

// lease says who has a host.
type lease struct {
	Driver     string `json:"driver"`
	Owner      string `json:"owner"`
	ID         string `json:"id"` // of the lease: a host that is leased again is another machine
	CreatedAt  string `json:"created_at"`
	Address    string `json:"address"`
	SSHPort    int    `json:"ssh_port"`
	SSHUser    string `json:"ssh_user,omitempty"`
	EnginePort int    `json:"engine_port"`
}

// idPrefix begins the ids of leases, so that records of another driver of the same name, a plug-in, are told apart.
const idPrefix = "lease-"

// of tells whether the record is a lease of that driver's.
func (l lease) of(driver string) bool { return l.Driver == driver && strings.HasPrefix(l.ID, idPrefix) }

func (l lease) host() host { return host{l.Address, l.SSHPort, l.EnginePort} }

func (l lease) instance(name string, status abi.Status) abi.Instance {
	i := abi.Instance{
		Name: name, ID: l.ID, Status: status, Address: l.Address, SSHUser: l.SSHUser, EnginePort: l.EnginePort, CreatedAt: l.CreatedAt,
	}
	if l.Driver == Generic {
		i.SSHPort = l.SSHPort
	}
	return i
}

// New returns the driver.
func New(o Options) *Driver {
	if o.DialLimit <= 0 {
		o.DialLimit = 5 * time.Second
	}
	return &Driver{opts: o, files: machinefile.Folder[lease]{Store: o.Store}}
}

// Describe returns what the driver says of itself.
func (d *Driver) Describe() abi.Describe { return Describe(d.opts.Name) }

// Validate says what is wrong with options. It asks no host.
func (d *Driver) Validate(_ context.Context, options abi.Options) ([]abi.Problem, error) {
	_, problems := read(d.opts.Name, options)
	return problems, nil
}

// Create implements driver.Driver: it leases the first host in the order of the options that is free and answers. When there is none that is
// an error of the kind capacity.
func (d *Driver) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	s, problems := read(d.opts.Name, req.Options)
	if len(problems) > 0 {
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Invalid, "%s: %s", problems[0].Option, problems[0].Message)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return abi.Instance{}, err
	}
	l, ok, err := d.files.Load(req.Name)
	switch {
	case err != nil:
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Conflict, "%v", err)
	case ok && (l.Owner != req.Owner.ID || !l.of(d.opts.Name)):
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Conflict, "there is a machine %s of another owner or driver in %s", req.Name, d.opts.Store)
	case ok:
		return l.instance(req.Name, abi.StatusRunning), nil
	}
	free, err := d.free(ctx, s.hosts)
	if err != nil {
		return abi.Instance{}, err
	}
	l = lease{
		Driver: d.opts.Name, Owner: req.Owner.ID, ID: idPrefix + strings.ToLower(rand.Text())[:16], CreatedAt: time.Now().UTC().Format(time.RFC3339),
		Address: free.address, SSHPort: free.sshPort, SSHUser: s.user, EnginePort: free.enginePort,
	}
	if err := d.files.Save(req.Name, l); err != nil {
		return abi.Instance{}, d.failure(abi.ExportCreate, abi.Transient, "%v", err)
	}
	return l.instance(req.Name, abi.StatusRunning), nil
}

// free returns a host that nobody has and that answers. It is called with mu held.
func (d *Driver) free(ctx context.Context, hosts []host) (host, error) {
	names, err := d.files.Names()
	if err != nil {
		return host{}, d.failure(abi.ExportCreate, abi.Transient, "%v", err)
	}
	taken := map[string]bool{}
	for _, name := range names {
		l, ok, err := d.files.Load(name)
		if err != nil { // it may have any of them
			return host{}, d.failure(abi.ExportCreate, abi.Transient, "who has which host is not known: %v", err)
		}
		if ok && l.of(d.opts.Name) {
			taken[l.host().key()] = true
		}
	}
	var silent []error
	for _, h := range hosts {
		if taken[h.key()] {
			continue
		}
		if err := d.dial(ctx, h); err != nil {
			silent = append(silent, err)
			continue
		}
		return h, nil
	}
	if err := ctx.Err(); err != nil {
		return host{}, err
	}
	if len(silent) > 0 {
		return host{}, d.failure(abi.ExportCreate, abi.Capacity, "%d of %d hosts are leased, and the others do not answer: %v", len(hosts)-len(silent), len(hosts), errors.Join(silent...))
	}
	return host{}, d.failure(abi.ExportCreate, abi.Capacity, "all %d hosts are leased; name more hosts, or lower limit", len(hosts))
}

// dial looks whether somebody listens at a host's port.
func (d *Driver) dial(ctx context.Context, h host) error {
	dialer := net.Dialer{Timeout: d.opts.DialLimit}
	c, err := dialer.DialContext(ctx, "tcp", h.key())
	if err != nil {
		return err
	}
	return c.Close()
}

// List implements driver.Driver. A host that does not answer is unknown: it is there, whatever ails it.
func (d *Driver) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	if err := ctx.Err(); err != nil {
		return abi.ListResult{}, err
	}
	names, err := d.files.Names()
	if err != nil {
		return abi.ListResult{}, d.failure(abi.ExportList, abi.Transient, "%v", err)
	}
	result := abi.ListResult{Complete: true, Instances: []abi.Instance{}}
	var mu sync.Mutex // guards result
	var wg sync.WaitGroup
	for _, name := range names {
		l, ok, err := d.files.Load(name)
		switch {
		case err != nil:
			mu.Lock()
			result.Complete = false // whose it is, nobody knows
			mu.Unlock()
			continue
		case !ok || !l.of(d.opts.Name) || l.Owner != req.Owner.ID && !req.AllOwners:
			continue
		}
		wg.Go(func() {
			i := l.instance(name, abi.StatusRunning)
			if err := d.dial(ctx, l.host()); err != nil {
				i.Status, i.Message = abi.StatusUnknown, err.Error()
			}
			if req.AllOwners {
				i.Owner = l.Owner
			}
			mu.Lock()
			defer mu.Unlock()
			result.Instances = append(result.Instances, i)
		})
	}
	wg.Wait()
	return result, nil
}

// Remove implements driver.Driver: the host is cleaned and free again. One that can't be cleaned stays leased, so that nobody gets it.
func (d *Driver) Remove(ctx context.Context, req abi.RemoveRequest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l, ok, err := d.files.Load(req.Name)
	switch {
	case err != nil:
		return d.failure(abi.ExportRemove, abi.Transient, "%v", err)
	case !ok || l.Owner != req.Owner.ID || !l.of(d.opts.Name):
		return nil
	}
	if d.opts.Release != nil {
		m := fleet.Machine{Name: req.Name, Driver: d.opts.Name, Options: req.Options, Instance: l.instance(req.Name, abi.StatusRunning)}
		if err := d.opts.Release(ctx, m); err != nil {
			return d.failure(abi.ExportRemove, abi.Transient, "%v; %s is leased until it can be cleaned", err, l.host().key())
		}
	}
	if err := d.files.Delete(req.Name); err != nil {
		return d.failure(abi.ExportRemove, abi.Transient, "%v", err)
	}
	return nil
}

// Has tells whether a machine leases a host of this driver's.
func (d *Driver) Has(name string) bool {
	l, ok, err := d.files.Load(name)
	return err == nil && ok && l.of(d.opts.Name)
}

// Login is how the host of a machine is reached.
type Login struct {
	KeyFile    string // the operator's private key; "" is one in ~/.ssh
	KnownHosts string // OpenSSH's file of host keys, which outlives machines
	EnginePort int
	Certs      string // of none: the folder of the engine's certificates
}

// Login returns how to reach the host of a machine.
func (d *Driver) Login(m fleet.Machine) Login {
	return d.login(m.Options)
}

func (d *Driver) login(o abi.Options) Login {
	if d.opts.Name == None {
		return Login{Certs: o.Get(optCerts)}
	}
	port, _ := strconv.Atoi(o.Get(optEnginePort)) // 0 is the usual one
	return Login{KeyFile: o.Get(optKey), KnownHosts: filepath.Join(d.opts.Store, "known_hosts"), EnginePort: port}
}

func (d *Driver) failure(op string, kind abi.ErrorKind, format string, args ...any) error {
	return &driver.Error{Driver: d.opts.Name, Op: op, Info: abi.Error{Kind: kind, Message: fmt.Sprintf(format, args...)}}
}
