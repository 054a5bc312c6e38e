package module

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// DefaultPosition is that of a policy that names none: after the built-in ones.
const DefaultPosition = 100

// Link is one policy of a chain.
type Link struct {
	Name     string // it goes by, unique in the chain; "" takes the module's
	Module   *Module
	Position int     // place in the chain, lowest first; 0 takes what describe says
	Config   abi.Raw // the module's own configuration for this runner
	Required bool    // its failure stops growth instead of being skipped
	// Missing says why there is no Module: a required policy that can't be loaded. It counts as one that fails.
	Missing string
	Shadow  bool // it is asked and its proposal recorded, and nothing comes of it
	zones   Zones
}

// ChainOptions are what a chain takes its snapshots' further parts from. The zero value works.
type ChainOptions struct {
	Logger *slog.Logger
	// States are what the policies of earlier chains of this runner remembered, by the names of their links.
	States map[string]string
	// Observed returns what the module of that name observed last, and when; nil: nothing is observed.
	Observed func(name string) (abi.Raw, time.Time)
	// History returns as much of the runner's past as is wished; nil: none is known.
	History func(now time.Time, wish abi.HistoryWish) *abi.History
}

// Chain runs the policies of one runner in order and keeps each one's state between decisions. It is safe for concurrent use, but
// decisions of one runner are meant to come one after the other. Its links can be swapped while it decides.
type Chain struct {
	o ChainOptions

	mu        sync.Mutex // guards what follows
	set       *linkset
	memories  map[string]*memory // by the name of the link; they outlive the links
	seen      *seen              // what the last decision was made of; nil before the first
	records   []Record           // the oldest first
	shadowing bool
}

// linkset is the links between two swaps. It is never changed; users counts the decisions that work with it.
type linkset struct {
	links []Link
	users sync.WaitGroup
}

// seen is what a decision was made of, to try other modules on.
type seen struct {
	snapshot abi.Snapshot
	trail    []mark
}

// mark is the proposal of all policies up to a position.
type mark struct {
	position int
	merged   abi.Proposal
}

// NewChain puts links in order of position; links of one position stay in the order in which they came. A module that is no policy is
// refused.
func NewChain(logger *slog.Logger, links ...Link) (*Chain, error) {
	return ChainOptions{Logger: logger}.Chain(links...)
}

// Chain makes a chain as NewChain does, with these options.
func (o ChainOptions) Chain(links ...Link) (*Chain, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	set, err := newLinkset(links)
	if err != nil {
		return nil, err
	}
	c := &Chain{o: o, set: set, memories: map[string]*memory{}}
	for name, state := range o.States {
		c.memories[name] = &memory{state: state}
	}
	return c, nil
}

// newLinkset names, checks and sorts links.
func newLinkset(links []Link) (*linkset, error) {
	links = slices.Clone(links)
	for i := range links {
		if links[i].Missing != "" {
			links[i].Position = cmp.Or(links[i].Position, DefaultPosition)
			continue
		}
		d := links[i].Module.Describe()
		links[i].Name = cmp.Or(links[i].Name, links[i].Module.Name())
		links[i].zones, _ = ConfigZones(links[i].Config) // what is no zone is not in its snapshots; who loads modules refuses it
		if d.Kind != abi.KindPolicy {
			return nil, fmt.Errorf("module %s: is a %s and can't be in a chain of policies; name it as MachineDriver", links[i].Name, d.Kind)
		}
		if links[i].Position == 0 {
			links[i].Position = cmp.Or(d.Position, DefaultPosition)
		}
	}
	slices.SortStableFunc(links, func(a, b Link) int { return cmp.Compare(a.Position, b.Position) })
	names := map[string]int{}
	for i := range links {
		names[links[i].Name]++
		if n := names[links[i].Name]; n > 1 { // one module twice: each place has a memory of its own
			links[i].Name = fmt.Sprintf("%s#%d", links[i].Name, n)
		}
	}
	return &linkset{links: links}, nil
}

// BuiltinChain loads the built-in policies of docker+machine and puts them into a chain: periods, then idlescale, which decide as GitLab does.
func (h *Host) BuiltinChain(ctx context.Context) (*Chain, error) {
	links, err := h.BuiltinLinks(ctx, machinePolicies...)
	if err != nil {
		return nil, err
	}
	return NewChain(h.logger, links...)
}

// The names of the built-in policies, by what runners are.
var (
	machinePolicies  = []string{"periods", "idlescale"} // of docker+machine
	instancePolicies = []string{"instances"}            // with [runners.autoscaler]

	BuiltinPolicies = slices.Concat(machinePolicies, instancePolicies)
)

// PoliciesFor returns the names of the policies that are in every chain of a runner, unless a dropped-in module replaces them.
func PoliciesFor(instances bool) []string {
	if instances {
		return slices.Clone(instancePolicies)
	}
	return slices.Clone(machinePolicies)
}

// BuiltinLinks loads built-in policies side by side.
func (h *Host) BuiltinLinks(ctx context.Context, names ...string) ([]Link, error) {
	if err := h.Preload(ctx, names...); err != nil {
		return nil, err
	}
	links := make([]Link, 0, len(names))
	for _, name := range names {
		m, err := h.Builtin(ctx, name)
		if err != nil {
			return nil, err
		}
		links = append(links, Link{Name: name, Module: m})
	}
	return links, nil
}

