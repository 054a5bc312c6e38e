package module

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/rules"
)

// check refuses a proposal that makes no sense and cuts what is merely too large. The plan's guard rails come after it.
func check(p *abi.Proposal) error {
	if problems := rules.Problems(*p); len(problems) > 0 {
		return problems[0]
	}
	*p, _ = rules.Cut(*p)
	return nil
}

// merge lays next over the proposals so far: what next leaves out is inherited. State and metrics are each module's own and go
// no further.
func merge(sofar, next abi.Proposal) abi.Proposal {
	out := abi.Proposal{
		Settings:    mergeSettings(sofar.Settings, next.Settings),
		GrowthLimit: either(next.GrowthLimit, sofar.GrowthLimit),
		NoGrowth:    sofar.NoGrowth || next.NoGrowth,
		MaxBuilds:   either(next.MaxBuilds, sofar.MaxBuilds),
		AskAgainS:   either(next.AskAgainS, sofar.AskAgainS),
		Remove:      sofar.Remove,
		NextMachine: sofar.NextMachine,
		Reason:      sofar.Reason,
	}
	mergeTarget(&out, sofar, next)
	if next.Remove != nil {
		out.Remove = next.Remove
	}
	if next.NextMachine != nil {
		out.NextMachine = next.NextMachine
	}
	if next.Reason != "" {
		out.Reason = next.Reason
	}
	return out
}

// mergeTarget merges the target, which may be in machines, in slots or in both. A number that next changes takes back the other one, unless
// next gives both. A target that becomes 0 takes back that jobs wait for a free slot: none would ever come.
func mergeTarget(out *abi.Proposal, sofar, next abi.Proposal) {
	out.IdleTarget, out.IdleSlots, out.Preemptive = sofar.IdleTarget, sofar.IdleSlots, sofar.Preemptive
	machines, slots := changes(next.IdleTarget, sofar.IdleTarget), changes(next.IdleSlots, sofar.IdleSlots)
	if machines {
		out.IdleTarget, out.IdleSlots = next.IdleTarget, next.IdleSlots
	}
	if slots {
		out.IdleTarget, out.IdleSlots = next.IdleTarget, next.IdleSlots
	}
	if now := either(out.IdleSlots, out.IdleTarget); (machines || slots) && now != nil && *now == 0 {
		out.Preemptive = nil
	}
	out.Preemptive = either(next.Preemptive, out.Preemptive)
}

// changes tells whether a number that a module gives is another one than that so far.
func changes(next, sofar *int) bool { return next != nil && (sofar == nil || *next != *sofar) }

func mergeSettings(sofar, next *abi.Settings) *abi.Settings {
	switch {
	case next == nil:
		return sofar
	case sofar == nil:
		return next
	}
	return &abi.Settings{
		IdleCount:       either(next.IdleCount, sofar.IdleCount),
		IdleCountMin:    either(next.IdleCountMin, sofar.IdleCountMin),
		IdleScaleFactor: either(next.IdleScaleFactor, sofar.IdleScaleFactor),
		IdleTimeS:       either(next.IdleTimeS, sofar.IdleTimeS),
	}
}

// either returns the first of two optional values that is there.
func either[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// conclude turns the merged proposals into the decision. What no policy proposed follows from the runner's settings.
func conclude(d *fleet.Decision, p abi.Proposal, r abi.RunnerSettings) {
	if r.Instances != nil {
		r.IdleTimeS = unscheduledIdleS
	}
	settings := mergeSettings(&abi.Settings{
		IdleCount: &r.IdleCount, IdleCountMin: &r.IdleCountMin, IdleScaleFactor: &r.IdleScaleFactor, IdleTimeS: &r.IdleTimeS,
	}, p.Settings)
	d.IdleTime = seconds(float64(*settings.IdleTimeS))
	d.Remove, d.NextMachine, d.Reason = p.Remove, p.NextMachine, p.Reason
	d.NoGrowth = d.NoGrowth || p.NoGrowth
	if p.GrowthLimit != nil {
		d.GrowthLimit = *p.GrowthLimit
	}
	if p.MaxBuilds != nil {
		d.MaxBuilds = *p.MaxBuilds
	}
	if p.AskAgainS != nil {
		d.AskAgain = seconds(*p.AskAgainS)
	}
	switch {
	case r.Instances != nil:
		concludeSlots(d, p, *r.Instances)
	case p.IdleTarget != nil:
		d.IdleTarget = *p.IdleTarget
	default:
		d.IdleTarget, d.Reason = fallback(settings)
	}
	if words := skipped(d.Steps); words != "" {
		d.Reason = strings.TrimPrefix(d.Reason+"; ", "; ") + "skipped: " + words
	}
}

// unscheduledIdleS is the idle time of a runner with [runners.autoscaler] while none of its policy sections counts, in seconds.
// Source: GitLab Runner, the same policy of its Kubernetes executor.
const unscheduledIdleS = 300

// concludeSlots is the target of a runner with [runners.autoscaler], in slots. Without a proposal none is held, and machines are made for the
// jobs that come.
func concludeSlots(d *fleet.Decision, p abi.Proposal, i abi.InstanceSettings) {
	d.Preemptive = p.Preemptive
	switch {
	case p.IdleSlots != nil:
		d.IdleTarget = *p.IdleSlots
	case p.IdleTarget != nil:
		d.IdleTarget = *p.IdleTarget * min(max(i.CapacityPerInstance, 1), rules.MaxNumber)
	default:
		d.Reason = "no policy proposed a target, so no slot is held free: instances are made when jobs come"
	}
}

// fallback is the target when no policy gives one: IdleCount, or with a scale factor its lower end, since too few idle machines make
// jobs wait while too many cost money.
func fallback(s *abi.Settings) (int, string) {
	if *s.IdleScaleFactor > 0 {
		n := min(max(*s.IdleCountMin, 1), *s.IdleCount)
		return n, fmt.Sprintf("no policy proposed a target, so %d is held: IdleCountMin, while IdleScaleFactor can't be applied", n)
	}
	return *s.IdleCount, fmt.Sprintf("no policy proposed a target, so IdleCount holds: %d", *s.IdleCount)
}

// seconds turns a count of seconds, 0 or more, into a duration that can't overflow.
func seconds(s float64) time.Duration {
	return time.Duration(math.Min(s, rules.MaxNumber*1000) * float64(time.Second))
}
