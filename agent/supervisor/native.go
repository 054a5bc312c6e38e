package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/hosts"
	"github.com/millwright-ci/millwright/agent/driver/legacy"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// served is a driver as the supervisor needs it: a module, or one of those that run in the agent itself.
type served interface {
	driver.Driver
	Describe() abi.Describe
	Validate(context.Context, abi.Options) ([]abi.Problem, error)
	Builtin() bool // whether it is a built-in module, which the operator gives powers
}

// native are the drivers that are no modules. Its zero value serves descriptions; machines need the store.
type native struct {
	store   string // the machine store
	log     *slog.Logger
	release func(context.Context, fleet.Machine) error // cleans a host that goes to another machine

	hosts   map[string]*hosts.Driver // by name; guarded by Drivers.mu, like plugins
	plugins map[string]*legacy.Driver
}

// onHosts is a driver of hosts that are there already.
type onHosts struct{ *hosts.Driver }

func (onHosts) Builtin() bool { return false }

// plugin is a docker-machine plug-in with its options, as they are now.
type plugin struct {
	*legacy.Driver
	desc abi.Describe
	// reveal puts the values of secret options in the place of references; nil where none are used.
	reveal func(abi.Describe, abi.Options) (abi.Options, error)
}

// Create implements driver.Driver. A plug-in gets its secrets themselves: it signs on its own, and keeps them for its machine.
func (p plugin) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	if p.reveal != nil {
		var err error
		if req.Options, err = p.reveal(p.desc, req.Options); err != nil {
			return abi.Instance{}, err
		}
	}
	return p.Driver.Create(ctx, req)
}

func (p plugin) Describe() abi.Describe { return p.desc }
func (plugin) Builtin() bool            { return false }

// hostDriver returns the driver of a name of hosts.Names.
func (d *Drivers) hostDriver(name string) *hosts.Driver {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := &d.native
	if n.hosts[name] == nil {
		if n.hosts == nil {
			n.hosts = map[string]*hosts.Driver{}
		}
		n.hosts[name] = hosts.New(hosts.Options{Name: name, Store: n.store, Release: n.release, TryLogin: tryLogin, TryEngine: provision.TryEngine})
	}
	return n.hosts[name]
}

// pluginDriver returns the driver over docker-machine's plug-in of that name, whether there is one or not: it keeps what was made with it.
func (d *Drivers) pluginDriver(name string) *legacy.Driver {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := &d.native
	if n.plugins[name] == nil {
		if n.plugins == nil {
			n.plugins = map[string]*legacy.Driver{}
		}
		n.plugins[name] = legacy.New(legacy.Options{Name: name, Store: n.store, Log: n.log})
	}
	return n.plugins[name]
}

// usePlugin returns the plug-in of a name, ready to be called.
func (d *Drivers) usePlugin(name string) (served, error) {
	l := d.pluginDriver(name)
	desc, err := l.Describe(context.Background())
	if err != nil {
		return nil, err
	}
	return plugin{Driver: l, desc: desc}, nil
}

// forced tells whether the operator wants a plug-in for that name, whatever modules there are.
func (d *Drivers) forced(name string) bool {
	read := d.operator
	if d.atStart != nil {
		read = d.atStart
	}
	op := read()
	return op != nil && slices.Contains(op.LegacyDrivers, name)
}

// fallback returns the driver of a name that no module serves.
func (d *Drivers) fallback(name string) (served, bool, error) {
	if slices.Contains(hosts.Names(), name) {
		return onHosts{d.hostDriver(name)}, true, nil
	}
	if _, err := legacy.Find(name); err != nil {
		return nil, false, nil
	}
	s, err := d.usePlugin(name)
	return s, true, err
}

