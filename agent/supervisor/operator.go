package supervisor

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/pool"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// openShared makes what the pools share. An agent that does not know its ceilings does not start: they may be all that keeps a bill small.
func (s *Supervisor) openShared() error {
	op := &config.Operator{}
	if s.o.Operator != nil {
		if op, _ = s.o.Operator(); op.CeilingsErr != nil {
			return fmt.Errorf("the operator's ceilings are not known: %w", op.CeilingsErr)
		}
	}
	machines, _, err := s.journal.Load()
	if err != nil {
		return err
	}
	o := pool.SharedOptions{Log: s.journal, Machines: machines, Describe: s.describe, Places: s.journal, Left: s.lateAt()}
	if err := s.journal.Creates(time.Now(), func(runner string, at time.Time) {
		o.Creates = append(o.Creates, pool.Create{Runner: runner, At: at})
	}); err != nil {
		return err
	}
	s.shared = pool.NewShared(o)
	freeze, err := s.journal.Freeze()
	if err != nil {
		s.log.Error("Nothing is created or removed", "error", err)
	}
	s.shared.SetFreeze(freeze)
	if f := s.shared.Freeze(time.Now()); !f.Since.IsZero() {
		s.log.Warn("The agent is frozen: nothing is created or removed", "since", f.Since, "until", f.Until, "reason", f.Reason)
	}
	s.setOperator(op)
	return nil
}

// describe returns the options of a driver, nil when it can't be loaded.
func (s *Supervisor) describe(name string) []abi.Option {
	d, err := s.drivers.Describe(name)
	if err != nil {
		return nil
	}
	return d.Options
}

// setOperator puts into force what concerns the agent as a whole. Runners take theirs with their settings.
func (s *Supervisor) setOperator(op *config.Operator) {
	s.mu.Lock()
	s.operator = op
	if s.started == nil {
		s.started = op
	}
	s.mu.Unlock()
	s.shared.SetCeilings(ceilings(op.Ceilings()))
	s.shared.SetRates(func(driver string) pool.Rates { return ratesOf(driver, op.Drivers[driver]) })
}

func ceilings(c config.Ceilings) fleet.Ceilings {
	return fleet.Ceilings{MaxMachines: c.MaxMachines, MaxCreatesPerHour: c.MaxCreatesPerHour, MaxMachineAge: time.Duration(c.MaxMachineAge)}
}

func (s *Supervisor) currentOperator() *config.Operator {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.operator
}

// operatorAtStart is millwright.toml as it was when the agent began.
func (s *Supervisor) operatorAtStart() *config.Operator {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// readOperator reads millwright.toml again, for whoever watches it. Ceilings that can't be read stay as they were. The runners' own are put
// into force by the reload loop, since the caller may hold what that needs.
func (s *Supervisor) readOperator() (*config.Operator, error) {
	op, err := s.o.Operator()
	if op.CeilingsErr != nil {
		s.log.Error("Ceilings of millwright.toml are ignored; those before stay in force", "error", op.CeilingsErr)
		return op, err
	}
	before, care := s.currentOperator(), s.currentCare()
	s.setOperator(op)
	if err == nil {
		s.setCare(op.Machines)
		s.tellOperator(before, op)
	}
	if reflect.DeepEqual(before.Runners, op.Runners) && reflect.DeepEqual(care, s.currentCare()) {
		return op, err
	}
	select {
	case s.operatorChanged <- struct{}{}:
	default: // it is told already
	}
	return op, err
}

// tellOperator logs what changed in millwright.toml, by key and without values, and which of the changes wait for a restart.
func (s *Supervisor) tellOperator(before, now *config.Operator) {
	if changed, _ := config.ChangedKeys(before, now); len(changed) > 0 {
		s.log.Info("Loaded millwright.toml", "changed", strings.Join(changed, " "))
	}
	if _, waiting := config.ChangedKeys(s.operatorAtStart(), now); len(waiting) > 0 {
		s.log.Warn("Some changes of millwright.toml take effect after a restart only", "keys", strings.Join(waiting, " "))
	}
}

// applyOperator gives every runner what millwright.toml says of it now.
func (s *Supervisor) applyOperator() {
	s.reload.Lock()
	defer s.reload.Unlock()
	if s.ending {
		return
	}
	if err := s.applyLocked(s.currentConfig()); err != nil {
		s.log.Error("Settings of millwright.toml are not in force", "error", err)
	}
	for _, p := range s.pools() { // those of runners that are being finished off too
		p.SetCare(s.poolCare())
	}
}

// ofOperator adds what millwright.toml says of a runner to its pool's settings. An alternative that the driver refuses is left out, and told.
func (s *Supervisor) ofOperator(made *pool.Settings, r config.Runner) {
	op := s.currentOperator()
	if op == nil {
		return
	}
	made.Ceilings = ceilings(op.RunnerCeilings(r.Name))
	if s.o.Incumbent != nil {
		return // the rest concerns the driver
	}
	own := op.Runners[r.Name]
	made.CapacityMemory = time.Duration(own.CapacityMemory)
	m := driven(&r)
	if m == nil || isGroup(made.Driver) {
		return
	}
	for _, o := range s.describe(m.MachineDriver) {
		switch o.Role {
		case abi.RoleZone, abi.RoleType, abi.RoleSpot:
			made.Overridable = append(made.Overridable, o.Name)
		}
	}
	for _, name := range own.Overridable {
		if !slices.Contains(made.Overridable, name) {
			made.Overridable = append(made.Overridable, name)
		}
	}
	for i, override := range own.Alternatives {
		a, err := s.drivers.alternative(m, override)
		if err != nil {
			s.log.Error("An alternative of millwright.toml is left out", "runner", r.Name, "alternative", i+1, "error", err)
			continue
		}
		made.Alternatives = append(made.Alternatives, a)
	}
}

// alternative reads what replaces options of a machine. Its name shows no values of secret options.
func (d *Drivers) alternative(m *config.Machine, override []string) (pool.Alternative, error) {
	options, named, _, err := d.parsed(m.MachineDriver, config.ReplaceOptions(m.MachineOptions, override),
		config.WithoutOptions(m.MachineOptionsWithName, override))
	if err != nil {
		return pool.Alternative{}, err
	}
	desc, err := d.Describe(m.MachineDriver)
	if err != nil {
		return pool.Alternative{}, err
	}
	a := pool.Alternative{Options: abi.Options{}, OptionsWithName: abi.Options{}}
	var words []string
	for _, name := range config.OptionNames(override) {
		if slices.ContainsFunc(desc.Options, func(o abi.Option) bool { return o.Name == name && o.Secret }) {
			return a, errors.New(name + ": a secret can't be part of an alternative")
		}
		values := options[name]
		if values != nil {
			a.Options[name] = values
		} else {
			values = named[name]
			a.OptionsWithName[name] = values
		}
		words = append(words, name+"="+strings.Join(values, ","))
	}
	a.Name = strings.Join(words, " ")
	return a, nil
}
