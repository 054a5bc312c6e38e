package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/legacy"
	"github.com/millwright-ci/millwright/agent/driver/machinefile"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// candidate is a machine that can be taken over.
type candidate struct {
	found
	runner Runner
	facts  legacy.Facts
}

// drained is why a machine is removed that was taken over with Drain.
const drained = "taken over to be removed"

// take moves a machine into the agent's store: it is staged there, put aside here, looked at once more for a job that came meanwhile, and put in
// place.
func (i *Importer) take(ctx context.Context, c candidate) error {
	aside := i.aside(c.name)
	to := i.Journal.Folder(c.name)
	driver, err := decode(c.raw)
	if err != nil {
		return err
	}
	moveDriver(driver, i.Journal.Store(), c.dir, to)
	config, err := json.Marshal(driver)
	if err != nil {
		return err
	}
	facts := c.facts
	facts.SSHKey = moved(facts.SSHKey, c.dir, to)
	record, instance, err := legacy.Adopted(c.driver, i.Journal.Owner(), config, facts, c.created)
	if err != nil {
		return err
	}
	err = i.Journal.Stage(i.machine(c, instance), func(dir string) error {
		if err := copyFolder(c.dir, dir, func(name string) bool { return !isLitter(name) && name != machinefile.File }); err != nil {
			return err
		}
		if err := i.certificates(dir); err != nil {
			return err
		}
		return writeFile(filepath.Join(dir, machinefile.File), record)
	})
	if err == nil {
		err = rename(c.dir, aside)
	}
	if err != nil {
		return errors.Join(err, i.Journal.Unstage(c.name))
	}
	if err := i.idle(ctx, aside, c.facts); err != nil { // gitlab-runner may have come first
		return errors.Join(err, rename(aside, c.dir), i.Journal.Unstage(c.name))
	}
	if err := i.Journal.Place(c.name); err != nil {
		return err // the next run ends it
	}
	return os.RemoveAll(aside)
}

// takeBack makes a machine ours again that was exported: with the keys and options that it had, by the driver that made it.
func (i *Importer) takeBack(ctx context.Context, c candidate, m fleet.Machine) error {
	aside := i.aside(c.name)
	if err := rename(c.dir, aside); err != nil {
		return err
	}
	if err := i.idle(ctx, aside, c.facts); err != nil {
		return errors.Join(err, rename(aside, c.dir))
	}
	i.state(&m)
	m.Runner, m.Instance.Address = c.runner.Key, c.facts.Address
	if err := i.Journal.TakeBack(m); err != nil {
		return errors.Join(err, rename(aside, c.dir))
	}
	return os.RemoveAll(aside)
}

// certificates makes sure that a machine's folder has what the engine is spoken to with: docker-machine puts copies there when it has set the engine up.
func (i *Importer) certificates(dir string) error {
	from := i.certDir(dir)
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		if fileExists(filepath.Join(dir, name)) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = writeFile(filepath.Join(dir, name), data)
		}
		if err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
	}
	return nil
}

// certDir is where the certificates for a machine's engine are: in its folder, else those that all machines were made with. docker-machine puts no
// copies into the folder of an engine that it did not set up.
func (i *Importer) certDir(dir string) string {
	if fileExists(filepath.Join(dir, "ca.pem")) {
		return dir
	}
	return filepath.Join(i.Store, "certs")
}

// machine is what the journal gets.
func (i *Importer) machine(c candidate, instance abi.Instance) fleet.Machine {
	m := fleet.Machine{
		Name: c.name, Runner: c.runner.Key, Driver: c.driver, Options: c.options(), CreatedAt: c.created, ReadyAt: c.created,
		SSHUser: c.facts.SSHUser, Instance: instance,
	}
	if c.runner.MaxBuilds != 1 { // else it would have gone after its job
		m.UsedCount = 1 // gitlab-runner keeps the count in memory alone, and says 1 of machines that it finds
	}
	i.state(&m)
	return m
}

func (i *Importer) state(m *fleet.Machine) {
	now := time.Now()
	m.State, m.StateSince, m.IdleSince, m.JobID = fleet.Idle, now, now, 0
	if i.Drain {
		m.State, m.IdleSince, m.RemoveReason = fleet.Removing, time.Time{}, drained
	}
}

// options are the runner's, with what the machine itself is known to have.
func (c candidate) options() abi.Options {
	o := abi.Options{}
	for name, values := range c.runner.Options {
		own := make([]string, len(values))
		for n, v := range values {
			own[n] = strings.ReplaceAll(v, "%s", c.name)
		}
		o[name] = own
	}
	if c.runner.Driver != c.driver { // they are another driver's
		o = abi.Options{}
	}
	maps.Copy(o, engineOptions(c.engine, c.sans))
	for name, value := range map[string]string{
		"google-zone":             cmp.Or(c.base.ResolvedZone, c.base.Zone),
		"google-machine-type":     cmp.Or(c.base.ResolvedMachineType, c.base.MachineType),
		"google-project":          c.base.Project,
		"amazonec2-zone":          c.base.Zone,
		"amazonec2-region":        c.base.Region,
		"amazonec2-instance-type": c.base.InstanceType,
		"azure-location":          c.base.Location,
		"azure-size":              c.base.Size,
		"digitalocean-region":     c.base.Region,
		"digitalocean-size":       c.base.Size,
	} {
		if value != "" && strings.HasPrefix(name, c.driver+"-") {
			o[name] = []string{value}
		}
	}
	return o
}

func engineOptions(e engine, sans []string) abi.Options {
	o := abi.Options{}
	for name, values := range map[string][]string{
		"engine-opt": e.ArbitraryFlags, "engine-env": e.Env, "engine-insecure-registry": e.InsecureRegistry, "engine-label": e.Labels,
		"engine-registry-mirror": e.RegistryMirror, "tls-san": sans,
	} {
		if len(values) > 0 {
			o[name] = values
		}
	}
	for name, value := range map[string]string{"engine-storage-driver": e.StorageDriver, "engine-install-url": e.InstallURL} {
		if value != "" {
			o[name] = []string{value}
		}
	}
	return o
}

// endpoint is where a machine's engine answers.
func endpoint(f legacy.Facts, dir string) fleet.Endpoint {
	return fleet.Endpoint{
		Host:     "tcp://" + net.JoinHostPort(f.Address, strconv.Itoa(cmp.Or(f.EnginePort, 2376))),
		CertPath: dir,
	}
}
