package main

import (
	"math"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/calendar"
)

// restIdleS is the idle time, in seconds, while no section counts.
// Source: GitLab Runner, the same policy of its Kubernetes executor.
const restIdleS = 300

// instances proposes how many slots to hold free, for how long one that is too many stays, and whether jobs wait for a free one.
type instances struct{}

// Describe places the policy where idlescale stands for docker+machine, so that what comes before or after that does so here too.
func (instances) Describe() abi.Describe {
	return abi.Describe{
		Name:     "instances",
		Summary:  "holds idle_count slots free, or scale_factor times those in use, as the policy sections of [runners.autoscaler] say by the time of day",
		Position: 20,
	}
}

// Decide proposes nothing for a runner of docker+machine. An expression that cannot be read and a zone that the snapshot lacks are skipped
// and named in the reason; they are no error, so that one bad section does not switch off the others. Settings that modules before
// proposed win over the section.
//
// Source: GitLab Runner documentation, "The [[runners.autoscaler.policy]] sections": when several match, the last one counts.
func (instances) Decide(s abi.Snapshot) (abi.Proposal, error) {
	if s.Runner.Instances == nil {
		return abi.Proposal{Reason: "the runner has no [runners.autoscaler]: nothing to decide"}, nil
	}
	c := choose(s)
	p := overridden(c.section, s.Proposal.Settings)
	used := slotsOf(s).Used
	free := FreeTarget(used, p)
	machines := ceilDiv(free, max(s.Runner.Instances.CapacityPerInstance, 1))
	desired := Instances(free, s)
	out := abi.Proposal{
		Settings:   &abi.Settings{IdleTimeS: &p.IdleTimeS},
		IdleTarget: &machines, IdleSlots: &free, Preemptive: &p.PreemptiveMode,
		Metrics: map[string]float64{"desired_instances": float64(desired)},
		Reason:  strings.Join(append([]string{c.why + ": " + words(used, free, p) + plural(desired, "instance")}, c.skipped...), "; "),
	}
	if len(s.Runner.Instances.Policy) > 0 {
		askAgain := float64(c.nextMS) / 1000
		out.AskAgainS = &askAgain
	}
	return out, nil
}

// choice is the section that counts now.
type choice struct {
	section abi.InstancePolicy
	why     string
	nextMS  int64    // milliseconds until another one may
	skipped []string // what could not be read
}

// choose looks for the last section that is active. None: no slots are held free.
func choose(s abi.Snapshot) choice {
	c := choice{section: abi.InstancePolicy{IdleTimeS: restIdleS}, why: "no policy section is active", nextMS: calendar.LongestWaitMS}
	for i, section := range s.Runner.Instances.Policy {
		name := "policy[" + strconv.Itoa(i) + "]"
		zone, ok := calendar.Find(s.Zones, section.Timezone)
		if !ok {
			c.skipped = append(c.skipped, name+": its time zone `"+section.Timezone+"` is unknown, so it is skipped")
			continue
		}
		found := calendar.Cron.Look(zone, section.Periods, s.NowUnixMS)
		c.nextMS = min(c.nextMS, found.NextMS)
		for _, problem := range found.Problems {
			c.skipped = append(c.skipped, name+": "+problem+", so it is skipped")
		}
		if found.Active != "" {
			c.section, c.why = section, name+" `"+found.Active+"` ("+zone.Name+") is active"
		}
	}
	return c
}

// overridden is the section with what modules before proposed instead, and without what the host would refuse. Where they want no slot
// free, jobs don't wait for one.
func overridden(p abi.InstancePolicy, settings *abi.Settings) abi.InstancePolicy {
	if settings != nil {
		if settings.IdleCount != nil {
			p.IdleCount = *settings.IdleCount
			p.PreemptiveMode = p.PreemptiveMode && p.IdleCount > 0
		}
		p.ScaleFactor = value(settings.IdleScaleFactor, p.ScaleFactor)
		p.IdleTimeS = value(settings.IdleTimeS, p.IdleTimeS)
	}
	p.IdleCount, p.IdleTimeS = max(p.IdleCount, 0), max(p.IdleTimeS, 0)
	return p
}

func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// words shows the way to the free slots in numbers.
func words(used, free int, p abi.InstancePolicy) string {
	text := ""
	if product := float64(used) * p.ScaleFactor; on(p.ScaleFactor) {
		text = strconv.Itoa(used) + " in use × " + number(p.ScaleFactor) + " = " + number(product)
		switch scaled := scale(used, p); {
		case free > scaled:
			text += ", raised to idle_count " + strconv.Itoa(p.IdleCount)
		case p.ScaleFactorLimit > 0 && product > float64(scaled)+1e-6:
			text += ", capped by scale_factor_limit " + strconv.Itoa(p.ScaleFactorLimit)
		case math.Abs(product-float64(scaled)) > 1e-6: // below that it is the noise of binary fractions
			text += ", rounded up"
		}
		text += ", "
	}
	if free == 0 && !p.PreemptiveMode {
		return text + "no slot is held free and instances are made when jobs come, "
	}
	return text + plural(free, "slot") + " free beside " + strconv.Itoa(used) + " in use, "
}

// number writes f with at most six digits, so that the noise of binary fractions stays out of sight.
func number(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// ceilDiv divides, neither being below 0, and rounds up.
func ceilDiv(a, b int) int {
	if a == 0 {
		return 0
	}
	return (a-1)/b + 1
}
