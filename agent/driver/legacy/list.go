package legacy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// A plug-in's words for a machine's state. Source: docker-machine's plug-in protocol, GetState.
const (
	stateNone = iota
	stateRunning
	statePaused
	stateSaved
	stateStopped
	stateStopping
	stateStarting
	stateError
	stateTimeout
)

func stateWord(state int) string {
	words := []string{"None", "Running", "Paused", "Saved", "Stopped", "Stopping", "Starting", "Error", "Timeout"}
	if state < 0 || state >= len(words) {
		return fmt.Sprint(state)
	}
	return words[state]
}

// statusOf is the host's word. None and Error mean all kinds of things, a provider that does not answer too: neither is gone.
func statusOf(state int) abi.Status {
	switch state {
	case stateRunning:
		return abi.StatusRunning
	case statePaused, stateSaved, stateStopped, stateStopping:
		return abi.StatusStopped
	case stateStarting:
		return abi.StatusCreating
	}
	return abi.StatusUnknown
}

// sighting is what a look at a machine's state found.
type sighting struct {
	status  abi.Status
	message string
	at      time.Time
}

func (d *Driver) sighting(name string) sighting {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.seen[name]; ok {
		return s
	}
	return sighting{status: abi.StatusUnknown, message: "not looked at yet"}
}

func (d *Driver) saw(name string, s sighting) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[name] = s
}

// inspectParallel is how many plug-ins look at states at once.
const inspectParallel = 4

// List implements driver.Driver: it returns the machines of which there is a record, since no provider knows whose a plug-in's machines are.
// Those whose state was last looked at a while ago are looked at, as far as ctx permits.
func (d *Driver) List(ctx context.Context, req abi.ListRequest) (abi.ListResult, error) {
	if err := ctx.Err(); err != nil {
		return abi.ListResult{}, err
	}
	names, err := d.files.Names()
	if err != nil {
		return abi.ListResult{}, d.failure(abi.ExportList, abi.Transient, "%v", err)
	}
	result := abi.ListResult{Complete: true, Instances: []abi.Instance{}}
	records := map[string]record{}
	for _, name := range names {
		r, ok, err := d.files.Load(name)
		switch {
		case err != nil:
			result.Complete = false // whose it is, nobody knows
		case !ok || r.Driver != d.opts.Name || !isOurs(r.ID) || r.Owner != req.Owner.ID && !req.AllOwners:
		default:
			records[name] = r
		}
	}
	d.inspect(ctx, records)
	for _, name := range names {
		if r, ok := records[name]; ok {
			i := r.instance(name, d.sighting(name))
			if req.AllOwners {
				i.Owner = r.Owner
			}
			result.Instances = append(result.Instances, i)
		}
	}
	return result, nil
}

// inspect looks at the machines that it is time for.
func (d *Driver) inspect(ctx context.Context, records map[string]record) {
	var wg sync.WaitGroup
	gate := make(chan struct{}, inspectParallel)
	for name, r := range records {
		if r.Phase != phaseMade || time.Since(d.sighting(name).at) < d.opts.InspectEvery {
			continue
		}
		wg.Go(func() {
			select {
			case gate <- struct{}{}:
				defer func() { <-gate }()
				d.saw(name, d.look(ctx, name, r))
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
}

// look asks the plug-in for a machine's state.
func (d *Driver) look(ctx context.Context, name string, r record) sighting {
	ctx, cancel := context.WithTimeoutCause(ctx, d.opts.InspectLimit, fmt.Errorf("no answer within %s", d.opts.InspectLimit))
	defer cancel()
	unknown := func(err error) sighting {
		return sighting{status: abi.StatusUnknown, message: short(err.Error()), at: time.Now()}
	}
	s, err := d.session(ctx, name, r)
	if err != nil {
		return unknown(err)
	}
	defer s.close()
	state, err := get[int](ctx, s, "GetState")
	if err != nil {
		return unknown(err)
	}
	return sighting{status: statusOf(state), message: "the plug-in says that it is " + stateWord(state), at: time.Now()}
}
