package module

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Propose asks a policy for its proposal on s as it stands, and checks the answer as the chain does. It changes nothing.
func Propose(ctx context.Context, m *Module, s abi.Snapshot) (abi.Proposal, error) {
	p, _, err := proposeMeasured(ctx, m, s)
	return p, err
}

func proposeMeasured(ctx context.Context, m *Module, s abi.Snapshot) (p abi.Proposal, u Usage, err error) {
	input, err := json.Marshal(s)
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

// Validate asks a policy what is wrong with its configuration. One without the export finds nothing.
func Validate(ctx context.Context, m *Module, config abi.Raw) ([]abi.Problem, error) {
	if !m.Exports(abi.ExportValidate) {
		return nil, nil
	}
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
	for i, p := range res.Problems {
		res.Problems[i] = abi.Problem{Option: sentence(p.Option), Message: sentence(p.Message), Warning: p.Warning}
	}
	return res.Problems, nil
}

// Try asks a link on the snapshot that the chain saw last, with what its name remembers and what the policies before its position
// proposed, and keeps nothing of it. Before the first decision there is nothing to try on. What the policy reports by itself is a
// failure only if the policy of that name in the chain works.
func (c *Chain) Try(ctx context.Context, link Link) error {
	link.Name = cmp.Or(link.Name, link.Module.Name())
	link.Position = cmp.Or(link.Position, link.Module.Describe().Position, defaultPosition)
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
	s := Fixture(m.Describe())
	s.Config = config
	_, err := Propose(ctx, m, s)
	var e *Error
	if errors.As(err, &e) && e.Cause == CauseReported {
		return nil
	}
	return err
}

// fixtureTime is noon of a Monday in winter.
var fixtureTime = time.Date(2024, 1, 15, 12, 0, 0, 0, time.UTC)

// Fixture is a snapshot of an ordinary day, with as much in it as the description asks for. It is always the same.
func Fixture(d abi.Describe) abi.Snapshot {
	now := fixtureTime
	s := abi.Snapshot{
		ABI: abi.Version, Now: now.Format(time.RFC3339Nano), NowUnixMS: now.UnixMilli(),
		Zones: []abi.Zone{
			{Name: "Local", Local: "2024-01-15T12:00:00Z"},
			{Name: "UTC", Local: "2024-01-15T12:00:00Z"},
		},
		Runner: abi.RunnerSettings{
			Name: "fixture", Limit: 50, Concurrent: 100, IdleCount: 10, IdleCountMin: 2, IdleScaleFactor: 1.5, IdleTimeS: 600,
			MaxGrowthRate: 5, MaxBuilds: 20,
			Autoscaling: []abi.PeriodsSettings{
				{Periods: []string{"* * 9-17 * * mon-fri *"}, Timezone: "UTC", IdleCount: 10, IdleCountMin: 2, IdleScaleFactor: 1.5, IdleTimeS: 1800},
				{Periods: []string{"* * * * * sat,sun *"}, Timezone: "UTC", IdleCount: 1, IdleTimeS: 60},
			},
		},
		Fleet: abi.Counts{Creating: 1, Idle: 3, Used: 4, Available: 4, Total: 8},
		Demand: abi.Demand{Running: 4, Waiting: 1, Windows: []abi.Window{
			{Seconds: 60, Arrivals: 2}, {Seconds: 300, Arrivals: 8, Finished: 7, MeanDuration: 170},
			{Seconds: 900, Arrivals: 23, Finished: 21, MeanDuration: 175}, {Seconds: 3600, Arrivals: 90, Finished: 85, MeanDuration: 181.5},
		}},
		Failures: []abi.Failure{{Kind: abi.Capacity, Count: 1, AgeS: 1800}},
	}
	if d.WantMachines {
		s.Machines = []abi.MachineView{
			{Name: "fixture-1", State: "idle", AgeS: 4000, IdleS: 700, UsedCount: 3}, {Name: "fixture-2", State: "idle", AgeS: 900, IdleS: 60, UsedCount: 1},
			{Name: "fixture-3", State: "idle", AgeS: 400, IdleS: 400}, {Name: "fixture-4", State: "creating", AgeS: 20}, {Name: "fixture-5", State: "used", AgeS: 5000, UsedCount: 9},
			{Name: "fixture-6", State: "used", AgeS: 3000, UsedCount: 4}, {Name: "fixture-7", State: "used", AgeS: 700, UsedCount: 1}, {Name: "fixture-8", State: "used", AgeS: 650, UsedCount: 1},
		}
	}
	if d.WantHistory != nil {
		s.History = fixtureHistory(*d.WantHistory)
	}
	return s
}

// fixtureHistory is a past of busy working hours and quiet nights.
func fixtureHistory(wish abi.HistoryWish) *abi.History {
	step := time.Duration(wish.StepS) * time.Second
	from := fixtureTime.Truncate(step).Add(-time.Duration(wish.Points) * step)
	h := &abi.History{FromUnixMS: from.UnixMilli(), StepS: wish.StepS}
	for i := range wish.Points {
		at := from.Add(time.Duration(i) * step)
		jobs := 1
		if at.Hour() >= 8 && at.Hour() < 18 && at.Weekday() != time.Saturday && at.Weekday() != time.Sunday {
			jobs = 8
		}
		h.Minutes = append(h.Minutes, wish.StepS/60)
		h.Arrivals = append(h.Arrivals, jobs*wish.StepS/120)
		h.Finished = append(h.Finished, jobs*wish.StepS/120)
		h.Running = append(h.Running, float64(jobs))
		h.RunningMax = append(h.RunningMax, jobs+1)
		h.WaitingMax = append(h.WaitingMax, 1)
		h.Available = append(h.Available, 2)
		h.Total = append(h.Total, float64(jobs+2))
	}
	return h
}
