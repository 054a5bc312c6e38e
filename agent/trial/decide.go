package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
	"github.com/millwright-ci/millwright/sdk/go/policy/sample"
)

// valid asks the policy on every sample and notes what would become of each proposal. On the most ordinary day it must propose something that the
// host takes; on others it may report a failure, as a required policy does to stop growth, and must not break. It returns whether decide works at all.
func (t *trial) valid(ctx context.Context, samples []sample.Sample) bool {
	good := 0
	for i, s := range samples {
		what := "valid: " + s.Name
		p, err := t.decide(ctx, s.Snapshot)
		switch {
		case crashed(err) || err != nil && i == 0:
			t.failed(what, err)
			continue
		case err == nil && p.IdleTarget != nil && p.Reason == "":
			t.failed(what, errors.New("it proposes a target without a reason; say why in one line, with the numbers"))
		case err == nil && rules.Wordy(p.Reason) != nil:
			t.failed(what, rules.Wordy(p.Reason))
		default:
			good++
		}
		switch {
		case s.Odd:
		case err != nil:
			t.report.Outcomes = append(t.report.Outcomes, Outcome{Snapshot: s.Name, Rails: []fleet.Rail{}, Error: err.Error()})
		default:
			t.report.Outcomes = append(t.report.Outcomes, outcome(t.m.Describe().Name, s, p))
		}
	}
	if good == len(samples) {
		t.passed("valid", fmt.Sprintf("it answers %d snapshots with what the host takes", good))
	}
	return good > 0
}

// decide asks on one snapshot; what the host would refuse is an error.
func (t *trial) decide(ctx context.Context, s abi.Snapshot) (abi.Proposal, error) {
	var p abi.Proposal
	input, err := json.Marshal(s)
	if err != nil {
		return p, err
	}
	out, _, err := t.call(ctx, abi.ExportDecide, input)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(out, &p); err != nil {
		return p, fmt.Errorf("%.200s: is no proposal: %w", out, err)
	}
	return p, errors.Join(rules.Problems(p)...)
}

// answer is what a call gave, its failure included.
type answer struct {
	out []byte
	err string
}

func (a answer) equal(b answer) bool { return bytes.Equal(a.out, b.out) && a.err == b.err }

func (a answer) String() string {
	if a.err != "" {
		return fmt.Sprintf("the error %q", a.err)
	}
	return fmt.Sprintf("%.400s", a.out)
}

// same asks for every sample in a fresh instance, at once again, and once more in the opposite order: what depends on more than the snapshot shows.
func (t *trial) same(ctx context.Context, samples []sample.Sample) {
	ask := func(s abi.Snapshot) answer {
		input, err := json.Marshal(s)
		if err != nil {
			return answer{err: err.Error()}
		}
		out, _, err := t.call(ctx, abi.ExportDecide, input)
		if err != nil {
			return answer{err: err.Error()}
		}
		return answer{out: out}
	}
	first := map[string]answer{}
	ok := true
	differs := func(name, how string, was, is answer) {
		if was.equal(is) {
			return
		}
		ok = false
		t.failed("the same: "+name, fmt.Errorf("%s it answers otherwise; use state to remember something\n  first %s\n  then  %s", how, was, is))
	}
	for _, s := range samples {
		t.m.Renew()
		first[s.Name] = ask(s.Snapshot)
		differs(s.Name, "asked twice on the same snapshot", first[s.Name], ask(s.Snapshot))
	}
	for _, s := range slices.Backward(samples) {
		differs(s.Name, "asked after other snapshots", first[s.Name], ask(s.Snapshot))
	}
	if ok {
		t.passed("the same", "to the byte: asked twice, in a fresh instance, and in another order")
	}
}

// minutes is for how long the policy's state is handed back to it.
const minutes = 100

// remembers hands the policy's state back to it, minute after minute, as the host does.
func (t *trial) remembers(ctx context.Context, s abi.Snapshot) {
	const what = "reads its own state"
	most := -1
	for i := range minutes {
		p, err := t.decide(ctx, s)
		if err != nil {
			t.failed(what, fmt.Errorf("minute %d: %w; its state was %.200q", i+1, err, s.State))
			return
		}
		if p.State != nil {
			s.State = *p.State
			most = max(most, len(s.State))
		}
		sample.Later(&s)
	}
	detail := "it keeps none"
	if most >= 0 {
		detail = fmt.Sprintf("for %d minutes; %d bytes at most", minutes, most)
	}
	t.passed(what, detail)
}

const (
	timed     = 200 // decisions to take the time of
	timeShare = 4   // of the deadline, that nineteen decisions of twenty must stay below
)

// inTime takes the time of decisions on an ordinary day.
func (t *trial) inTime(ctx context.Context, samples []sample.Sample) {
	const what = "in time"
	input, err := json.Marshal(samples[0].Snapshot)
	if err != nil {
		t.failed(what, err)
		return
	}
	b, err := t.measure(ctx, input, timed)
	deadline := t.m.Limits().DecideTime
	if limit := deadline / timeShare; err == nil && b.P95 > limit {
		err = fmt.Errorf("%s for nineteen decisions of twenty; keep below %s, a quarter of the deadline", round(b.P95), limit)
	}
	if err != nil {
		t.failed(what, err)
		return
	}
	t.passed(what, fmt.Sprintf("%d decisions: p50 %s, p95 %s, slowest %s, of %s", timed, round(b.P50), round(b.P95), round(b.Max), deadline.Round(time.Millisecond)))
}
