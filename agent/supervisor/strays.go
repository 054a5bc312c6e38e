package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Stray is an instance at a provider that is none of the runners' machines, as `millwright machine ls --orphans` shows it.
type Stray struct {
	Name      string     `json:"name"`
	ID        string     `json:"id,omitempty"`
	Driver    string     `json:"driver"`
	Owner     string     `json:"owner,omitempty"` // of another Millwright's; "" is this one's
	Status    abi.Status `json:"status"`
	Address   string     `json:"address,omitempty"`
	CreatedAt string     `json:"created_at,omitempty"` // RFC 3339, as the provider has it
	Since     time.Time  `json:"since,omitzero"`       // when the agent saw it first
	RemovalAt time.Time  `json:"removal_at,omitzero"`  // when the agent removes it at the earliest; zero: never by itself
	Note      string     `json:"note,omitempty"`       // why it does not
}

// Strays is all that may be lost: instances that nobody knows, removals that failed, and what belongs to others.
type Strays struct {
	Owner   string    `json:"owner"`            // this state directory's id
	Orphans []Stray   `json:"orphans"`          // under our tag and in no journal entry that can be read
	Ledger  []Machine `json:"ledger"`           // machines whose removal failed and is tried again
	Others  []Stray   `json:"others"`           // under the tags of other state directories; never touched
	Errors  []string  `json:"errors,omitempty"` // providers that could not be asked
}

// sort puts each list in order of names and makes none of them nil, so that JSON has [].
func (s *Strays) sort() {
	byName := func(a, b Stray) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Driver, b.Driver))
	}
	s.Orphans, s.Others, s.Ledger = notNil(s.Orphans), notNil(s.Others), notNil(s.Ledger)
	slices.SortFunc(s.Orphans, byName)
	slices.SortFunc(s.Others, byName)
	slices.SortFunc(s.Ledger, func(a, b Machine) int { return cmp.Compare(a.Name, b.Name) })
	s.Orphans, s.Others = slices.Compact(s.Orphans), slices.Compact(s.Others)
}

func notNil[T any](list []T) []T { return append([]T{}, list...) }

// sighting is an instance with where it was seen.
type sighting struct {
	abi.Instance
	place pool.Place
}

func (s sighting) stray() Stray {
	return Stray{
		Name: s.Name, ID: s.ID, Driver: s.place.Driver, Owner: s.Owner, Status: s.Status, Address: s.Address, CreatedAt: s.CreatedAt,
	}
}

// lookParallel is how many providers are asked at once.
const lookParallel = 4

// look lists what bears the tag of any Millwright at places. A place that can't be asked is an error and leaves the rest.
func look(ctx context.Context, drivers func(string) (driver.Driver, error), places []pool.Place, owner string) (seen []sighting, errs []error) {
	var mu sync.Mutex // guards the results
	var group errgroup.Group
	group.SetLimit(lookParallel)
	for _, place := range unique(places) {
		group.Go(func() error {
			instances, err := lookAt(ctx, drivers, place, owner)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			}
			for _, i := range instances {
				if i.Status != abi.StatusGone {
					seen = append(seen, sighting{i, place})
				}
			}
			return nil
		})
	}
	_ = group.Wait() // each error is in errs
	return seen, errs
}

func lookAt(ctx context.Context, drivers func(string) (driver.Driver, error), place pool.Place, owner string) ([]abi.Instance, error) {
	d, err := drivers(place.Driver)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, removeDeadline)
	defer cancel()
	res, err := d.List(ctx, abi.ListRequest{ABI: abi.Version, Owner: abi.Owner{ID: owner}, Options: place.Options, AllOwners: true})
	if err == nil && !res.Complete {
		err = fmt.Errorf("%s: the list is not complete", place.Driver)
	}
	return res.Instances, err
}

func unique(places []pool.Place) []pool.Place {
	places = slices.Clone(places)
	slices.SortFunc(places, func(a, b pool.Place) int { return cmp.Compare(a.Key, b.Key) })
	return slices.CompactFunc(places, func(a, b pool.Place) bool { return a.Key == b.Key })
}

// places are those of all pools, but for groups: what is in a group is its runner's, and bears no owner's tag.
func (s *Supervisor) places() []pool.Place {
	var places []pool.Place
	for _, p := range s.pools() {
		places = append(places, p.Places()...)
	}
	return slices.DeleteFunc(places, func(p pool.Place) bool { return isGroup(p.Driver) })
}

// Strays tells what the pools suspect and what they can't remove, and asks the providers for what belongs to others.
func (s *Supervisor) Strays(ctx context.Context) Strays {
	all := Strays{Owner: s.Owner()}
	for _, p := range s.pools() {
		status := p.Status()
		for _, o := range status.Orphans {
			i := sighting{o.Instance, pool.Place{Driver: o.Driver}}.stray()
			i.Owner, i.Since, i.RemovalAt, i.Note = "", o.Since, o.Removal, o.Note
			if !slices.ContainsFunc(all.Orphans, func(x Stray) bool { return x.Name == i.Name && x.Driver == i.Driver }) {
				all.Orphans = append(all.Orphans, i)
			}
		}
		for _, m := range status.Machines {
			if m.State == fleet.Removing && m.RemoveTries > 0 {
				all.Ledger = append(all.Ledger, View(m))
			}
		}
	}
	seen, errs := look(ctx, s.drivers.forPool, s.places(), s.Owner())
	for _, i := range seen {
		if i.Owner != "" && i.Owner != s.Owner() {
			all.Others = append(all.Others, i.stray())
		}
	}
	for _, err := range errs {
		all.Errors = append(all.Errors, err.Error())
	}
	all.sort()
	return all
}

// RemoveOrphan removes an instance that the pools suspect, whatever its grace time, and waits until it is gone.
func (s *Supervisor) RemoveOrphan(ctx context.Context, name string) error {
	for _, p := range s.pools() {
		if err := p.Reap(ctx, name); !errors.Is(err, pool.ErrUnknown) {
			if err != nil {
				err = fmt.Errorf("orphan %s: %w", name, err)
			}
			return err
		}
	}
	return fmt.Errorf("orphan %s: %w; `millwright machine ls --orphans` lists them", name, pool.ErrUnknown)
}

// RemoveOther removes an instance of another owner, whom the operator names.
func (s *Supervisor) RemoveOther(ctx context.Context, owner, name string) error {
	if !s.shared.Freeze(time.Now()).Since.IsZero() {
		return pool.ErrFrozen
	}
	return removeOther(ctx, s.drivers.forPool, s.places(), s.Owner(), owner, name)
}

func removeOther(ctx context.Context, drivers func(string) (driver.Driver, error), places []pool.Place, ours, owner, name string) error {
	if owner == "" || owner == ours {
		return fmt.Errorf("owner %q is no other one", owner)
	}
	seen, errs := look(ctx, drivers, places, ours)
	removed := false
	for _, i := range seen {
		if i.Owner != owner || i.Name != name || removed {
			continue
		}
		d, err := drivers(i.place.Driver)
		if err == nil {
			err = removeWithRetry(ctx, d, abi.RemoveRequest{
				ABI: abi.Version, Owner: abi.Owner{ID: owner}, Name: name, ID: i.ID, Options: i.place.Options, State: i.State,
			})
		}
		if err != nil {
			return fmt.Errorf("machine %s of %s: %w", name, owner, err)
		}
		removed = true
	}
	if !removed {
		return errors.Join(append(errs, fmt.Errorf("machine %s of %s: %w", name, owner, pool.ErrUnknown))...)
	}
	return nil
}
