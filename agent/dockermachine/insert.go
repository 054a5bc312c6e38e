package dockermachine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/agent/wait"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Limits of calls of a driver.
const (
	callTimeout  = 2 * time.Minute // of one
	insertTries  = 5
	longestPause = 2 * time.Minute // that a provider may ask for before it is an error
	bootPoll     = 2 * time.Second
)

// insert asks the provider for the machine. Where it has too many calls, it is asked again when it says so.
func insert(ctx context.Context, d driver.Driver, e journal.Entry, keys abi.Bootstrap) (abi.Instance, error) {
	req := abi.CreateRequest{
		ABI: abi.Version, Owner: ownerOf(e), Name: e.Machine.Name, Options: driverOptions(e.Machine.Options), Bootstrap: keys,
	}
	for try := 1; ; try++ {
		// Once it is asked, the end of ctx does not cut the call off: an answer that nobody waits for may be an instance that nobody knows.
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		i, err := d.Create(call, req)
		cancel()
		var told *driver.Error
		if !errors.As(err, &told) || told.Info.Kind != abi.RateLimited || try == insertTries {
			return i, err
		}
		pause := time.Duration(max(told.Info.RetryAfterS, 1<<try)) * time.Second
		if pause > longestPause || wait.For(ctx, pause) != nil {
			return i, err
		}
	}
}

// boot waits until the instance runs and has an address. One list call shows it; what a failed list lacks is not gone.
func (c *Machines) boot(ctx context.Context, d driver.Driver, e *journal.Entry) error {
	missing := 0
	for {
		switch i := e.Machine.Instance; i.Status {
		case abi.StatusRunning:
			if i.Address != "" {
				return nil
			}
		case abi.StatusStopped, abi.StatusGone, abi.StatusInterrupted:
			if i.Error != nil {
				return &driver.Error{Driver: e.Machine.Driver, Op: abi.ExportCreate, Info: *i.Error}
			}
			return fmt.Errorf("the instance is %s before it ever ran: %s", i.Status, i.Message)
		}
		if err := wait.For(ctx, bootPoll); err != nil {
			return fmt.Errorf("the instance is %s: %w", e.Machine.Instance.Status, err)
		}
		i, known, err := look(ctx, d, *e)
		switch {
		case err != nil:
			c.o.Log.Warn("The provider does not answer; it is asked again", "machine", e.Machine.Name, "error", err)
		case known:
			missing = 0
			e.Machine.Instance = i
		default:
			if missing++; missing > goneAfter {
				return errors.New("the provider's lists do not have it any more")
			}
		}
	}
}

// goneAfter is how many complete lists in a row must lack a new machine before that is believed: providers' lists lag behind.
const goneAfter = 15

// look returns the provider's record of a machine; known is false when a complete list lacks it.
func look(ctx context.Context, d driver.Driver, e journal.Entry) (i abi.Instance, known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := d.List(ctx, abi.ListRequest{ABI: abi.Version, Owner: ownerOf(e), Options: driverOptions(e.Machine.Options)})
	if err != nil {
		return i, false, err
	}
	for _, i := range found.Instances {
		if i.Name == e.Machine.Name {
			if len(i.State) == 0 {
				i.State = e.Machine.Instance.State
			}
			return i, true, nil
		}
	}
	if !found.Complete {
		err = errors.New("its list is not complete")
	}
	return i, false, err
}

// ownerOf is the tag of what is made for a machine.
func ownerOf(e journal.Entry) abi.Owner { return abi.Owner{ID: e.Owner, Runner: "by-hand"} }

// driverOptions leaves out the options that are the host's.
func driverOptions(o abi.Options) abi.Options {
	d := make(abi.Options, len(o))
	for name, values := range o {
		if !provision.IsHostOption(name) {
			d[name] = values
		}
	}
	return d
}