// all adds to the modules of the folders every other driver that there is: the built-in ones, those that run in the agent itself, and the plug-ins
// on the PATH, unless a driver before them has the name.
func (d *Drivers) all(modules []dropin.Status) []dropin.Status {
	taken := map[string]bool{}
	for i, m := range modules {
		if m.Kind == abi.KindDriver {
			modules[i].Form = dropin.FormDroppedIn
			taken[m.Name] = m.Loaded
		}
	}
	add := func(s dropin.Status) {
		if !taken[s.Name] {
			taken[s.Name] = true
			modules = append(modules, s)
		}
	}
	ofPlugin := func(name string) dropin.Status {
		s := dropin.Status{Kind: abi.KindDriver, Name: name, Form: dropin.FormPlugin, Loaded: true}
		if path, err := legacy.Find(name); err == nil {
			s.File = path
		}
		return s
	}
	for _, s := range d.builtin(modules) {
		if d.forced(s.Name) {
			s = ofPlugin(s.Name)
		}
		add(s)
	}
	for _, name := range hosts.Names() {
		add(dropin.Status{Kind: abi.KindDriver, Name: name, Form: dropin.FormNative, Loaded: true, Summary: hosts.Describe(name).Summary})
	}
	for _, name := range legacy.All() {
		add(ofPlugin(name))
	}
	return modules
}

// Form says what runs the driver of a name, in the words of dropin.
func (d *Drivers) Form(name string) string {
	drv, done, err := d.use(name)
	if err != nil {
		return ""
	}
	defer done()
	switch drv.(type) {
	case onHosts:
		return dropin.FormNative
	case plugin:
		return dropin.FormPlugin
	}
	if drv.Builtin() {
		return dropin.FormBuiltin
	}
	return dropin.FormDroppedIn
}

// closeNative ends the plug-ins that run.
func (d *Drivers) closeNative() {
	d.mu.Lock()
	plugins := d.native.plugins
	d.native.plugins = nil
	d.mu.Unlock()
	for _, p := range plugins {
		p.Close()
	}
}

// login says how the provisioner logs in to a machine that was not made with its keys.
func (d *Drivers) login(m fleet.Machine) (provision.Login, bool) {
	if slices.Contains(hosts.Names(), m.Driver) {
		if h := d.hostDriver(m.Driver); h.Has(m.Name) {
			l := h.Login(m)
			return provision.Login{KeyFile: l.KeyFile, KnownHosts: l.KnownHosts, EnginePort: l.EnginePort, Engine: l.Certs, Borrowed: true}, true
		}
	}
	if l, ok := d.pluginDriver(m.Driver).Login(m.Name); ok {
		return provision.Login{KeyFile: l.KeyFile, KnownHosts: l.KnownHosts}, true
	}
	return provision.Login{}, false
}

// remove goes to whoever made the machine: a plug-in's is the plug-in's, also when a module of that name has come since, and a module's is the
// module's, also when the operator wants the plug-in now.
func (d *Drivers) remove(ctx context.Context, name string, req abi.RemoveRequest) error {
	if p := d.pluginDriver(name); p.Has(req.Name) {
		return p.Remove(ctx, req)
	}
	drv, done, err := d.prepared(d.unforced, name, req.Options)
	if err != nil && d.forced(name) { // there is no module
		drv, done, err = d.useFor(name, req.Options)
	}
	if err != nil {
		return err
	}
	defer done()
	return drv.Remove(ctx, req)
}

// list adds what a plug-in of that name made to the list of the module that serves it now.
func (d *Drivers) list(ctx context.Context, name string, req abi.ListRequest) (abi.ListResult, error) {
	drv, done, err := d.useFor(name, req.Options)
	if err != nil {
		return abi.ListResult{}, err
	}
	defer done()
	res, err := drv.List(ctx, req)
	if _, is := drv.(plugin); is || err != nil {
		return res, err
	}
	older := d.pluginDriver(name)
	if !older.HasAny() {
		return res, nil
	}
	more, err := older.List(ctx, req)
	if err != nil {
		return abi.ListResult{}, fmt.Errorf("machines of docker-machine's plug-in: %w", err)
	}
	return abi.ListResult{Instances: append(res.Instances, more.Instances...), Complete: res.Complete && more.Complete}, nil
}
