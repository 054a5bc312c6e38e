// Package fake is a cloud in memory behind the driver's interface: a small working provider with an account limit, zones, machines that
// need time to boot, and faults on demand. Tests of the pool and the simulator run on it.
//
// It starts no goroutine and takes its time from the time package, so that it works in virtual time under testing/synctest: a
// machine is running as soon as the clock says that it booted.
package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Names of the options of a machine.
const (
	OptZone = "fake-zone"
	OptType = "fake-type"
)

// Names of the operations, for faults and for counting calls.
const (
	OpCreate = "create"
	OpList   = "list"
	OpRemove = "remove"
)

// Config is how the cloud behaves when nothing is wrong. The zero value boots at once, has no limit and any zone.
type Config struct {
	BootTime time.Duration // from create until a machine is running
	Quota    int           // machines in the account at most, of all owners; 0 = no limit
	Zones    []string      // zones there are; empty: any
}

// Cloud is the provider. It is safe for concurrent use.
type Cloud struct {
	config Config

	mu       sync.Mutex // guards all below, never held while waiting
	machines map[string]*Machine
	late     []*Machine // whose time has not come; see Fault.After
	faults   []*Fault
	calls    map[string]int
	made     int // machines made so far, for their ids
}

var _ driver.Driver = (*Cloud)(nil)

// Machine is one line of the cloud's ledger.
type Machine struct {
	Owner     string
	Name      string
	ID        string
	Options   abi.Options
	Bootstrap abi.Bootstrap
	ExpiresAt string
	CreatedAt time.Time
	Status    abi.Status // creating and running follow from the clock; the others were set
	Failed    *abi.Error // why it never came to be; nil: it did
}

// New returns an empty cloud.
func New(c Config) *Cloud {
	return &Cloud{config: c, machines: map[string]*Machine{}, calls: map[string]int{}}
}