// Swap replaces the links between two decisions. What a policy remembers stays with its name; a failing one whose module or
// configuration changed gets a new chance. The decisions under way go on with the old links: idle waits for their end, after which
// modules that are in no chain may be closed. An error leaves the links as they are.
func (c *Chain) Swap(links ...Link) (idle func(), err error) {
	next, err := newLinkset(links)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.set
	c.set = next
	for _, l := range next.links {
		before := slices.IndexFunc(old.links, func(o Link) bool { return o.Name == l.Name })
		if before < 0 || old.links[before].Module != l.Module || string(old.links[before].Config) != string(l.Config) {
			c.memory(l.Name).pardon()
		}
	}
	return old.users.Wait, nil
}

// Links returns the links as they are now, in order.
func (c *Chain) Links() []Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.set.links)
}

// States returns what the policies remember, by the names of their links, to be handed to a later chain of the runner.
func (c *Chain) States() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := map[string]string{}
	for name, m := range c.memories {
		if m.state != "" {
			states[name] = m.state
		}
	}
	return states
}

// enter returns the links of a decision, whose users must be told of its end.
func (c *Chain) enter() *linkset {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set.users.Add(1)
	return c.set
}

// WantMachines tells whether a policy of the chain reads the list of machines, which costs more than all else in a snapshot.
func (c *Chain) WantMachines() bool {
	return slices.ContainsFunc(c.Links(), func(l Link) bool { return l.Missing == "" && l.Module.Describe().WantMachines })
}

// Decide asks each policy in turn, with the proposals so far in the snapshot, and returns what the chain as a whole decided. A policy
// that fails is skipped with its reason: the chain goes on with the proposal of those before it. It takes as long as the policies do,
// each within its deadline, and can't fail: without any proposal the runner's own settings hold. Those in shadow are asked afterwards.
//
// The snapshot's Config, State, Observed, History and Proposal are the chain's to fill in; to Zones it adds those that a policy's own
// configuration names.
func (c *Chain) Decide(ctx context.Context, s abi.Snapshot) fleet.Decision {
	set := c.enter()
	defer set.users.Done()
	d := fleet.Decision{At: time.UnixMilli(s.NowUnixMS).UTC(), Steps: make([]fleet.Step, 0, len(set.links))}
	s.ABI = abi.Version
	var merged abi.Proposal
	var shadows []shadow
	now := &seen{snapshot: s}
	for _, link := range set.links {
		if link.Shadow {
			shadows = append(shadows, shadow{link, merged})
			continue
		}
		step := c.step(ctx, link, s, merged)
		if step.Err == "" {
			merged = merge(merged, step.Proposal)
		} else {
			d.NoGrowth = d.NoGrowth || link.Required
		}
		d.Steps = append(d.Steps, step)
		now.trail = append(now.trail, mark{link.Position, merged})
	}
	conclude(&d, merged, s.Runner)
	c.note(d, now)
	c.ask(ctx, set, s, shadows)
	return d
}

// step asks one policy, unless it is in quarantine, and takes note of how it went.
func (c *Chain) step(ctx context.Context, link Link, s abi.Snapshot, sofar abi.Proposal) fleet.Step {
	step := fleet.Step{Module: link.Name}
	if link.Missing != "" {
		step.Err = link.Name + ": " + link.Missing
		return step
	}
	state, why := c.recall(link)
	if why != "" {
		step.Err = why
		return step
	}
	start := time.Now()
	p, u, err := c.propose(ctx, link, s, sofar, state)
	step.Duration, step.Fuel = time.Since(start), u.Fuel
	if err != nil {
		step.Err = err.Error()
	} else {
		step.Proposal = p
	}
	c.remember(ctx, link, p, err)
	return step
}

// propose calls one policy and returns its proposal, checked. It changes nothing.
func (c *Chain) propose(ctx context.Context, link Link, s abi.Snapshot, sofar abi.Proposal, state string) (abi.Proposal, Usage, error) {
	s.Config, s.State, s.Proposal = link.Config, state, sofar
	s.Zones = link.zones.add(s.Zones, time.UnixMilli(s.NowUnixMS))
	d := link.Module.Describe()
	if !d.WantMachines {
		s.Machines = nil
	}
	if c.o.Observed != nil {
		if data, at := c.o.Observed(link.Name); len(data) > 0 {
			s.Observed, s.ObservedAgeS = data, max(time.UnixMilli(s.NowUnixMS).Sub(at).Seconds(), 0)
		}
	}
	if d.WantHistory != nil && c.o.History != nil {
		s.History = c.o.History(time.UnixMilli(s.NowUnixMS), *d.WantHistory)
	}
	return proposeMeasured(ctx, link.Module, s)
}

// skipped lists the modules that failed, with their reasons, for people; "" when none did.
func skipped(steps []fleet.Step) string {
	var out []string
	for _, s := range steps {
		if s.Err != "" {
			out = append(out, s.Err)
		}
	}
	return strings.Join(out, "; ")
}
