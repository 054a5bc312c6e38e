package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// drivers gives the machine drivers by name; each is loaded once.
type drivers struct {
	host *module.Host

	mu     sync.Mutex // guards loaded
	loaded map[string]*wasm.Driver
}

// get returns the driver of a MachineDriver.
func (d *drivers) get(name string) (*wasm.Driver, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found, ok := d.loaded[name]; ok {
		return found, nil
	}
	m, err := d.host.Builtin(context.Background(), name)
	if err != nil {
		return nil, fmt.Errorf("MachineDriver %q: %w", name, err)
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

// forPool is get for a pool.
func (d *drivers) forPool(name string) (driver.Driver, error) { return d.get(name) }

// nameMark stands for the machine's name in MachineOptionsWithName.
const nameMark = "%s"

// options reads MachineOptions and MachineOptionsWithName against the driver's description and the host's own options.
func (d *drivers) options(name string, plain, withName []string) (options, named abi.Options, err error) {
	drv, err := d.get(name)
	if err != nil {
		return nil, nil, err
	}
	desc := drv.Describe()
	desc.Options = append(append([]abi.Option(nil), desc.Options...), provision.HostOptions()...)
	all, problems := wasm.ParseOptions(desc, append(append([]string(nil), plain...), withName...), os.Getenv)
	problems = append(problems, provision.ValidateOptions(all)...)
	if err := asError(problems); err != nil {
		return nil, nil, err
	}
	more, err := drv.Validate(context.Background(), all)
	if err == nil {
		err = asError(more)
	}
	if err != nil {
		return nil, nil, err
	}
	options, named = abi.Options{}, abi.Options{}
	for key, values := range all {
		if strings.Contains(strings.Join(values, ""), nameMark) {
			named[key] = values
		} else {
			options[key] = values
		}
	}
	return options, named, nil
}

// asError joins what is wrong; warnings are not.
func asError(problems []abi.Problem) error {
	var errs []error
	for _, p := range problems {
		if !p.Warning {
			errs = append(errs, fmt.Errorf("MachineOptions: %s: %s", p.Option, p.Message))
		}
	}
	return errors.Join(errs...)
}
