package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/dropin"
	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

// openModules loads what was dropped into the folders of millwright.toml and begins to watch them. Without Options.Operator there are
// the built-in modules alone.
func (s *Supervisor) openModules(ctx context.Context) error {
	o := dropin.Options{Host: s.modules, StateDir: s.o.StateDir, InUse: s.driverInUse, DriverChanged: s.tellDriverChanged, Log: s.log}
	if s.o.Operator != nil {
		op, _ := s.o.Operator() // whoever reads the grants tells what is wrong
		folders(&o, op, s.readOperator, s.credentials)
		o.Usable = s.usable
	}
	var err error
	if s.dropped, err = dropin.Open(ctx, o); err != nil {
		return err
	}
	s.drivers.dropped = s.dropped
	machines, _, err := s.journal.Load()
	if err != nil {
		return err
	}
	tried := map[string]bool{}
	for _, m := range machines {
		name := moduleOf(m.Driver)
		if tried[name] || s.drivers.has(name) {
			continue
		}
		tried[name] = true
		if err := s.dropped.Revive(ctx, name); err != nil && !isGroup(m.Driver) { // a plug-in may serve a group
			s.log.Error("Machines can't be managed until their driver is back", "driver", m.Driver, "error", err)
		}
	}
	return nil
}

// folders takes folders and grants of millwright.toml. again reads the file when it changes; an error leaves the grants as they are.
func folders(o *dropin.Options, op *config.Operator, again func() (*config.Operator, error), store *credentials.Store) {
	o.Policies, o.Drivers, o.GrantsPath = op.PoliciesDir, op.DriversDir, op.Path
	o.Settings = moduleSettings
	roots, err := op.Roots()
	if err != nil {
		o.Log.Error("Modules trust the system's certificates alone", "error", err)
	}
	o.Host.Trust(roots)
	o.Usable = func(m *module.Module) error { _, err := wasm.New(m); return err }
	o.Grants = func() (map[string]dropin.Grant, error) {
		op, err := again()
		if err != nil {
			return nil, err
		}
		return granted(op, store)
	}
}

// granted turns what millwright.toml says into what the modules' manager takes. A credential that changed there is in force for whoever
// was granted it, without a reload of the module.
func granted(op *config.Operator, store *credentials.Store) (map[string]dropin.Grant, error) {
	store.Set(grants.Credentials(op.Credentials))
	out := make(map[string]dropin.Grant, len(op.Grants))
	for name, g := range op.Grants {
		made := dropin.Grant{Hostnames: slices.Clone(g.Hostnames), Limits: module.Limits{
			PolicyPages: uint32(g.MemoryMB) * 16, DriverPages: uint32(g.MemoryMB) * 16, // of 64 KB
			DecideTime:  time.Duration(g.DecideMS) * time.Millisecond,
			ObserveTime: time.Duration(g.ObserveS) * time.Second, DriverTime: time.Duration(g.CallS) * time.Second,
			Fuel: int64(g.FuelMillion) * 1_000_000,
		}}
		for _, a := range g.PrivateAddresses {
			if p, err := netip.ParsePrefix(a); err == nil { // the configuration has named those that are none
				made.Private = append(made.Private, p)
			}
		}
		signers, err := grants.Signers(store, g.Credentials)
		if err != nil {
			return nil, fmt.Errorf("grants.%s.%w", name, err)
		}
		made.Credentials, made.Signing = signers, fmt.Sprint(g.Credentials)
		out[name] = made
	}
	return out, nil
}

// GrantOf returns what millwright.toml grants a module of that name, for a trial without an agent; end closes what its credentials hold.
func GrantOf(op *config.Operator, name string, log *slog.Logger) (grant dropin.Grant, end func(), err error) {
	store := credentials.NewStore(credentials.Options{Logger: log})
	all, err := granted(op, store)
	if err != nil {
		store.Close()
		return dropin.Grant{}, nil, err
	}
	return all[name], store.Close, nil
}

// moduleSettings reads a NAME.toml.
func moduleSettings(path string, data []byte) (dropin.Settings, error) {
	f, diagnostics := config.ParseModuleFile(path, data)
	var errs []error
	for _, d := range diagnostics { // an unknown key is refused too: it may be a misspelled "required"
		errs = append(errs, errors.New(d.String()))
	}
	if err := errors.Join(errs...); err != nil {
		return dropin.Settings{}, err
	}
	own, err := f.ConfigJSON()
	if err != nil {
		return dropin.Settings{}, fmt.Errorf("%s: %w", path, err)
	}
	return dropin.Settings{
		Runners: f.Runners, Position: f.Position, Config: own, Shadow: f.Mode == config.ModeShadow, Required: f.Required,
		SHA256: f.SHA256, ObserveEvery: time.Duration(f.ObserveEvery),
	}, nil
}

// driverInUse tells whether a runner asks for the driver, or a machine was made with it.
func (s *Supervisor) driverInUse(name string) bool {
	for _, w := range s.allWorkers() {
		if m := driven(w.current()); m != nil && (m.MachineDriver == name || strings.TrimPrefix(m.MachineDriver, pluginPrefix) == name) {
			return true
		}
	}
	machines, _, err := s.journal.Load()
	if err != nil {
		return true // nobody knows
	}
	for _, m := range machines {
		if moduleOf(m.Driver) == name {
			return true
		}
	}
	return false
}

// countModules brings the figures of the modules up to date.
func (s *Supervisor) countModules() {
	statuses, _ := s.dropped.Status()
	modules := make([]metrics.Module, 0, len(statuses))
	for _, m := range statuses {
		modules = append(modules, metrics.Module{
			Kind: m.Kind, Name: m.Name, Version: m.Version, SHA256: m.SHA256, ABI: m.ABI, Generation: m.Generation, Loaded: m.Loaded,
			Refused: m.Refused != "", Quarantined: len(m.Quarantined),
		})
	}
	var calls []metrics.ModuleCalls
	for _, c := range s.modules.Stats() {
		within := make(map[float64]uint64, len(c.Within))
		for i, n := range c.Within {
			within[module.StatsBounds[i]] = n
		}
		calls = append(calls, metrics.ModuleCalls{
			Module: c.Module, Kind: c.Kind, Export: c.Export, Calls: c.Calls, Errors: c.Errors, Seconds: c.Seconds, Fuel: c.Fuel, Within: within,
			Requests: c.Requests, Refused: c.Refused,
		})
	}
	s.metrics.Modules(modules, calls)
}
