package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// newPool makes the pool of a docker+machine runner.
func (s *Supervisor) newPool(c *config.Config, r config.Runner, w *worker) (*pool.Pool, error) {
	settings, err := s.poolSettings(c, r)
	if err != nil {
		return nil, err
	}
	chain, err := s.modules.BuiltinChain(context.Background())
	if err != nil {
		return nil, fmt.Errorf("runner %s: %w", r.Name, err)
	}
	o := s.poolOptions(r.Key(), settings)
	o.Decider = chain
	o.Zones = w.zonesAt
	o.WantMachines = chain.WantMachines
	o.OnIdle = func() { s.feed.Wake() }
	return pool.New(o)
}

// poolOptions are what all pools have in common.
func (s *Supervisor) poolOptions(key string, settings pool.Settings) pool.Options {
	return pool.Options{
		Key: key, Owner: s.journal.Owner(), Settings: settings,
		Drivers: s.drivers.forPool, Provisioner: s.provisioner, Journal: s.journal,
		Events: s.event, Log: s.log, OrphanGrace: s.o.OrphanGrace,
	}
}

// poolSettings turns a runner's configuration into what its pool and its policies see.
func (s *Supervisor) poolSettings(c *config.Config, r config.Runner) (pool.Settings, error) {
	if r.Machine == nil {
		return pool.Settings{}, fmt.Errorf("runner %s: executor docker+machine needs a [runners.machine] section", r.Name)
	}
	m := r.Machine
	options, named, err := s.drivers.options(m.MachineDriver, m.MachineOptions, m.MachineOptionsWithName)
	if err != nil {
		return pool.Settings{}, fmt.Errorf("runner %s: %w", r.Name, err)
	}
	return pool.Settings{
		Runner: abi.RunnerSettings{
			Name: r.Name, ShortToken: config.ShortToken(r.Token), Limit: max(r.Limit, 0), Concurrent: c.Concurrent,
			IdleCount: m.IdleCount, IdleCountMin: m.IdleCountMin, IdleScaleFactor: m.IdleScaleFactor, IdleTimeS: int64(m.IdleTime),
			MaxGrowthRate: max(m.MaxGrowthRate, 0), MaxBuilds: max(m.MaxBuilds, 0), Autoscaling: sections(m.Autoscaling),
		},
		MachineName: m.MachineName, Driver: m.MachineDriver, Options: options, OptionsWithName: named,
	}, nil
}

func sections(in []config.Autoscaling) []abi.PeriodsSettings {
	out := make([]abi.PeriodsSettings, 0, len(in))
	for _, a := range in {
		out = append(out, abi.PeriodsSettings{
			Periods: slices.Clone(a.Periods), Timezone: a.Timezone, IdleCount: a.IdleCount, IdleCountMin: a.IdleCountMin,
			IdleScaleFactor: a.IdleScaleFactor, IdleTimeS: int64(a.IdleTime),
		})
	}
	return out
}

func zoneNames(m *config.Machine) []string {
	names := []string{"UTC", "Local"}
	for _, a := range m.Autoscaling {
		names = append(names, a.Timezone)
	}
	return names
}

// retireUnknown finishes off the machines of runners that the configuration no longer has: renamed, removed, or with another token.
func (s *Supervisor) retireUnknown() error {
	machines, _, err := s.journal.Load()
	if err != nil {
		return err
	}
	keys := map[string]bool{}
	for _, m := range machines {
		if s.worker(m.Runner) == nil {
			keys[m.Runner] = true
		}
	}
	for key := range keys {
		name, _, _ := strings.Cut(key, "/")
		p, err := pool.New(s.poolOptions(key, pool.Settings{Runner: abi.RunnerSettings{Name: name}}))
		if err != nil {
			return err
		}
		if err := p.Start(); err != nil {
			return err
		}
		s.log.Warn("Removing the machines of a runner that the configuration no longer has", "runner", name)
		s.retire(p, name)
	}
	return nil
}

// retireTimeout bounds the removal of the machines of a runner that is no more; what is left then is tried again at the next start.
const retireTimeout = time.Hour

// retire drains a pool in the background.
func (s *Supervisor) retire(p *pool.Pool, name string) {
	s.retired.Add(1)
	go func() {
		defer s.retired.Done()
		ctx, cancel := context.WithTimeout(context.Background(), retireTimeout)
		defer cancel()
		if err := p.Stop(ctx, true); err != nil {
			s.log.Error("Machines are left", "runner", name, "error", err)
		}
		s.metrics.RunnerGone(name)
	}()
}

// Machine is a machine as `millwright machine ls` shows it.
type Machine struct {
	Name      string      `json:"name"`
	Runner    string      `json:"runner"`
	Driver    string      `json:"driver"`
	State     fleet.State `json:"state"`
	Address   string      `json:"address,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	IdleSince time.Time   `json:"idle_since,omitzero"`
	UsedCount int         `json:"used_count"`
	JobID     int64       `json:"job_id,omitempty"`
	Reason    string      `json:"reason,omitempty"` // why it is being removed
}

// View turns a machine into what people see of it. Options stay behind: they may hold secrets.
func View(m fleet.Machine) Machine {
	runner, _, _ := strings.Cut(m.Runner, "/")
	return Machine{
		Name: m.Name, Runner: runner, Driver: m.Driver, State: m.State, Address: m.Instance.Address,
		CreatedAt: m.CreatedAt, IdleSince: m.IdleSince, UsedCount: m.UsedCount, JobID: m.JobID, Reason: m.RemoveReason,
	}
}

// Machines lists the machines of all runners, by name.
func (s *Supervisor) Machines() []Machine {
	machines := []Machine{} // so that none is [] in JSON
	for _, w := range s.allWorkers() {
		if w.pool == nil {
			continue
		}
		for _, m := range w.pool.Status().Machines {
			machines = append(machines, View(m))
		}
	}
	slices.SortFunc(machines, func(a, b Machine) int { return strings.Compare(a.Name, b.Name) })
	return machines
}

// countMachines brings the figures of the machines' states up to date.
func (s *Supervisor) countMachines() {
	for _, w := range s.allWorkers() {
		if w.pool != nil {
			s.metrics.Fleet(w.current().Name, w.pool.Status().Counts)
		}
	}
}

// errNoMachine means that no runner has a machine of that name.
var errNoMachine = errors.New("no such machine")

// RemoveMachine removes a machine, in use or not, and waits until it is gone.
func (s *Supervisor) RemoveMachine(ctx context.Context, name string) error {
	for _, w := range s.allWorkers() {
		if w.pool == nil {
			continue
		}
		for _, m := range w.pool.Status().Machines {
			if m.Name == name {
				return w.pool.RemoveMachine(ctx, name)
			}
		}
	}
	return fmt.Errorf("machine %s: %w", name, errNoMachine)
}
