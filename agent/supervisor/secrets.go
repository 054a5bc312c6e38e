package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/grants"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// secrets are the values of drivers' secret options. Pools, journals and guests have a reference in their place, which names the runner whose
// options they are of: so a key that was replaced in config.toml is what older machines are removed with too. The zero value is ready.
type secrets struct {
	mu    sync.Mutex // guards what follows
	given map[string]given
}

// given is what the options of one runner gave.
type given struct {
	Values  map[string]config.Secret // exported, so that it hides itself when it is printed
	written bool                     // in the options, not only found in the environment
}

// referTo is what stands in the place of the values of a runner's secret options.
func referTo(runner string) string { return "runner:" + runner }

// without returns options with references in the place of secrets, and those. list is the options as they are written.
func without(desc abi.Describe, runner string, options abi.Options, list []string) (abi.Options, given) {
	options = maps.Clone(options)
	g := given{Values: map[string]config.Secret{}}
	names := config.OptionNames(list)
	for _, o := range desc.Options {
		value := options.Get(o.Name)
		if !o.Secret || value == "" {
			continue
		}
		options[o.Name] = []string{referTo(runner)}
		g.Values[string(o.Credential)] = config.Secret(value)
		g.written = g.written || slices.Contains(names, o.Name)
	}
	return options, g
}

// keep remembers what a runner's options gave for a driver, in the place of what they gave before.
func (s *secrets) keep(name, runner string, g given) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given == nil {
		s.given = map[string]given{}
	}
	s.given[name+" "+referTo(runner)] = g
}

// find returns what the options of the reference gave.
func (s *secrets) find(name, reference string) (given, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.given[name+" "+reference]
	return g, ok && len(g.Values) > 0
}

// signing returns the driver as calls with these options sign: with the runner's own secrets where its options gave some, else with the driver's
// credential. What a runner wrote comes before [credentials.NAME] of millwright.toml, and that before the environment.
//
// Without the secrets that a machine was made with nothing else is tried: another account would say that the machine is gone.
func (d *Drivers) signing(drv *wasm.Driver, options abi.Options) (*wasm.Driver, error) {
	if !drv.Builtin() {
		return drv, nil
	}
	desc := drv.Describe()
	powers := d.powers(desc.Name)
	for _, o := range desc.Options {
		reference := options.Get(o.Name)
		if !o.Secret || reference == "" {
			continue
		}
		g, ok := d.secrets.find(desc.Name, reference)
		if !ok {
			return nil, &driver.Error{Driver: desc.Name, Op: "sign", Info: abi.Error{Kind: abi.Auth, Message: fmt.Sprintf(
				"%s was given in the options of %s, and is not there any more; give it again until its machines are removed", o.Name, reference)}}
		}
		if op := d.operator(); !g.written && op != nil {
			if _, ok := op.Credentials[desc.Name]; ok {
				break
			}
		}
		var err error
		if powers.Credentials, err = grants.OfOptions(d.credentials, desc.Name, desc.Name+" of "+reference, g.Values); err != nil {
			return nil, err
		}
		break
	}
	return drv.With(powers), nil
}
