package supervisor

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// groupsOnly is what is wrong with a driver of groups as a MachineDriver.
const groupsOnly = "is a driver of groups and makes no single machines; name it as plugin in [runners.autoscaler]"

// pluginPrefix begins the names of fleeting plug-ins' binaries.
const pluginPrefix = "fleeting-plugin-"

// groupModule returns the driver of groups that serves a plug-in of [runners.autoscaler]: aws for fleeting-plugin-aws and for aws. It is "" where
// there is none, where the operator wants the binary, and where the plug-in is an artifact of a registry or has a version: that is another one.
func (d *Drivers) groupModule(plugin string) string {
	bare := strings.TrimPrefix(plugin, pluginPrefix)
	name := cmp.Or(otherNames[bare], bare)
	if strings.ContainsAny(plugin, "/:") || d.forced(name) || d.forced(bare) || d.forced(plugin) || !d.servesGroups(name) {
		return ""
	}
	return name
}

// tellDriverChanged has the groups of runners looked at again when a driver of the folder came or went that may serve one of them.
func (s *Supervisor) tellDriverChanged(name string) {
	for _, w := range s.allWorkers() {
		driver := w.settings().pool.Driver
		if !isGroup(driver) || moduleOf(driver) != name {
			continue
		}
		select {
		case s.driverChanged <- struct{}{}:
		default: // it is told already
		}
	}
}

// regroup has every group served by who is to serve it now.
func (s *Supervisor) regroup() {
	s.reload.Lock()
	defer s.reload.Unlock()
	if s.ending {
		return
	}
	for _, w := range s.allWorkers() {
		if err := w.changeGroup(w.settings()); err != nil {
			s.log.Error("Group stays as it is", "runner", w.current().Name, "error", err)
		}
	}
}

// usable refuses a driver of the folder that can't be used, or that can't do what the one of its name does for a runner: a driver of groups makes no
// single machines, and one of machines serves no group.
func (s *Supervisor) usable(m *module.Module) error {
	d, err := wasm.New(m)
	if err != nil {
		return err
	}
	for _, w := range s.allWorkers() {
		driver, r := w.settings().pool.Driver, w.current()
		switch {
		case driver == m.Name() && d.IsGroup():
			return fmt.Errorf("module %s: %s; runner %s has machines of the driver that it would replace", m.Name(), groupsOnly, r.Name)
		case isGroup(driver) && !d.IsGroup() && s.drivers.groupModule(r.Autoscaler.Plugin) == m.Name():
			return fmt.Errorf("module %s: is no driver of groups, and the one that it would replace serves the group of runner %s", m.Name(), r.Name)
		}
	}
	return nil
}

// otherNames are what GitLab calls plug-ins elsewhere than in the name of the binary, and which driver of groups has their keys of plugin_config.
var otherNames = map[string]string{"googlecloud": "googlecompute"}

// servesGroups tells whether the module of that name is a driver of groups, whatever the operator forces.
func (d *Drivers) servesGroups(name string) bool {
	if name == "" {
		return false
	}
	found, done, err := d.unforced(name)
	if err != nil {
		return false
	}
	defer done()
	m, ok := found.(*wasm.Driver)
	return ok && m.IsGroup()
}

// single tells whether a plug-in of [runners.autoscaler] names a driver that makes machines one by one, with its options in plugin_config.
func (d *Drivers) single(a *config.Autoscaler) bool {
	return a.Driven(a.Plugin) && d.has(a.Plugin) && !d.servesGroups(a.Plugin)
}

// groupOptions reads plugin_config for a driver of groups. The values of secret options stay here, and references to them come back.
func (d *Drivers) groupOptions(runner, name string, a *config.Autoscaler) (abi.Options, error) {
	list, err := a.Options()
	if err != nil {
		return nil, fmt.Errorf("autoscaler.%w", err)
	}
	options, _, g, err := d.parsed(name, list, nil)
	if err == nil {
		d.secrets.keep(name, runner, g)
	}
	return options, err
}

