package main

import (
	"math"
	"strconv"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// idleScale proposes how many machines to hold available (creating, idle and acquired together).
type idleScale struct{}

// Describe places the policy after periods, whose settings it reads.
func (idleScale) Describe() abi.Describe {
	return abi.Describe{
		Name:     "idlescale",
		Summary:  "holds IdleCount machines available, or IdleScaleFactor times the used ones between IdleCountMin and IdleCount",
		Position: 20,
	}
}

// Decide reads the settings that the modules before proposed, else the runner's own, and the number of used machines.
func (idleScale) Decide(s abi.Snapshot) (abi.Proposal, error) {
	maximum, minimum, factor := s.Runner.IdleCount, s.Runner.IdleCountMin, s.Runner.IdleScaleFactor
	if p := s.Proposal.Settings; p != nil {
		maximum = value(p.IdleCount, maximum)
		minimum = value(p.IdleCountMin, minimum)
		factor = value(p.IdleScaleFactor, factor)
	}
	target := IdleTarget(s.Fleet.Used, minimum, maximum, factor)
	return abi.Proposal{IdleTarget: &target, Reason: reason(s.Fleet.Used, minimum, maximum, factor, target)}, nil
}

func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// reason shows the way to target in numbers.
func reason(used, minimum, maximum int, factor float64, target int) string {
	result := "hold " + plural(target, "machine") + " available"
	limit := "IdleCount " + strconv.Itoa(maximum)
	switch {
	case maximum <= 0:
		return limit + ": machines are created when jobs ask for them"
	case !on(factor):
		return limit + ": " + result
	}
	product := strconv.Itoa(used) + " used × " + number(factor) + " = " + number(float64(used)*factor)
	least := max(minimum, 1)
	scaled := scale(used, factor, maximum)
	switch {
	case least >= maximum && scaled < maximum:
		product += ", but the least is " + strconv.Itoa(least) + " and " + limit + " caps it"
	case scaled < least && minimum >= 1:
		product += ", raised to IdleCountMin " + strconv.Itoa(minimum)
	case scaled < least:
		product += ", raised to 1, the least with a factor"
	case float64(used)*factor >= float64(maximum)+1:
		product += ", capped by " + limit
	case math.Abs(float64(used)*factor-float64(scaled)) > 1e-6: // below that it is the noise of binary fractions
		product += ", rounded down"
	}
	return product + ": " + result
}

// number writes f with at most six digits, so that the noise of binary fractions stays out of sight.
func number(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
