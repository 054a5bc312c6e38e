package dropin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

const (
	defaultObserve = 30 * time.Second // between two observations
	maxObserved    = 64 << 10         // bytes
)

// observation is what a module observed last. It outlives the generation that made it.
type observation struct {
	data abi.Raw
	at   time.Time
	err  string // why the last try failed; "" when it did not
}

// observation gives a chain what the module of a name observed.
func (m *Manager) observation(name string) (abi.Raw, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.observed[name]
	return o.data, o.at
}

// startObserving asks a policy on a schedule to look at the world, until its generation is retired. One to which nothing is granted
// has nothing to look at.
func (m *Manager) startObserving(g *generation) {
	if g.id.kind != abi.KindPolicy || len(g.grant.Hostnames) == 0 || !g.module.Exports(abi.ExportObserve) {
		return
	}
	ctx, stop := context.WithCancel(m.ctx)
	g.stop = stop
	g.users.Add(1)
	m.work.Go(func() {
		defer g.users.Done()
		tick := time.NewTicker(cmp.Or(g.settings.ObserveEvery, defaultObserve))
		defer tick.Stop()
		for {
			m.observe(ctx, g)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// observe asks once. A failure leaves what was observed before, whose age tells.
func (m *Manager) observe(ctx context.Context, g *generation) {
	before, _ := m.observation(g.id.name)
	data, err := look(ctx, g, before)
	if ctx.Err() != nil {
		return
	}
	name := g.id.name
	m.mu.Lock()
	o := m.observed[name]
	was := o.err
	if o.err = ""; err != nil {
		o.err = err.Error()
	} else if len(data) > 0 {
		o.data, o.at = data, time.Now()
	}
	m.observed[name] = o
	m.mu.Unlock()
	switch {
	case o.err == was:
	case err != nil:
		m.log.Warn("policy observes nothing", "policy", name, "reason", err, "consequence", "its snapshots hold what it observed before")
	default:
		m.log.Info("policy observes again", "policy", name)
	}
}

// look calls the export, with what was observed before.
func look(ctx context.Context, g *generation, before abi.Raw) (abi.Raw, error) {
	now := time.Now()
	input, err := json.Marshal(abi.ObserveRequest{
		ABI: abi.Version, Now: now.UTC().Format(time.RFC3339Nano), NowUnixMS: now.UnixMilli(), Config: g.settings.Config, Observed: before,
	})
	if err != nil {
		return nil, err
	}
	out, err := g.module.Call(ctx, abi.ExportObserve, input)
	if err != nil {
		return nil, err
	}
	if len(out) > maxObserved {
		return nil, fmt.Errorf("%s: observe: returned %d bytes; at most %d are kept", g.id.name, len(out), maxObserved)
	}
	return abi.Raw(out), nil
}
