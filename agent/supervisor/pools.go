package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/incumbent"
	"github.com/millwright-ci/millwright/agent/metrics"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// newPool makes the pool of a runner with machines.
func (s *Supervisor) newPool(w *worker, settings pool.Settings) (*pool.Pool, error) {
	var err error
	if w.policies, err = s.dropped.Runner(context.Background(), w.key, settings.Runner.Name, settings.Runner.Instances != nil); err != nil {
		return nil, fmt.Errorf("runner %s: %w", settings.Runner.Name, err)
	}
	o := s.poolOptions(w.key, settings)
	o.Decider = w.policies
	o.Zones = w.zonesAt
	provisioner := s.provisioner.Within(w.wishes)
	o.Provisioner, o.FirstBoot = provisioner, provisioner.FirstBoot
	if autoscaled(w.current().Executor) {
		w.instances = s.newInstances(w)
		o.Provisioner, o.FirstBoot, o.Drivers, o.Most = w.instances, nil, w.driver, w.mostInstances
		o.Events = func(e fleet.Event) {
			s.event(e)
			if e.Machine != nil && e.Machine.Gone {
				s.retired.Go(w.endGroups)
			}
		}
	}
	o.WantMachines = w.policies.WantMachines
	o.GoesOn = s.goesOn(w.key)
	o.Setbacks = s.journal
	o.OnIdle = func() { s.feed.Wake(w.key) }
	if s.o.Incumbent != nil {
		o.Watch = w.watch
	}
	return pool.New(o)
}

// poolOptions are what all pools have in common.
func (s *Supervisor) poolOptions(key string, settings pool.Settings) pool.Options {
	o := pool.Options{
		Key: key, Owner: s.journal.Owner(), Settings: settings,
		Drivers: s.drivers.forPool, Provisioner: s.provisioner, Journal: s.journal,
		Events: s.event, OnStep: s.metrics.PoolStep, Log: s.log, Care: s.poolCare(), Shared: s.shared,
	}
	if s.o.Pool != nil {
		s.o.Pool(&o)
	}
	return o
}

// poolSettings turns a runner's configuration into what its pool and its policies see.
func (s *Supervisor) poolSettings(c *config.Config, r config.Runner) (pool.Settings, error) {
	m, err := r.Fleet()
	if err != nil {
		return pool.Settings{}, fmt.Errorf("runner %s: %w", r.Name, err)
	}
	if m == nil {
		section := "[runners.machine]"
		if autoscaled(r.Executor) {
			section = "[runners.autoscaler]"
		}
		return pool.Settings{}, fmt.Errorf("runner %s: executor %s needs a %s section", r.Name, r.Executor, section)
	}
	var options, named abi.Options
	name := m.MachineDriver
	if g, err := s.groupOf(&r); err != nil {
		return pool.Settings{}, fmt.Errorf("runner %s: %w", r.Name, err)
	} else if g != "" {
		name = g // which has no options
	} else if s.drivers.servesGroups(name) {
		return pool.Settings{}, fmt.Errorf("runner %s: the driver %s %s", r.Name, name, groupsOnly)
	} else if s.o.Incumbent == nil { // else the driver is the incumbent's matter
		if options, named, err = s.drivers.options(r.Key(), m.MachineDriver, m.MachineOptions, m.MachineOptionsWithName); err != nil {
			return pool.Settings{}, fmt.Errorf("runner %s: %w", r.Name, err)
		}
	}
	made := pool.Settings{
		Executor: r.Executor,
		Runner: abi.RunnerSettings{
			Name: r.Name, ShortToken: config.ShortToken(r.Token), Limit: max(r.Limit, 0), Concurrent: c.Concurrent,
			IdleCount: m.IdleCount, IdleCountMin: m.IdleCountMin, IdleScaleFactor: m.IdleScaleFactor, IdleTimeS: int64(m.IdleTime),
			MaxGrowthRate: max(m.MaxGrowthRate, 0), MaxBuilds: max(m.MaxBuilds, 0), Autoscaling: sections(m.Autoscaling),
		},
		MachineName: m.MachineName, Driver: name, Options: options, OptionsWithName: named,
		MachineLife: orNever(s.currentCare().MaxLife),
	}
	s.ofAutoscaler(&made, r)
	s.ofOperator(&made, r)
	if err := made.Validate(); err != nil {
		return pool.Settings{}, fmt.Errorf("runner %s: %w", r.Name, err)
	}
	return made, nil
}

