package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/hosts"
	"github.com/millwright-ci/millwright/agent/driver/legacy"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Drivers gives the machine drivers by name: those of the folder, and the built-in ones, each of which is loaded once.
type Drivers struct {
	host    *module.Host
	dropped *dropin.Manager // nil: there is no folder

	credentials *credentials.Store
	lent        bool // the agent's; else the drivers close it
	// operator is millwright.toml as it is now, nil when there is none.
	operator func() *config.Operator
	// atStart is millwright.toml as it was when the agent began, for what holds until it ends; nil: as operator.
	atStart func() *config.Operator

	secrets secrets
	journal *journal.Journal // of the machines that secrets are looked for; nil: there is none

	owner string // whose machines a check looks for; "" where nobody said

	mu     sync.Mutex // guards loaded
	loaded map[string]*wasm.Driver
	native native
}

// OpenDrivers makes drivers of their own, for a check of options without an agent. cacheDir may be empty.
func OpenDrivers(cacheDir string) (*Drivers, error) {
	host, err := module.NewHost(module.Options{CacheDir: cacheDir})
	if err != nil {
		return nil, err
	}
	return newDrivers(host, nil), nil
}

// newDrivers makes drivers with credentials of their own.
func newDrivers(host *module.Host, log *slog.Logger) *Drivers {
	return &Drivers{native: native{log: log}, host: host, credentials: credentials.NewStore(credentials.Options{Logger: log}), operator: func() *config.Operator { return nil }}
}

// UseFolder adds the drivers of the folder that operator, which reads millwright.toml, names. What is wrong there goes to the log.
func (d *Drivers) UseFolder(ctx context.Context, operator func() (*config.Operator, error), log *slog.Logger) error {
	return d.useFolder(ctx, "", operator, log)
}

// CheckFolders returns what keeps the modules of both folders that operator names from being used, and what else is wrong there. Nothing is put to work.
func (d *Drivers) CheckFolders(ctx context.Context, operator func() (*config.Operator, error), log *slog.Logger) []Problem {
	o := dropin.Options{Host: d.host, Log: log}
	op, _ := operator() // whoever reads the grants tells what is wrong
	folders(&o, op, operator, d.credentials)
	return problemsOf(dropin.Check(ctx, o))
}

func (d *Drivers) useFolder(ctx context.Context, stateDir string, operator func() (*config.Operator, error), log *slog.Logger) (err error) {
	o := dropin.Options{Host: d.host, StateDir: stateDir, Log: log, InUse: func(string) bool { return true }}
	op, _ := operator() // whoever reads the grants tells what is wrong
	d.operator = func() *config.Operator { return op }
	folders(&o, op, operator, d.credentials)
	o.Policies = ""
	d.dropped, err = dropin.Open(ctx, o)
	return err
}

// Describe returns what a driver says of itself.
func (d *Drivers) Describe(name string) (abi.Describe, error) {
	drv, done, err := d.use(name)
	if err != nil {
		return abi.Describe{}, err
	}
	defer done()
	return drv.Describe(), nil
}

// Close unloads what was loaded.
func (d *Drivers) Close(ctx context.Context) error {
	d.closeNative()
	if d.dropped != nil {
		d.dropped.Close()
	}
	if !d.lent {
		d.credentials.Close()
	}
	return d.host.Close(ctx)
}

// useFor is use for a call with options, which say what it signs with.
func (d *Drivers) useFor(name string, options abi.Options) (drv served, done func(), err error) {
	return d.prepared(d.use, name, options)
}

