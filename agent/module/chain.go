package module

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// defaultPosition is that of a policy that names none: after the built-in ones.
const defaultPosition = 100

// Link is one policy of a chain.
type Link struct {
	Module   *Module
	Position int     // place in the chain, lowest first; 0 takes what describe says
	Config   abi.Raw // the module's own configuration for this runner
	Required bool    // its failure stops growth instead of being skipped
}

// Chain runs the policies of one runner in order and keeps each one's state between decisions. It is safe for concurrent use, but
// decisions of one runner are meant to come one after the other.
type Chain struct {
	links  []Link
	logger *slog.Logger

	mu     sync.Mutex // guards what follows
	states []string   // of each link
	faults []string   // of each link, what was logged last
}

// NewChain puts links in order of position; links of one position stay in the order in which they came. A module that is no policy is
// refused.
func NewChain(logger *slog.Logger, links ...Link) (*Chain, error) {
	links = slices.Clone(links)
	for i := range links {
		d := links[i].Module.Describe()
		if d.Kind != abi.KindPolicy {
			return nil, fmt.Errorf("module %s: is a %s and can't be in a chain of policies; name it as MachineDriver", d.Name, d.Kind)
		}
		if links[i].Position == 0 {
			links[i].Position = cmp.Or(d.Position, defaultPosition)
		}
	}
	slices.SortStableFunc(links, func(a, b Link) int { return cmp.Compare(a.Position, b.Position) })
	return &Chain{links: links, logger: logger, states: make([]string, len(links)), faults: make([]string, len(links))}, nil
}

// BuiltinChain loads the built-in policies and puts them into a chain: periods, then idlescale, which decide as GitLab does.
func (h *Host) BuiltinChain(ctx context.Context) (*Chain, error) {
	names := []string{"periods", "idlescale"}
	if err := h.Preload(ctx, names...); err != nil {
		return nil, err
	}
	links := make([]Link, 0, len(names))
	for _, name := range names {
		m, err := h.Builtin(ctx, name)
		if err != nil {
			return nil, err
		}
		links = append(links, Link{Module: m})
	}
	return NewChain(h.logger, links...)
}

// WantMachines tells whether a policy of the chain reads the list of machines, which costs more than all else in a snapshot.
func (c *Chain) WantMachines() bool {
	return slices.ContainsFunc(c.links, func(l Link) bool { return l.Module.Describe().WantMachines })
}

// Decide asks each policy in turn, with the proposals so far in the snapshot, and returns what the chain as a whole decided. A policy
// that fails is skipped with its reason: the chain goes on with the proposal of those before it. It takes as long as the policies do,
// each within its deadline, and can't fail: without any proposal the runner's own settings hold.
//
// The snapshot's Config, State and Proposal are the chain's to fill in.
func (c *Chain) Decide(ctx context.Context, s abi.Snapshot) fleet.Decision {
	d := fleet.Decision{At: time.UnixMilli(s.NowUnixMS).UTC(), Steps: make([]fleet.Step, 0, len(c.links))}
	s.ABI = abi.Version
	var merged abi.Proposal
	for i, link := range c.links {
		start := time.Now()
		step := fleet.Step{Module: link.Module.Name()}
		p, err := c.ask(ctx, i, s, merged)
		step.Duration = time.Since(start)
		if err != nil {
			step.Err = err.Error()
			d.NoGrowth = d.NoGrowth || link.Required
		} else {
			step.Proposal = p
			merged = merge(merged, p)
		}
		c.report(ctx, i, step)
		d.Steps = append(d.Steps, step)
	}
	conclude(&d, merged, s.Runner)
	return d
}

// ask calls one policy and takes its proposal, checked.
func (c *Chain) ask(ctx context.Context, i int, s abi.Snapshot, sofar abi.Proposal) (abi.Proposal, error) {
	link := c.links[i]
	c.mu.Lock()
	s.State = c.states[i]
	c.mu.Unlock()
	s.Config, s.Proposal = link.Config, sofar
	if !link.Module.Describe().WantMachines {
		s.Machines = nil
	}
	input, err := json.Marshal(s)
	if err != nil {
		return abi.Proposal{}, fmt.Errorf("snapshot: %w", err)
	}
	out, err := link.Module.Call(ctx, abi.ExportDecide, input)
	if err != nil {
		return abi.Proposal{}, err
	}
	var p abi.Proposal
	if err = json.Unmarshal(out, &p); err == nil {
		err = check(&p)
	}
	if err != nil {
		return abi.Proposal{}, &Error{Module: link.Module.Name(), Export: abi.ExportDecide, Cause: CauseOutput, Text: "returned a bad proposal: " + err.Error()}
	}
	if p.State != nil {
		c.mu.Lock()
		c.states[i] = *p.State
		c.mu.Unlock()
	}
	return p, nil
}

// report logs a policy that begins to fail, fails in another way, or works again, once each.
func (c *Chain) report(ctx context.Context, i int, step fleet.Step) {
	c.mu.Lock()
	before := c.faults[i]
	c.faults[i] = step.Err
	c.mu.Unlock()
	if before == step.Err || ctx.Err() != nil {
		return
	}
	if step.Err == "" {
		c.logger.InfoContext(ctx, "policy works again", "policy", step.Module)
		return
	}
	consequence := "keeping the proposal of those before it"
	if c.links[i].Required {
		consequence = "no machine is created while it fails, since it is required"
	}
	c.logger.WarnContext(ctx, "policy skipped", "policy", step.Module, "reason", step.Err, "consequence", consequence)
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

var errNegative = errors.New("is negative; use 0 or more")
