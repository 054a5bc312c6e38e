package supervisor

import (
	"fmt"
	"maps"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/legacy"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/migrate"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Importer returns what takes machines of docker-machine's store over for the runners of a configuration.
func (o *Offline) Importer(c *config.Config, store string) *migrate.Importer {
	i := &migrate.Importer{
		Store: store, Journal: o.journal, Jobs: provision.Jobs,
		Plugin: func(name string) migrate.Plugin { return o.plugin(name) },
	}
	for _, r := range c.Runners {
		if r.Executor != executorMachine || r.Machine == nil {
			continue
		}
		taker := migrate.Runner{
			Key: r.Key(), Name: r.Name, ShortToken: config.ShortToken(r.Token), Driver: r.Machine.MachineDriver, MaxBuilds: r.Machine.MaxBuilds,
		}
		options, named, err := o.drivers.options(taker.Key, taker.Driver, r.Machine.MachineOptions, r.Machine.MachineOptionsWithName)
		if err != nil {
			taker.Err = fmt.Errorf("runner %s: %w", r.Name, err)
		} else {
			maps.Copy(options, named)
			taker.Options = options
		}
		i.Runners = append(i.Runners, taker)
	}
	return i
}

// plugin is docker-machine's plug-in of that name, for what it made; whichever driver serves the name here.
func (o *Offline) plugin(name string) *legacy.Driver { return o.drivers.pluginDriver(name) }

// Exporter returns what gives machines to docker-machine's store. AddSecrets must have been called for it to know those.
func (o *Offline) Exporter(store string) *migrate.Exporter {
	return &migrate.Exporter{Store: store, Journal: o.journal, Reveal: func(m fleet.Machine) (abi.Options, error) {
		if !refersTo(m.Options, referencePrefix) {
			return m.Options, nil
		}
		desc, err := o.drivers.Describe(m.Driver)
		if err != nil {
			return nil, err
		}
		return o.drivers.reveal(desc, m.Options)
	}}
}