// prepared returns a driver that use finds, for a call with options.
func (d *Drivers) prepared(use func(string) (served, func(), error), name string, options abi.Options) (drv served, done func(), err error) {
	drv, done, err = use(name)
	if err != nil {
		return nil, nil, err
	}
	switch found := drv.(type) {
	case *wasm.Driver:
		drv, err = d.signing(found, options)
	case plugin:
		found.reveal = d.reveal
		drv = found
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return drv, done, nil
}

// use returns the driver of a MachineDriver for one call, and what ends the call: a plug-in that the operator wants, a module, a driver of
// hosts, or a plug-in that is there. Until then a driver of the folder stays loaded.
func (d *Drivers) use(name string) (drv served, done func(), err error) {
	if d.forced(name) {
		drv, err = d.usePlugin(name)
		return drv, func() {}, err
	}
	return d.unforced(name)
}

// unforced is use without what the operator forces.
func (d *Drivers) unforced(name string) (drv served, done func(), err error) {
	nothing := func() {}
	if d.dropped != nil {
		if m, release, ok := d.dropped.Driver(name); ok {
			made, err := wasm.New(m)
			if err != nil {
				release()
				return nil, nil, err
			}
			return made, release, nil
		}
	}
	if !slices.Contains(d.host.BuiltinsOf(abi.KindDriver), name) {
		if drv, ok, err := d.fallback(name); ok {
			return drv, nothing, err
		}
	}
	found, err := d.get(name)
	if err != nil {
		return nil, nil, err
	}
	return found.With(d.powers(name)), nothing, nil
}

// powers are what the operator and the agent's environment add to a built-in driver now.
func (d *Drivers) powers(name string) wasm.Powers {
	p := wasm.Powers{Credentials: grants.Builtin(d.credentials, name)}
	if op := d.operator(); op != nil {
		p.Endpoint = op.Drivers[name].Endpoint
	}
	return p
}

// has tells whether there is a driver of that name now.
func (d *Drivers) has(name string) bool {
	if slices.Contains(d.host.BuiltinsOf(abi.KindDriver), name) || slices.Contains(hosts.Names(), name) {
		return true
	}
	if _, err := legacy.Find(name); err == nil {
		return true
	}
	if d.dropped == nil {
		return false
	}
	_, release, ok := d.dropped.Driver(name)
	if ok {
		release()
	}
	return ok
}

// get returns a built-in driver.
func (d *Drivers) get(name string) (*wasm.Driver, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found, ok := d.loaded[name]; ok {
		return found, nil
	}
	builtin := d.host.BuiltinsOf(abi.KindDriver)
	if len(builtin) > 0 && !slices.Contains(builtin, name) {
		return nil, fmt.Errorf("driver %q: there is none of that name, and no docker-machine-driver-%s on the PATH; known: %s", name, name, strings.Join(d.names(builtin), ", "))
	}
	m, err := d.host.Builtin(context.Background(), name)
	if err != nil {
		return nil, fmt.Errorf("driver %q: %w", name, err)
	}
	made, err := wasm.New(m)
	if err != nil {
		return nil, err
	}
	if d.loaded == nil {
		d.loaded = map[string]*wasm.Driver{}
	}
	d.loaded[name] = made
	return made, nil
}

// names adds the drivers of the folder to the built-in ones, sorted.
func (d *Drivers) names(builtin []string) []string {
	if d.dropped != nil {
		modules, _ := d.dropped.Status()
		for _, m := range modules {
			if m.Kind == abi.KindDriver && m.Loaded {
				builtin = append(builtin, m.Name)
			}
		}
	}
	builtin = append(builtin, hosts.Names()...)
	slices.Sort(builtin)
	return slices.Compact(builtin)
}

// builtin lists the built-in drivers but those that a module of the folder replaces, sorted.
func (d *Drivers) builtin(dropped []dropin.Status) []dropin.Status {
	var out []dropin.Status
	for _, name := range d.host.BuiltinsOf(abi.KindDriver) {
		if slices.ContainsFunc(dropped, func(s dropin.Status) bool { return s.Kind == abi.KindDriver && s.Name == name && s.Loaded }) {
			continue
		}
		s := dropin.Status{Kind: abi.KindDriver, Name: name, Builtin: true, Form: dropin.FormBuiltin}
		if desc, hash, ok := d.describeLoaded(name); ok {
			s.Loaded, s.Version, s.ABI, s.Summary, s.SHA256 = true, desc.Version, desc.ABI, desc.Summary, hash
		}
		seconds, fuel := 0.0, 0.0
		for _, c := range d.host.Stats() {
			if c.Kind == abi.KindDriver && c.Module == name {
				s.Calls, s.Errors = s.Calls+c.Calls, s.Errors+c.Errors
				seconds, fuel = seconds+c.Seconds, fuel+c.Fuel
			}
		}
		if s.Calls > 0 {
			s.MeanMS, s.MeanFuel = seconds/float64(s.Calls)*1000, fuel/float64(s.Calls)
		}
		out = append(out, s)
	}
	return out
}

// describeLoaded returns what a built-in driver that is loaded already says of itself, and its hash.
func (d *Drivers) describeLoaded(name string) (desc abi.Describe, hash string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	loaded, ok := d.loaded[name]
	if !ok {
		return desc, "", false
	}
	return loaded.Describe(), loaded.Hash(), true
}

// forPool returns a driver that a pool may keep: each call goes to the module that is loaded then.
func (d *Drivers) forPool(name string) (driver.Driver, error) {
	_, done, err := d.use(name)
	if err != nil {
		return nil, err
	}
	done()
	return current{d, name}, nil
}

// current is the driver of a name, whichever module that is at a call.
type current struct {
	drivers *Drivers
	name    string
}

// Create implements driver.Driver.
func (c current) Create(ctx context.Context, req abi.CreateRequest) (abi.Instance, error) {
	d, done, err := c.drivers.useFor(c.name, req.Options)
	if err != nil {
		return abi.Instance{}, err
	}
	defer done()
	return d.Create(ctx, req)
}

// List implements driver.Driver.
func (c current) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	return c.drivers.list(ctx, c.name, req)
}

// Remove implements driver.Driver.
func (c current) Remove(ctx context.Context, req abi.RemoveRequest) error {
	return c.drivers.remove(ctx, c.name, req)
}

// nameMark stands for the machine's name in MachineOptionsWithName.
const nameMark = "%s"

