package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// HandDrivers are the drivers of machines that people make by hand. The secrets of each machine are its own, and lie with it; where it has
// none the operator's credentials are used, as for runners.
type HandDrivers struct{ d *Drivers }

// OpenHandDrivers opens the drivers for machines in a store. cacheDir keeps the modules' native code.
func OpenHandDrivers(store, cacheDir string, log *slog.Logger) (*HandDrivers, error) {
	host, err := module.NewHost(module.Options{CacheDir: cacheDir})
	if err != nil {
		return nil, err
	}
	d := newDrivers(host, log)
	d.native.store = store
	if d.native.release, err = releaser(store); err != nil {
		return nil, errors.Join(err, d.Close(context.Background()))
	}
	return &HandDrivers{d}, nil
}

// UseFolder adds the drivers of the folder that operator, which reads millwright.toml, names.
func (h *HandDrivers) UseFolder(ctx context.Context, operator func() (*config.Operator, error), log *slog.Logger) error {
	return h.d.UseFolder(ctx, operator, log)
}

// Names are those of the drivers that there are for certain, sorted: plug-ins are found by their names alone.
func (h *HandDrivers) Names() []string { return h.d.names(h.d.host.BuiltinsOf(abi.KindDriver)) }

// Describe returns what a driver says of itself.
func (h *HandDrivers) Describe(name string) (abi.Describe, error) { return h.d.Describe(name) }

// Read turns options as the command line gives them, name=value, into those of a machine. The values of secret ones come back apart, by
// the credential's key, and references stand in their place; written tells whether they were options, and not found in the environment.
// Unlike a runner's options they may name the provider's endpoint: who runs the command is the operator.
func (h *HandDrivers) Read(ctx context.Context, name string, list []string) (options abi.Options, secrets map[string]string, written bool, problems []abi.Problem, err error) {
	drv, done, err := h.d.use(name)
	if err != nil {
		return nil, nil, false, nil, err
	}
	defer done()
	desc := drv.Describe()
	all := desc
	all.Options = append(slices.Clone(desc.Options), provision.HostOptions()...)
	options, problems = wasm.ParseOptions(all, list, os.Getenv)
	problems = append(problems, provision.ValidateOptions(options)...)
	if asError("", problems) == nil {
		more, err := drv.Validate(ctx, options)
		if err != nil {
			return nil, nil, false, nil, err
		}
		problems = append(problems, more...)
	}
	options, g := without(desc, options, list)
	secrets = map[string]string{}
	for key, value := range g.Values {
		secrets[key] = value.Reveal()
	}
	return options, secrets, g.written, problems, nil
}

// For returns a driver for machines with these secrets.
func (h *HandDrivers) For(name string, secrets map[string]string, written bool) driver.Driver {
	g := given{Values: map[string]config.Secret{}, written: written}
	for key, value := range secrets {
		g.Values[key] = config.Secret(value)
	}
	h.d.secrets.add(name, g)
	return current{h.d, name}
}

// Login says how a machine is logged in to that was not made with the provisioner's keys.
func (h *HandDrivers) Login(m fleet.Machine) (provision.Login, bool) { return h.d.login(m) }

// Switch has the driver of a machine switch it off or on; For must have been called with its secrets. errors.Is(err, driver.ErrNoSwitch)
// when the driver can't.
func (h *HandDrivers) Switch(ctx context.Context, op string, m fleet.Machine, owner abi.Owner) error {
	req := abi.SwitchRequest{ABI: abi.Version, Owner: owner, Name: m.Name, ID: m.Instance.ID, Options: m.Options, State: m.Instance.State}
	if p := h.d.pluginDriver(m.Driver); p.Has(m.Name) {
		return p.Switch(ctx, op, req)
	}
	drv, done, err := h.d.prepared(h.d.unforced, m.Driver, m.Options)
	if err != nil {
		return err
	}
	defer done()
	s, ok := drv.(driver.Switcher)
	if !ok {
		return fmt.Errorf("driver %s: %w", m.Driver, driver.ErrNoSwitch)
	}
	return s.Switch(ctx, op, req)
}

// Logs returns the end of what a machine wrote to its console; For must have been called with its secrets. errors.Is(err, driver.ErrNoLogs)
// when the driver can't tell.
func (h *HandDrivers) Logs(ctx context.Context, m fleet.Machine, owner abi.Owner) (string, error) {
	if h.d.pluginDriver(m.Driver).Has(m.Name) {
		return "", fmt.Errorf("driver %s: %w", m.Driver, driver.ErrNoLogs)
	}
	drv, done, err := h.d.prepared(h.d.unforced, m.Driver, m.Options)
	if err != nil {
		return "", err
	}
	defer done()
	l, ok := drv.(driver.Logger)
	if !ok {
		return "", fmt.Errorf("driver %s: %w", m.Driver, driver.ErrNoLogs)
	}
	return l.Logs(ctx, abi.LogsRequest{ABI: abi.Version, Owner: owner, Name: m.Name, ID: m.Instance.ID, Options: m.Options, State: m.Instance.State})
}

// Close unloads what was loaded, and ends the plug-ins that run.
func (h *HandDrivers) Close(ctx context.Context) error { return h.d.Close(ctx) }
