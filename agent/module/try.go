package module

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
	"github.com/millwright-ci/millwright/sdk/go/policy/sample"
)

// Propose asks a policy for its proposal on s as it stands, and checks the answer as the chain does. It changes nothing.
func Propose(ctx context.Context, m *Module, s abi.Snapshot) (abi.Proposal, error) {
	p, _, err := proposeMeasured(ctx, m, s)
	return p, err
}

func proposeMeasured(ctx context.Context, m *Module, s abi.Snapshot) (p abi.Proposal, u Usage, err error) {
	input, err := s.AppendJSON(make([]byte, 0, 4<<10+128*len(s.Machines)+len(s.Config)+len(s.State)+len(s.Observed)))
	if err != nil {
		return p, u, fmt.Errorf("snapshot: %w", err)
	}
	out, u, err := m.Measure(ctx, abi.ExportDecide, input, m.grants)
	if err != nil {
		return p, u, err
	}
	if err = json.Unmarshal(out, &p); err == nil {
		err = check(&p)
	}
	if err != nil {
		return abi.Proposal{}, u, &Error{Module: m.Name(), Export: abi.ExportDecide, Cause: CauseOutput, Text: "returned a bad proposal: " + err.Error()}
	}
	return p, u, nil
}

// Decided is the decision of a chain whose last policy, of that name, proposes p on s, over what s.Proposal holds. p is as the module gave it:
// what it has that is too large is cut, and cuts says so.
func Decided(name string, s abi.Snapshot, p abi.Proposal) (d fleet.Decision, cuts []rules.Change) {
	p, cuts = rules.Cut(p)
	d = fleet.Decision{At: time.UnixMilli(s.NowUnixMS).UTC(), Steps: []fleet.Step{{Module: name, Proposal: p}}}
	conclude(&d, merge(s.Proposal, p), s.Runner)
	return d, cuts
}

// Validate returns what is wrong with a policy's configuration, first by the schema that the policy describes; what passes that, by its
// validate. A policy with neither finds nothing.
func Validate(ctx context.Context, m *Module, config abi.Raw) ([]abi.Problem, error) {
	problems, err := m.schema.Check(config)
	if err == nil && len(problems) == 0 && m.Exports(abi.ExportValidate) {
		problems, err = validate(ctx, m, config)
	}
	if err != nil {
		return nil, err
	}
	for i, p := range problems {
		problems[i] = abi.Problem{Option: rules.Sentence(p.Option), Message: rules.Sentence(p.Message), Warning: p.Warning}
	}
	return problems, nil
}

func validate(ctx context.Context, m *Module, config abi.Raw) ([]abi.Problem, error) {
	input, err := json.Marshal(abi.ValidateRequest{ABI: abi.Version, Config: config})
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	out, err := m.Call(ctx, abi.ExportValidate, input)
	if err != nil {
		return nil, err
	}
	var res abi.ValidateResult
	if err := json.Unmarshal(out, &res); err != nil {
		return nil, &Error{Module: m.Name(), Export: abi.ExportValidate, Cause: CauseOutput, Text: "returned no result of the ABI: " + err.Error()}
	}
	return res.Problems, nil
}

// Try asks a link on the snapshot that the chain saw last, with what its name remembers and what the policies before its position
// proposed, and keeps nothing of it. Before the first decision there is nothing to try on. What the policy reports by itself is a
// failure only if the policy of that name in the chain works.
func (c *Chain) Try(ctx context.Context, link Link) error {
	link.Name = cmp.Or(link.Name, link.Module.Name())
	link.zones, _ = ConfigZones(link.Config)
	link.Position = cmp.Or(link.Position, link.Module.Describe().Position, DefaultPosition)
	c.mu.Lock()
	last := c.seen
	m := *c.memory(link.Name)
	works := false
	for _, l := range c.set.links {
		works = works || l.Name == link.Name && m.fault == ""
	}
	c.mu.Unlock()
	if last == nil {
		return nil
	}
	var sofar abi.Proposal
	for _, t := range last.trail {
		if t.position < link.Position {
			sofar = t.merged
		}
	}
	_, _, err := c.propose(ctx, link, last.snapshot, sofar, m.state)
	if err != nil && (counts(err) || works) {
		return err
	}
	return nil
}

// TryFixture asks a policy on a snapshot of an ordinary day. What the policy reports by itself is no failure: it may need a world that
// the fixture has not.
func TryFixture(ctx context.Context, m *Module, config abi.Raw) error {
	s := sample.Day(m.Describe())
	s.Config = config
	zones, err := ConfigZones(config)
	if err != nil {
		return err
	}
	s.Zones = zones.add(s.Zones, time.UnixMilli(s.NowUnixMS))
	_, err = Propose(ctx, m, s)
	var e *Error
	if errors.As(err, &e) && e.Cause == CauseReported {
		return nil
	}
	return err
}