// watch returns the incumbent's machines of this runner.
func (w *worker) watch(ctx context.Context, used map[string]bool) ([]fleet.Machine, error) {
	r := w.current()
	return w.s.o.Incumbent.Machines(ctx, incumbent.Runner{Key: w.key, ShortToken: config.ShortToken(r.Token), Driver: r.Machine.MachineDriver}, used)
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

func zoneNames(r *config.Runner) []string {
	names := []string{"UTC", "Local"}
	if r.Machine != nil {
		for _, a := range r.Machine.Autoscaling {
			names = append(names, a.Timezone)
		}
	}
	if r.Autoscaler != nil {
		for _, p := range r.Autoscaler.Policy {
			names = append(names, p.Timezone)
		}
	}
	return names
}

// Machine is a machine as `millwright machine ls` shows it.
type Machine struct {
	Name      string      `json:"name"`
	Runner    string      `json:"runner"`
	Driver    string      `json:"driver"`
	State     fleet.State `json:"state"`
	Phase     string      `json:"phase,omitempty"` // of its creation: insert, boot, ssh, gpu, engine, image
	Address   string      `json:"address,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	IdleSince time.Time   `json:"idle_since,omitzero"`
	UsedCount int         `json:"used_count"`
	JobID     int64       `json:"job_id,omitempty"`
	OtherJobs []int64     `json:"other_jobs,omitempty"` // beside it, on an instance that runs several
	Reason    string      `json:"reason,omitempty"`     // why it is being removed
	Tries     int         `json:"remove_tries,omitempty"`
	Error     string      `json:"remove_error,omitempty"` // why the last try failed
	ExpiresAt time.Time   `json:"expires_at,omitzero"`    // when it switches itself off
	Cordoned  bool        `json:"cordoned,omitempty"`     // it gets no more jobs
	HeldUntil time.Time   `json:"held_until,omitzero"`    // it is kept for a look at it
	HeldFor   string      `json:"held_for,omitempty"`     // why, in the operator's words
	ByHand    bool        `json:"by_hand,omitempty"`      // somebody made it by hand: it is no agent's
}

// View turns a machine into what people see of it. Options stay behind: they may hold secrets.
func View(m fleet.Machine) Machine {
	runner, _, _ := strings.Cut(m.Runner, "/")
	return Machine{
		Name: m.Name, Runner: runner, Driver: m.Driver, State: m.State, Address: m.Instance.Address,
		CreatedAt: m.CreatedAt, IdleSince: m.IdleSince, UsedCount: m.UsedCount, JobID: m.JobID, OtherJobs: m.OtherJobs, Reason: m.RemoveReason,
		Tries: m.RemoveTries, Error: m.RemoveErr, ExpiresAt: m.ExpiresAt,
		Cordoned: m.Cordoned, HeldUntil: m.Hold.Until, HeldFor: m.Hold.Reason,
	}
}

// Machines lists the machines of all runners, those that are being finished off too, by name.
func (s *Supervisor) Machines() []Machine {
	machines := []Machine{} // so that none is [] in JSON
	for _, p := range s.pools() {
		status := p.Status()
		for _, m := range status.Machines {
			view := View(m)
			view.Phase = status.Phases[m.Name]
			machines = append(machines, view)
		}
	}
	machines = append(machines, s.waitingMachines()...)
	slices.SortFunc(machines, func(a, b Machine) int { return strings.Compare(a.Name, b.Name) })
	return machines
}

// waitingMachines are those of runners whose entries can't be used for now, as the journal has them.
func (s *Supervisor) waitingMachines() (views []Machine) {
	s.mu.Lock()
	some := len(s.waiting) > 0
	s.mu.Unlock()
	if !some {
		return nil
	}
	machines, _, err := s.journal.Load()
	if err != nil {
		s.log.Warn("The machines of runners that wait for their entries to be mended are not known", "error", err)
	}
	for _, m := range machines {
		if s.isWaiting(m.Runner) {
			views = append(views, View(m))
		}
	}
	return views
}

// pools are those of the workers and of the runners that are being finished off, and the caretaker.
func (s *Supervisor) pools() []*pool.Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pools []*pool.Pool
	for _, w := range s.workers {
		if w.pool != nil {
			pools = append(pools, w.pool)
		}
	}
	for _, r := range s.leaving {
		pools = append(pools, r.pool)
	}
	if s.caretaker != nil {
		pools = append(pools, s.caretaker)
	}
	return pools
}

// countMachines brings the figures of the machines up to date.
func (s *Supervisor) countMachines() {
	var fleets []metrics.Fleet
	now := time.Now()
	s.eachPool(func(p *pool.Pool, status pool.Status) {
		f := metrics.Fleet{
			Runner: status.Runner, Executor: status.Executor, Counts: status.Counts, Targets: status.Targets, Waiting: status.Waiting, Code: decisionCode(status, now),
		}
		if status.Decision != nil && !status.Stopping {
			f.IdleTarget, f.IdleTime = status.Decision.IdleTarget, status.Decision.IdleTime
		}
		if w := s.worker(status.Key); w != nil {
			f.Instances = instanceFigures(w.current(), status)
		}
		if w := s.worker(status.Key); w != nil && w.current().Machine != nil {
			f.Sections, f.Section = activeSection(w.current().Machine.Autoscaling, now)
		}
		f.Pool, f.IdleFor, f.Blind = p, status.IdleFor, len(status.ListErrs)
		for _, o := range status.Orphans {
			f.Orphans = append(f.Orphans, metrics.Orphan{Driver: o.Driver, Name: o.Instance.Name, Kept: o.Removal.IsZero()})
		}
		for _, m := range status.Machines {
			if m.State == fleet.Removing && m.RemoveTries > 0 {
				f.Ledger++
			}
		}
		fleets = append(fleets, f)
	})
	s.metrics.Fleets(fleets)
	s.countScaling(now)
}

// decisionCode says in one word how the fleet stands to what the policies want.
func decisionCode(s pool.Status, now time.Time) string {
	available, creating := s.Counts.Available, s.Counts.Creating
	if s.Limits.Slots > 0 { // the target is in slots
		available, creating = s.Slots.Creating+s.Slots.Free+s.Slots.Reserved, s.Slots.Creating
	}
	switch {
	case s.Stopping:
		return metrics.CodeStopping
	case s.Decision == nil:
		return metrics.CodeUndecided
	case s.Decision.NoGrowth:
		return metrics.CodeNoGrowth
	case available > s.Decision.IdleTarget:
		return metrics.CodeShrinking
	case available-creating >= s.Decision.IdleTarget:
		return metrics.CodeSteady
	case s.Backoff.Failures > 0 && now.Before(s.Backoff.Until):
		return metrics.CodeBackoff
	case slices.ContainsFunc(s.Rails, func(r fleet.Rail) bool { return r.Name == "create" }):
		return metrics.CodeRail
	}
	return metrics.CodeGrowing
}

// activeSection returns the names of the autoscaling sections and that of the one in force: the last whose period is active, else none.
func activeSection(sections []config.Autoscaling, now time.Time) (names []string, in string) {
	in = "none"
	names = []string{in}
	for i, a := range sections {
		name := strconv.Itoa(i)
		names = append(names, name)
		if active(a.Periods, a.Timezone, now) {
			in = name
		}
	}
	return names, in
}

// RemoveMachine removes a machine and waits until it is gone. One that a job holds is refused: errors.Is(err, pool.ErrInUse).
func (s *Supervisor) RemoveMachine(ctx context.Context, name string) error {
	for _, p := range s.pools() {
		for _, m := range p.Status().Machines {
			if m.Name != name {
				continue
			}
			err := p.RemoveMachine(ctx, name)
			if errors.Is(err, pool.ErrInUse) && m.JobID != 0 {
				return fmt.Errorf("machine %s: %w by job %d; cancel the job, or wait for its end", name, err, m.JobID)
			}
			if err != nil {
				return fmt.Errorf("machine %s: %w", name, err)
			}
			return nil
		}
	}
	if slices.ContainsFunc(s.waitingMachines(), func(m Machine) bool { return m.Name == name }) {
		return fmt.Errorf("machine %s: the entry of its runner in config.toml can't be used; mend it, or take it out, which removes its machines", name)
	}
	return fmt.Errorf("machine %s: %w; `millwright machine ls` lists them", name, pool.ErrUnknown)
}
