package main

import (
	"math"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// FreeTarget returns how many slots to hold free while used slots run jobs.
//
// All are counts; a negative one counts as 0. With a scale factor the product of it and used is rounded up after taking off 1e-9, the noise
// of binary fractions, and no more than the limit, where that is above 0; the greater of it and idle_count counts. A factor that is negative,
// infinite or no number counts as off. The result lies in 0..1,000,000, more than which the host does not count. It cannot fail.
//
// Source: GitLab Runner documentation, "The [[runners.autoscaler.policy]] sections", whose text says "minimum" where its table says "on
// top of"; GitLab Runner's code takes the greater.
func FreeTarget(used int, p abi.InstancePolicy) int {
	least := min(max(p.IdleCount, 0), most)
	if !on(p.ScaleFactor) {
		return least
	}
	return max(least, scale(used, p))
}

// most is the greatest number that the host counts.
const most = 1_000_000

// on tells whether the factor takes part.
func on(factor float64) bool { return factor > 0 && !math.IsInf(factor, 1) }

// scale rounds used times the factor up, to 0..limit. The conversion happens below the limit, so that it cannot overflow.
func scale(used int, p abi.InstancePolicy) int {
	limit := most
	if p.ScaleFactorLimit > 0 {
		limit = min(p.ScaleFactorLimit, most)
	}
	product := math.Ceil(float64(max(used, 0))*p.ScaleFactor - 1e-9)
	if product >= float64(limit) {
		return limit
	}
	return int(product)
}

// Instances returns how many machines hold those slots, those that are being removed left out: as many as there are, and those that are missing
// or less those that are spare. Jobs that wait come on top; a reservation sits on a slot that counts as free. Machines that are being
// removed count for the bound of max_instances.
func Instances(free int, s abi.Snapshot) int {
	settings, slots := s.Runner.Instances, slotsOf(s)
	per := max(settings.CapacityPerInstance, 1)
	if settings.MaxUseCount > 0 {
		per = min(per, settings.MaxUseCount)
	}
	removing := count(s.Fleet.Removing) + count(s.Fleet.Stuck)
	n := max(count(s.Fleet.Total)-removing, 0)
	missing := count(s.Demand.Waiting) + max(free, slots.Reserved) - slots.Creating - slots.Free - slots.Reserved
	if missing > 0 {
		n += (missing-1)/per + 1
	} else {
		n -= min(-missing/per, n)
	}
	if settings.MaxInstances > 0 {
		n = min(n, max(settings.MaxInstances-removing, 0))
	}
	return n
}

// count is n within 0..1,000,000.
func count(n int) int { return min(max(n, 0), most) }

// slotsOf returns the snapshot's slots, each within 0..1,000,000.
func slotsOf(s abi.Snapshot) abi.Slots {
	if s.Slots == nil {
		return abi.Slots{}
	}
	have := *s.Slots
	for _, n := range []*int{&have.Creating, &have.Free, &have.Reserved, &have.Used, &have.Unavailable} {
		*n = count(*n)
	}
	return have
}