// ServedBy returns the driver that makes the instances of [runners.autoscaler], one by one or as a group; "" where a plug-in does.
func (d *Drivers) ServedBy(a *config.Autoscaler) string {
	if name := d.groupModule(a.Plugin); name != "" {
		return name
	}
	if d.single(a) {
		return a.Plugin
	}
	return ""
}

// CheckPlugin names everything that is wrong with plugin_config of a runner whose instances a driver makes. A plug-in's own is its business.
func (d *Drivers) CheckPlugin(ctx context.Context, a *config.Autoscaler) []Problem {
	name := d.ServedBy(a)
	if name == "" {
		return nil
	}
	list, err := a.Options()
	if err != nil {
		return []Problem{{Message: err.Error()}}
	}
	_, problems, err := d.read(ctx, name, list)
	if err != nil {
		return []Problem{{Message: err.Error()}}
	}
	return problemsOf(problems)
}

// serving returns what finds the module that serves a group with these options, at each call the one that is loaded then.
func (d *Drivers) serving(name string, options abi.Options) func(context.Context) (wasm.Serving, error) {
	where := region{drivers: d}
	return func(ctx context.Context) (wasm.Serving, error) {
		found, done, err := d.prepared(d.unforced, name, options)
		if err != nil {
			return wasm.Serving{}, err
		}
		m, ok := found.(*wasm.Driver)
		if !ok {
			done()
			return wasm.Serving{}, fmt.Errorf("driver %s: is no module any more, and only one can serve a group", name)
		}
		filled, err := where.fill(ctx, m.Describe(), options)
		if err != nil {
			done()
			return wasm.Serving{}, err
		}
		return wasm.Serving{Driver: m, Options: filled, Done: done}, nil
	}
}

// region is that of a group whose options name none: its credential's. It is looked for until it is known.
type region struct {
	drivers *Drivers

	mu    sync.Mutex // guards known
	known string
}

// fill gives the option for the region its value, where it has none. The driver tells what is wrong where nobody knows one.
func (r *region) fill(ctx context.Context, desc abi.Describe, options abi.Options) (abi.Options, error) {
	name := ""
	for _, o := range desc.Options {
		if o.Credential == abi.CredentialRegion && options.Get(o.Name) == "" {
			name = o.Name
		}
	}
	if name == "" {
		return options, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == "" {
		found, err := grants.Region(ctx, r.drivers.credentials, r.drivers.credentialOf(desc, options))
		if err != nil {
			return nil, &driver.Error{Driver: desc.Name, Op: "sign", Info: abi.Error{Kind: abi.Auth, Message: fmt.Sprintf("%s: its credential's is not known: %v", name, err)}}
		}
		r.known = found
	}
	filled := abi.Options{}
	for key, values := range options {
		filled[key] = values
	}
	if r.known != "" {
		filled[name] = []string{r.known}
	}
	return filled, nil
}

// credentialOf is the name of the credential that a call with these options signs with.
func (d *Drivers) credentialOf(desc abi.Describe, options abi.Options) string {
	for _, o := range desc.Options {
		reference := options.Get(o.Name)
		if !o.Secret || reference == "" {
			continue
		}
		if g, ok := d.secret(desc.Name, reference); ok && len(g.Values) > 0 {
			return ofReference(desc.Name, reference)
		}
	}
	return desc.Name
}

// ofReference is the name of the credential that secret options gave.
func ofReference(driver, reference string) string { return driver + " of " + reference }

// moduleOf returns the name of the module that serves a driver's name, if one does: that of a group's driver is in it.
func moduleOf(driver string) string {
	if !isGroup(driver) {
		return driver
	}
	name := strings.TrimPrefix(driver, groupPrefix)
	if i := strings.LastIndex(name, "-"); i >= 0 {
		name = name[:i]
	}
	return cmp.Or(otherNames[name], name)
}
