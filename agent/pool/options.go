package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Decider is the policy chain. Decide always has an answer: a module that fails is skipped, and the decision's reason says so. It
// may take a while; the pool asks it one thing at a time.
type Decider interface {
	Decide(ctx context.Context, s abi.Snapshot) fleet.Decision
}

// Provisioner turns instances into machines with an engine. It is safe for concurrent use.
type Provisioner interface {
	// Bootstrap makes the machine's keys and stores them, before the provider is called.
	Bootstrap(ctx context.Context, name string) (abi.Bootstrap, error)
	// Provision makes a running instance ready; phase is told each phase as it begins.
	Provision(ctx context.Context, m fleet.Machine, phase func(string)) (fleet.Endpoint, error)
	// Endpoint says where a ready machine's engine answers. It asks nobody.
	Endpoint(m fleet.Machine) fleet.Endpoint
	// Check is a cheap probe of a ready machine's engine.
	Check(ctx context.Context, m fleet.Machine) error
	// Clean takes away what jobs of an agent that died left on the engine.
	Clean(ctx context.Context, m fleet.Machine) error
}

// Journal is where machines are written down; *journal.Journal is one. The pool makes one call at a time for a machine.
type Journal interface {
	Save(m fleet.Machine) error
	Remove(name string) error
	// Has tells whether any runner's machine has this name, readable or not.
	Has(name string) bool
	Load() ([]fleet.Machine, []journal.Problem, error)
}

// Settings are what a reload may change. They concern machines that are made from now on; limits hold at once.
type Settings struct {
	Runner   abi.RunnerSettings // as the policies see them; Limit, MaxGrowthRate and MaxBuilds are the guard rails
	Executor string             // the runner's, for events and the status

	MachineName     string      // MachineName of config.toml, with one %s
	Driver          string      // MachineDriver
	Options         abi.Options // MachineOptions with defaults filled in, the host's (engine-*, tls-san) too
	OptionsWithName abi.Options // MachineOptionsWithName: %s in a value is the machine's name
	// MachineLife is how long after its creation a machine ends by itself, whatever becomes of the agent; less than 0 is never, 0 is a day
	// beyond the ceiling of its age, where there is one.
	MachineLife time.Duration
	// Overridable are the names of the options that a decision's NextMachine may replace (zone, type, spot). Others are ignored.
	Overridable []string

	// What [runners.autoscaler] says beyond what policies see. The zero value is as with docker+machine.

	Throttle              fleet.Throttle // of creations
	ReservationThrottling bool           // leases without a job leave some of the idle machines alone, so that these age
	AcquireWait           time.Duration  // how long a job may wait for machines, all its tries together; 0: for ever
	ProbeTries            int            // probes in a row that a machine may leave unanswered; default 3
	List, Poll            time.Duration  // as Options have them; 0: what those say

	Ceilings       fleet.Ceilings // the operator's, of this runner
	Alternatives   []Alternative  // to be tried in order when the provider has none of what Options say
	CapacityMemory time.Duration  // how long one that it had none of is passed over; default 3m
}

func (s Settings) limits() fleet.Limits {
	l := fleet.LimitsOf(s.Runner)
	l.Own, l.Throttle = s.Ceilings, s.Throttle
	return l
}

// Validate says what is wrong with the settings of a runner that makes machines.
func (s Settings) Validate() error {
	if strings.Count(s.MachineName, "%s") != 1 {
		return fmt.Errorf("MachineName %q must hold %%s exactly once; it becomes a time and a random number", s.MachineName)
	}
	if s.Driver == "" {
		return errors.New("MachineDriver is missing; name one, such as docker")
	}
	return nil
}

