package main

import "math"

// IdleTarget returns how many machines to hold available while used machines run jobs.
//
// used, min (IdleCountMin) and max (IdleCount) are counts; a negative one counts as 0. factor (IdleScaleFactor) is available
// machines per used one; the product is rounded down after adding 1e-9; 0 turns it off and the target is max. With factor > 0, min
// counts as 1 at least. A factor that is negative, infinite or no number counts as off: IdleCount is what the operator surely
// allowed. The result lies in 0..max. It cannot fail.
// Source: GitLab Runner documentation, "The IdleScaleFactor strategy".
func IdleTarget(used, minimum, maximum int, factor float64) int {
	maximum = max(maximum, 0)
	if !on(factor) {
		return maximum
	}
	return min(maximum, max(minimum, 1, scale(used, factor, maximum)))
}

// on tells whether the factor takes part.
func on(factor float64) bool { return factor > 0 && !math.IsInf(factor, 1) }

// scale rounds used times factor down, to 0..most. The conversion happens below most, so that it cannot overflow.
func scale(used int, factor float64, most int) int {
	product := math.Floor(float64(max(used, 0))*factor + 1e-9)
	if product >= float64(most) {
		return most
	}
	return int(product)
}
