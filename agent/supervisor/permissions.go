package supervisor

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/hosts"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// checkedName stands for a machine's name in options of a check.
const checkedName = "millwright-check"

// UseStateDir has the drivers know whose machines there are, by a state directory that an agent may hold at the same time: it is only read.
func (d *Drivers) UseStateDir(dir string) {
	d.owner = journal.ReadOwner(dir)
	d.native.store = journal.StoreOf(dir)
}

// Checkup is what a runner's driver may and may not do.
type Checkup struct {
	Runner      string           `json:"runner,omitempty"` // "" is none: options of the command line
	Driver      string           `json:"driver"`
	Permissions []abi.Permission `json:"permissions"`
	Error       string           `json:"error,omitempty"`    // why nothing is known
	NoCheck     bool             `json:"no_check,omitempty"` // the driver has none
}

// Failed tells whether something is denied, or could not be asked.
func (c Checkup) Failed() bool {
	for _, p := range c.Permissions {
		if p.Result == abi.PermissionDenied {
			return true
		}
	}
	return c.Error != ""
}

// CheckRunner asks a runner's driver what it is allowed. The runner has machines.
func (d *Drivers) CheckRunner(ctx context.Context, r config.Runner) Checkup {
	m, err := r.Fleet()
	if err != nil {
		return Checkup{Runner: r.Name, Permissions: []abi.Permission{}, Error: err.Error()}
	}
	c := Checkup{Driver: m.MachineDriver, Permissions: []abi.Permission{}}
	switch {
	case !autoscaled(r.Executor):
		c = d.CheckDriver(ctx, r.Key(), m.MachineDriver, m.MachineOptions, m.MachineOptionsWithName)
	case d.ServedBy(r.Autoscaler) == "":
		c.NoCheck = true // a plug-in
	default:
		options, err := r.Autoscaler.Options()
		if err != nil {
			c.Error = err.Error()
			break
		}
		c = d.CheckDriver(ctx, r.Key(), d.ServedBy(r.Autoscaler), options, nil)
	}
	c.Runner = r.Name
	return c
}

// CheckDriver asks a driver what it is allowed with options as they stand in MachineOptions.
func (d *Drivers) CheckDriver(ctx context.Context, runner, name string, plain, withName []string) Checkup {
	c := Checkup{Driver: name, Permissions: []abi.Permission{}}
	found, err := d.permissions(ctx, runner, name, plain, withName)
	switch {
	case err == driver.ErrNoCheck:
		c.NoCheck = true
	case err != nil:
		c.Error = err.Error()
	default:
		c.Permissions = found
	}
	return c
}

func (d *Drivers) permissions(ctx context.Context, runner, name string, plain, withName []string) ([]abi.Permission, error) {
	options, named, err := d.options(runner, name, plain, withName)
	if err != nil {
		return nil, err
	}
	maps.Copy(options, named)
	for key, values := range options {
		whole := make([]string, len(values))
		for i, v := range values {
			whole[i] = strings.ReplaceAll(v, nameMark, checkedName)
		}
		options[key] = whole
	}
	drv, done, err := d.useFor(name, options)
	if err != nil {
		return nil, err
	}
	defer done()
	where := region{drivers: d}
	if options, err = where.fill(ctx, drv.Describe(), options); err != nil {
		return nil, err
	}
	checker, ok := drv.(driver.Checker)
	if !ok {
		return nil, driver.ErrNoCheck
	}
	found, err := checker.Check(ctx, abi.CheckRequest{ABI: abi.Version, Owner: abi.Owner{ID: d.ownerID(), Runner: runner}, Options: options})
	if err != nil && err != driver.ErrNoCheck {
		err = fmt.Errorf("driver %w", err)
	}
	return found, err
}

// ownerID is whose machines are looked for: nobody's where there has been no agent yet.
func (d *Drivers) ownerID() string {
	if d.owner == "" {
		return "0000000000000000"
	}
	return d.owner
}

// tryLogin logs in to a host as the provisioner would.
func tryLogin(ctx context.Context, l hosts.Login, addr, user string) (login, root error) {
	return provision.TryLogin(ctx, provision.Login{KeyFile: l.KeyFile, KnownHosts: l.KnownHosts, Borrowed: true}, addr, user)
}