// Options are what New needs. Those of the first group are required.
type Options struct {
	Key         string // the runner's stable key: its machines are journalled under it
	Owner       string // the agent's owner id
	Settings    Settings
	Drivers     func(name string) (driver.Driver, error) // by name; called from any goroutine
	Provisioner Provisioner
	Journal     Journal

	// Shared is what this pool and the others of the agent have in common; nil: it has nothing in common with any.
	Shared *Shared

	// Setbacks keeps over restarts what failed creations hold back; *journal.Journal does. nil: a restart begins anew.
	Setbacks SetbackLog

	// GoesOn are the machines of jobs that an agent before has begun and this one goes on with, by the machine's name. Kept gives their
	// leases out; who names a job here asks for it.
	GoesOn map[string][]int64

	// Decider is nil for a runner that is no more: its machines are taken up so that Stop can drain them, and none is made.
	Decider Decider

	// Caretaker is for a pool of no runner: it looks where the pools that share Shared had machines lately and none of them looks any more,
	// and removes what turns up there late. It needs no Decider, and no Driver among its settings.
	Caretaker bool

	// Watch, if set, returns the machines of another program as they are now; used names those that were in use at the last look. The
	// pool decides about them and reports what it would do, and does nothing: it creates, removes, journals and leases none.
	Watch func(ctx context.Context, used map[string]bool) ([]fleet.Machine, error)

	// Most tells how many machines there may be at most where they are made now, such as in a group with a maximum of its own; 0: no bound is known. It
	// is called by the loop and returns at once. nil: there is no bound.
	Most func() int

	Zones func(now time.Time) []abi.Zone // the zones of the snapshot; nil: none
	// FirstBoot returns what a machine that is about to be made is to do at its first boot, for the bootstrap data; "": nothing. nil: none does.
	FirstBoot    func(ctx context.Context, m fleet.Machine) (string, error)
	WantMachines func() bool       // whether a policy wants the snapshot to list machines; nil: none does
	Events       func(fleet.Event) // told what happened, in order; a slow one loses events but delays nothing
	OnIdle       func()            // told that a machine became idle; same terms
	// OnStep is told how long each turn of the loop took, and whether the clock began it or events did. It is called by the loop itself and
	// returns at once. nil: nobody is told.
	OnStep func(clock bool, took time.Duration)
	Jitter func() float64 // in [0, 1); nil: random
	Log    *slog.Logger

	Care // as it is at first; see SetCare

	Tick          time.Duration // the loop's clock; default 1s
	Poll          time.Duration // between two lists while machines are being created; default 2s
	List          time.Duration // between two lists otherwise; default 1m
	SpotList      time.Duration // the same while there are machines that providers take back at short notice; default 10s
	CallTimeout   time.Duration // of one driver call; default 1m
	CheckTimeout  time.Duration // of one probe; default 3s
	Parallel      int           // driver calls of one kind at once; default 16
	ProbeParallel int           // probes of idle machines at once; default 8
}

func (o *Options) complete() error {
	switch {
	case o.Key == "":
		return errors.New("pool: no runner key given")
	case o.Owner == "":
		return errors.New("pool: no owner id given")
	case o.Drivers == nil || o.Provisioner == nil || o.Journal == nil:
		return errors.New("pool: drivers, provisioner and journal are required")
	}
	if o.Decider != nil {
		if err := o.Settings.Validate(); err != nil {
			return fmt.Errorf("runner %s: %w", o.Settings.Runner.Name, err)
		}
	}
	if o.Zones == nil {
		o.Zones = func(time.Time) []abi.Zone { return nil }
	}
	if o.WantMachines == nil {
		o.WantMachines = func() bool { return false }
	}
	if o.OnStep == nil {
		o.OnStep = func(bool, time.Duration) {}
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Care.complete()
	for _, d := range []struct {
		v     *time.Duration
		value time.Duration
	}{
		{&o.Tick, time.Second},
		{&o.Poll, 2 * time.Second},
		{&o.List, time.Minute},
		{&o.SpotList, 10 * time.Second},
		{&o.CallTimeout, time.Minute},
		{&o.CheckTimeout, 3 * time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.value
		}
	}
	if o.Parallel <= 0 {
		o.Parallel = 16
	}
	if o.ProbeParallel <= 0 {
		o.ProbeParallel = 8
	}
	if o.Shared == nil {
		o.Shared = NewShared(SharedOptions{})
	}
	return nil
}
