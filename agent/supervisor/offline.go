package supervisor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Offline is the machine store while no agent runs: what the command line works with then. It holds the state directory's lock.
type Offline struct {
	journal *journal.Journal
	modules *module.Host
	drivers *Drivers
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
	return &Offline{journal: j, modules: host, drivers: &Drivers{host: host}}, nil
}

// Close gives the state directory back.
func (o *Offline) Close() error {
	return errors.Join(o.modules.Close(context.Background()), o.journal.Close())
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

func (o *Offline) remove(ctx context.Context, m fleet.Machine) error {
	d, done, err := o.drivers.use(m.Driver)
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.Name, err)
	}
	defer done()
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

// Orphans lists what bears this state directory's owner tag and is not in the journal, asking with each set of options that the
// journal's machines were made with.
func (o *Offline) Orphans(ctx context.Context) ([]fleet.Machine, error) {
	machines, err := o.Machines()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, m := range machines {
		known[m.Name] = true
	}
	var orphans []fleet.Machine
	var errs []error
	for _, m := range machines {
		d, err := o.drivers.forPool(m.Driver)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		call, cancel := context.WithTimeout(ctx, removeDeadline)
		res, err := d.List(call, abi.ListRequest{Owner: abi.Owner{ID: o.journal.Owner(), Runner: m.Runner}, Options: m.Options})
		cancel()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, i := range res.Instances {
			if !known[i.Name] {
				known[i.Name] = true
				orphans = append(orphans, fleet.Machine{Name: i.Name, Runner: m.Runner, Driver: m.Driver, Options: m.Options, Instance: i})
			}
		}
	}
	return orphans, errors.Join(errs...)
}