// Create makes a machine, or returns the one of that name. Kinds of error: invalid for a bad name, owner or zone, conflict for a name
// that another owner uses, quota, and what a fault says.
func (c *Cloud) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	f, err := c.enter(ctx, OpCreate, req.Name, req.Options)
	if err != nil {
		return abi.Instance{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.machines[req.Name]
	switch {
	case ok && m.Owner != req.Owner.ID:
		return abi.Instance{}, refuse(OpCreate, abi.Conflict, "the name "+req.Name+" is taken by another owner")
	case !ok:
		if m, err = c.make(req); err != nil {
			return abi.Instance{}, err
		}
		if f.Lost && f.After > 0 {
			m.CreatedAt = m.CreatedAt.Add(f.After)
			c.late = append(c.late, m)
			return abi.Instance{}, lost(OpCreate)
		}
		c.machines[req.Name] = m
		if f.Late != nil {
			answered := c.instance(m)
			m.Status, m.Failed = abi.StatusGone, f.Late
			return answered, nil
		}
	}
	if f.Lost {
		return abi.Instance{}, lost(OpCreate)
	}
	return c.instance(m), nil
}

func (c *Cloud) make(req abi.CreateRequest) (*Machine, error) {
	zone := req.Options.Get(OptZone)
	switch {
	case req.Name == "" || len(req.Name) > 63:
		return nil, refuse(OpCreate, abi.Invalid, fmt.Sprintf("the machine name %q; use 1 to 63 characters", req.Name))
	case req.Owner.ID == "":
		return nil, refuse(OpCreate, abi.Invalid, "the owner is missing")
	case len(c.config.Zones) > 0 && zone != "" && !slices.Contains(c.config.Zones, zone):
		return nil, refuse(OpCreate, abi.Invalid, fmt.Sprintf("%s: there is no zone %q; use one of %s", OptZone, zone, strings.Join(c.config.Zones, ", ")))
	case c.config.Quota > 0 && len(c.machines) >= c.config.Quota:
		return nil, refuse(OpCreate, abi.Quota, fmt.Sprintf("the account's %d machines are all there", c.config.Quota))
	}
	c.made++
	return &Machine{
		Owner: req.Owner.ID, Name: req.Name, ID: fmt.Sprintf("fake-%06d", c.made),
		Options: maps.Clone(req.Options), Bootstrap: req.Bootstrap, ExpiresAt: req.ExpiresAt, CreatedAt: time.Now(),
	}, nil
}

// List returns the owner's machines by name. It is complete unless a fault hides some.
func (c *Cloud) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	f, err := c.enter(ctx, OpList, "", req.Options)
	if err != nil {
		return abi.ListResult{}, err
	}
	if f.Lost {
		return abi.ListResult{}, lost(OpList)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrive()
	res := abi.ListResult{Complete: f.Hide == 0 || f.Stale}
	for _, name := range slices.Sorted(maps.Keys(c.machines)) {
		m := c.machines[name]
		if m.Owner != req.Owner.ID && !req.AllOwners {
			continue
		}
		i := c.instance(m)
		if req.AllOwners {
			i.Owner = m.Owner
		}
		res.Instances = append(res.Instances, i)
	}
	res.Instances = res.Instances[:max(0, len(res.Instances)-f.Hide)]
	return res, nil
}

// Remove deletes the owner's machine. One that is not there, or belongs to another owner, is no error.
func (c *Cloud) Remove(ctx context.Context, req abi.RemoveRequest) error {
	f, err := c.enter(ctx, OpRemove, req.Name, req.Options)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrive()
	if m, ok := c.machines[req.Name]; ok && m.Owner == req.Owner.ID {
		delete(c.machines, req.Name)
	}
	if f.Lost {
		return lost(OpRemove)
	}
	return nil
}

// arrive makes the machines whose time has come. The caller holds mu.
func (c *Cloud) arrive() {
	now := time.Now()
	c.late = slices.DeleteFunc(c.late, func(m *Machine) bool {
		due := !now.Before(m.CreatedAt)
		if due {
			c.machines[m.Name] = m
		}
		return due
	})
}

// instance is the machine as the cloud's API shows it. The caller holds mu.
func (c *Cloud) instance(m *Machine) abi.Instance {
	i := abi.Instance{Name: m.Name, ID: m.ID, Status: c.status(m), CreatedAt: m.CreatedAt.UTC().Format(time.RFC3339), Error: m.Failed}
	if i.Status == abi.StatusRunning {
		i.Address = "192.0.2.1" // a documentation address (RFC 5737): nothing answers there
	}
	return i
}

func (c *Cloud) status(m *Machine) abi.Status {
	switch {
	case m.Status != "":
		return m.Status
	case time.Since(m.CreatedAt) < c.config.BootTime:
		return abi.StatusCreating
	}
	return abi.StatusRunning
}

// Machines returns the ledger, of all owners, by name.
func (c *Cloud) Machines() []Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrive()
	var out []Machine
	for _, name := range slices.Sorted(maps.Keys(c.machines)) {
		m := *c.machines[name]
		m.Status = c.status(c.machines[name])
		out = append(out, m)
	}
	return out
}

// Made returns how many machines were ever made.
func (c *Cloud) Made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made
}

// Calls returns how many calls of an operation there were, failed ones included.
func (c *Cloud) Calls(op string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[op]
}

// Kill makes a machine vanish, as if its host had burned down. It returns false when there is none.
func (c *Cloud) Kill(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.machines[name]
	delete(c.machines, name)
	return ok
}

// Bury makes a machine vanish as Kill does, but for its disk: lists show that by the machine's name, under an id of its own, until it is removed.
// It returns false when there is none.
func (c *Cloud) Bury(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.machines[name]
	if ok {
		m.ID, m.Status = "disk-of-"+m.ID, abi.StatusCreating
	}
	return ok
}

// SetStatus makes a machine stopped, interrupted or unknown; "" lets it follow the clock again. It returns false when there is none.
func (c *Cloud) SetStatus(name string, s abi.Status) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.machines[name]
	if ok {
		m.Status = s
	}
	return ok
}