// Problem is one thing that is wrong with MachineDriver or MachineOptions.
type Problem struct {
	Option  string // "" concerns the driver
	Message string
	Warning bool
}

// Check names everything that is wrong with a driver's options, as they stand in MachineOptions.
func (d *Drivers) Check(ctx context.Context, name string, list []string) []Problem {
	_, problems, err := d.read(ctx, name, list)
	if err != nil {
		return []Problem{{Message: err.Error()}}
	}
	if desc, err := d.Describe(name); err == nil && desc.Group {
		return []Problem{{Message: groupsOnly}}
	}
	return problemsOf(problems)
}

func problemsOf(problems []abi.Problem) []Problem {
	out := make([]Problem, 0, len(problems))
	for _, p := range problems {
		out = append(out, Problem(p))
	}
	return out
}

// read parses options against the driver's description and the host's own options, and has the driver validate them.
func (d *Drivers) read(ctx context.Context, name string, list []string) (abi.Options, []abi.Problem, error) {
	drv, done, err := d.use(name)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	desc := drv.Describe()
	if !desc.Group { // whose instances nobody sets up
		desc.Options = append(slices.Clone(desc.Options), provision.HostOptions()...)
	}
	options, problems := wasm.ParseOptions(desc, list, os.Getenv)
	if drv.Builtin() {
		problems = append(problems, operatorsAlone(desc, list)...)
	}
	problems = append(problems, idleEndpoint(desc, drv.Builtin(), d.powers(name).Endpoint)...)
	if !desc.Group {
		problems = append(problems, provision.ValidateOptions(options)...)
	}
	if asError("", problems) != nil {
		return options, problems, nil
	}
	more, err := drv.Validate(ctx, options)
	return options, append(problems, more...), err
}

// operatorsAlone names the options of a list that only millwright.toml may set: whoever writes config.toml must not choose where the
// operator's credentials go.
func operatorsAlone(desc abi.Describe, list []string) (problems []abi.Problem) {
	for _, name := range config.OptionNames(list) {
		if slices.ContainsFunc(desc.Options, func(o abi.Option) bool { return o.Name == name && o.Role == abi.RoleEndpoint }) {
			problems = append(problems, abi.Problem{Option: name, Message: fmt.Sprintf("is the operator's alone; set endpoint in [drivers.%s] of millwright.toml", desc.Name)})
		}
	}
	return problems
}

// idleEndpoint warns of an endpoint of millwright.toml that a driver does not take: a dropped-in one is not given it, and others have an option for it.
func idleEndpoint(desc abi.Describe, builtin bool, endpoint string) []abi.Problem {
	takes := func(o abi.Option) bool { return o.Role == abi.RoleEndpoint }
	if endpoint == "" || builtin && slices.ContainsFunc(desc.Options, takes) {
		return nil
	}
	text := fmt.Sprintf("endpoint in [drivers.%s] of millwright.toml has no effect on this driver", desc.Name)
	if own := desc.Name + "-endpoint"; slices.ContainsFunc(desc.Options, func(o abi.Option) bool { return o.Name == own && !takes(o) }) {
		text += "; it has the option " + own
	}
	return []abi.Problem{{Message: text, Warning: true}}
}

// options reads MachineOptions and MachineOptionsWithName of a runner; what holds the mark of the machine's name comes back apart. The values
// of secret options stay here, and references to them come back.
func (d *Drivers) options(runner, name string, plain, withName []string) (options, named abi.Options, err error) {
	options, named, g, err := d.parsed(name, plain, withName)
	if err == nil {
		d.secrets.keep(name, runner, g)
	}
	return options, named, err
}

// parsed is options without remembering whose the secrets are.
func (d *Drivers) parsed(name string, plain, withName []string) (options, named abi.Options, g given, err error) {
	list := slices.Concat(plain, withName)
	all, problems, err := d.read(context.Background(), name, list)
	var desc abi.Describe
	if err == nil {
		desc, err = d.Describe(name)
	}
	if err == nil {
		err = asError(sectionOf(desc), problems)
	}
	if err != nil {
		return nil, nil, given{}, err
	}
	all, g = without(desc, all, list)
	d.secrets.add(name, g)
	options, named = abi.Options{}, abi.Options{}
	for key, values := range all {
		if strings.Contains(strings.Join(values, ""), nameMark) {
			named[key] = values
		} else {
			options[key] = values
		}
	}
	return options, named, g, nil
}

// sectionOf is where a driver's options stand in config.toml.
func sectionOf(desc abi.Describe) string {
	if desc.Group {
		return "autoscaler.plugin_config"
	}
	return "MachineOptions"
}

// asError joins what is wrong in a section; warnings are not.
func asError(section string, problems []abi.Problem) error {
	var errs []error
	for _, p := range problems {
		if !p.Warning {
			errs = append(errs, fmt.Errorf("%s: %s: %s", section, p.Option, p.Message))
		}
	}
	return errors.Join(errs...)
}
