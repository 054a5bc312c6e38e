package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Offline is the machine store while no agent runs: what the command line works with then. It holds the state directory's lock.
type Offline struct {
	stateDir string
	journal  *journal.Journal
	drivers  *Drivers
	extra    []pool.Place // beside those of the journal's machines
}

// OpenOffline opens a state directory. When an agent holds it, errors.Is(err, journal.ErrLocked).
func OpenOffline(stateDir string) (*Offline, error) {
	j, err := journal.Open(stateDir)
	if err != nil {
		return nil, err
	}
	host, err := module.NewHost(module.Options{CacheDir: filepath.Join(stateDir, ModuleCache)})
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	drivers := newDrivers(host, nil)
	drivers.journal = j
	drivers.native.store = j.Store()
	if drivers.native.release, err = releaser(j.Store()); err != nil {
		return nil, errors.Join(err, drivers.Close(context.Background()), j.Close())
	}
	return &Offline{stateDir: stateDir, journal: j, drivers: drivers}, nil
}

// releaser cleans hosts that go to other machines, for whoever has no provisioner.
func releaser(store string) (func(context.Context, fleet.Machine) error, error) {
	p, err := provision.New(provision.Options{StoreDir: store})
	if err != nil {
		return nil, err
	}
	return p.Release, nil
}

// UseFolder adds the drivers of the folder that operator, which reads millwright.toml, names, and for machines whose driver is no more
// there the last good generation of it. What is wrong with one goes to the log.
func (o *Offline) UseFolder(ctx context.Context, operator func() (*config.Operator, error), log *slog.Logger) error {
	machines, err := o.Machines()
	if err != nil {
		return err
	}
	if err := o.drivers.useFolder(ctx, o.stateDir, operator, log); err != nil {
		return err
	}
	for _, m := range machines {
		if !o.drivers.has(m.Driver) {
			if err := o.drivers.dropped.Revive(ctx, m.Driver); err != nil {
				log.Error("Machines can't be removed without their driver", "machine", m.Name, "error", err)
			}
		}
	}
	return nil
}

// Close gives the state directory back.
func (o *Offline) Close() error {
	return errors.Join(o.drivers.Close(context.Background()), o.journal.Close())
}

// Owner is the id that tags everything made from this state directory.
func (o *Offline) Owner() string { return o.journal.Owner() }

// Machines returns the journal's machines.
func (o *Offline) Machines() ([]fleet.Machine, error) {
	machines, _, err := o.journal.Load()
	return machines, err
}

// Limits of a removal from the command line.
const (
	removeTries    = 3
	removePause    = 2 * time.Second
	removeDeadline = 2 * time.Minute // of one call
	removeParallel = 8
)

// Remove removes machines, side by side, and forgets each that is gone. done is told of each as it ends, with its error; calls of it do
// not overlap in time with the return. What could not be removed stays in the journal.
func (o *Offline) Remove(ctx context.Context, machines []fleet.Machine, done func(fleet.Machine, error)) error {
	if err := o.frozen(); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(removeParallel)
	errs := make([]error, len(machines))
	for i, m := range machines {
		group.Go(func() error {
			errs[i] = o.remove(ctx, m)
			done(m, errs[i])
			return nil
		})
	}
	_ = group.Wait() // each error is in errs
	return errors.Join(errs...)
}

// frozen is an error while the operator has all removing stopped.
func (o *Offline) frozen() error {
	if f, _ := o.journal.Freeze(); f.Active(time.Now()) {
		return pool.ErrFrozen
	}
	return nil
}

func (o *Offline) remove(ctx context.Context, m fleet.Machine) error {
	if m.Held() && time.Now().Before(m.Hold.Until) {
		return fmt.Errorf("machine %s: %w", m.Name, pool.ErrHeld)
	}
	d := current{o.drivers, m.Driver} // a plug-in's machine needs no module
	req := abi.RemoveRequest{
		Owner: abi.Owner{ID: o.journal.Owner(), Runner: m.Runner}, Name: m.Name, ID: m.Instance.ID, Options: m.Options, State: m.Instance.State,
	}
	if err := removeWithRetry(ctx, d, req); err != nil {
		return fmt.Errorf("machine %s: %w", m.Name, err)
	}
	return o.journal.Remove(m.Name)
}

func removeWithRetry(ctx context.Context, d driver.Driver, req abi.RemoveRequest) error {
	for try := 1; ; try++ {
		call, cancel := context.WithTimeout(ctx, removeDeadline)
		err := d.Remove(call, req)
		cancel()
		if err == nil || try == removeTries || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(removePause):
		}
	}
}

// AddRunners has the providers of a configuration's runners looked at too, beside those of the journal's machines: a state directory
// that was lost has no journal. A runner whose options are wrong is left out, with an error.
func (o *Offline) AddRunners(c *config.Config) error {
	var errs []error
	for _, r := range c.Runners {
		m := driven(&r)
		if m == nil {
			continue
		}
		options, named, err := o.drivers.options(r.Key(), m.MachineDriver, m.MachineOptions, m.MachineOptionsWithName)
		if err != nil {
			errs = append(errs, fmt.Errorf("runner %s: %w", r.Name, err))
			continue
		}
		maps.Copy(options, named)
		o.extra = append(o.extra, pool.NewPlace(m.MachineDriver, options, ""))
	}
	return errors.Join(errs...)
}

// AddSecrets reads the secret options of the configuration's runners when machines of the journal refer to some. What can't be read is told when
// such a machine is removed.
func (o *Offline) AddSecrets(c *config.Config) {
	machines, err := o.Machines()
	if err != nil {
		return
	}
	for _, r := range c.Runners {
		made := driven(&r)
		if made != nil && slices.ContainsFunc(machines, func(m fleet.Machine) bool {
			return m.Driver == made.MachineDriver && refersTo(m.Options, referencePrefix)
		}) {
			_, _, _ = o.drivers.options(r.Key(), made.MachineDriver, made.MachineOptions, made.MachineOptionsWithName)
		}
	}
}

// survey is what Strays found, with what it takes to remove it.
func (o *Offline) survey(ctx context.Context) (Strays, []fleet.Machine, error) {
	machines, problems, err := o.journal.Load()
	if err != nil {
		return Strays{}, nil, err
	}
	all := Strays{Owner: o.Owner()}
	places := slices.Clone(o.extra)
	known := map[string]bool{}
	for _, m := range machines {
		known[m.Name] = true
		places = append(places, pool.NewPlace(m.Driver, m.Options, m.Name))
		if m.State == fleet.Removing {
			all.Ledger = append(all.Ledger, View(m))
		}
	}
	left, err := o.journal.Places()
	if err != nil {
		all.Errors = append(all.Errors, err.Error())
	}
	for _, p := range left {
		places = append(places, pool.NewPlace(p.Driver, p.Options, p.Machine))
	}
	given, err := o.journal.Given() // to docker-machine
	if err != nil {
		return Strays{}, nil, err
	}
	for _, m := range given {
		known[m.Name] = true
	}
	notes := map[string]string{}
	for _, p := range problems {
		notes[p.Machine] = "its journal entry can't be read: " + p.String()
	}
	seen, errs := look(ctx, o.drivers.forPool, places, o.Owner())
	for _, err := range errs {
		all.Errors = append(all.Errors, err.Error())
	}
	var orphans []fleet.Machine
	for _, i := range seen {
		switch {
		case i.Owner != "" && i.Owner != o.Owner():
			all.Others = append(all.Others, i.stray())
		case !known[i.Name]:
			known[i.Name] = true
			found := i.stray()
			found.Owner, found.Note = "", notes[i.Name]
			all.Orphans = append(all.Orphans, found)
			orphans = append(orphans, fleet.Machine{Name: i.Name, Driver: i.place.Driver, Options: i.place.Options, Instance: i.Instance})
		}
	}
	all.sort()
	return all, orphans, nil
}

// Strays lists what may be lost: what bears this state directory's owner tag and is in no journal entry that can be read, what is being
// removed, and what belongs to others.
func (o *Offline) Strays(ctx context.Context) (Strays, error) {
	all, _, err := o.survey(ctx)
	return all, err
}

// Orphans lists what bears this state directory's owner tag and is not in the journal.
func (o *Offline) Orphans(ctx context.Context) ([]fleet.Machine, error) {
	all, orphans, err := o.survey(ctx)
	for _, text := range all.Errors {
		err = errors.Join(err, errors.New(text))
	}
	return orphans, err
}

// RemoveOther removes an instance of another owner, whom the operator names.
func (o *Offline) RemoveOther(ctx context.Context, owner, name string) error {
	if err := o.frozen(); err != nil {
		return err
	}
	machines, err := o.Machines()
	if err != nil {
		return err
	}
	places := slices.Clone(o.extra)
	for _, m := range machines {
		places = append(places, pool.NewPlace(m.Driver, m.Options, m.Name))
	}
	return removeOther(ctx, o.drivers.forPool, places, o.Owner(), owner, name)
}

// RemoveByName removes an orphan, or a machine of the journal, and forgets it.
func (o *Offline) RemoveByName(ctx context.Context, name string) error {
	if err := o.frozen(); err != nil {
		return err
	}
	machines, err := o.Machines()
	if err != nil {
		return err
	}
	_, orphans, err := o.survey(ctx)
	if err != nil {
		return err
	}
	for _, m := range append(machines, orphans...) {
		if m.Name != name {
			continue
		}
		if err := pool.CheckName(name); err != nil {
			return fmt.Errorf("machine %s: %w", name, err)
		}
		return o.remove(ctx, m)
	}
	return fmt.Errorf("machine %s: %w", name, pool.ErrUnknown)
}

// TakeOver gives a state directory, that no agent holds and that has no machines, the owner id of another one. It returns the id before.
func TakeOver(stateDir, owner string) (before string, err error) {
	j, err := journal.Open(stateDir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	before = j.Owner()
	return before, j.TakeOver(owner)
}
