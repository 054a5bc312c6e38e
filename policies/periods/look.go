package main

import (
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/period"
)

// longestWaitMS is the longest time, in milliseconds, until the policy wants to be asked again.
const longestWaitMS = 24 * 3600 * 1000

// found is what the expressions of one section say.
type found struct {
	active   string   // the last expression that is active now; "" when none is
	nextMS   int64    // milliseconds until one of them may change
	problems []string // expressions that cannot be read
}

// look evaluates the expressions of one section at an instant, in milliseconds since 1970, on the wall clock of zone.
func look(zone abi.Zone, expressions []string, nowMS int64) found {
	res := found{nextMS: untilZoneChanges(zone, nowMS)}
	now := floorDiv(nowMS, 1000)
	local := now + int64(zone.OffsetS)
	for _, text := range expressions {
		expr, err := period.Parse(text)
		if err != nil {
			res.problems = append(res.problems, err.Error())
			continue
		}
		if expr.Matches(local) {
			res.active = text
		}
		change := expr.NextChange(local, longestWaitMS/1000) - int64(zone.OffsetS)
		res.nextMS = min(res.nextMS, change*1000-nowMS)
	}
	return res
}

// untilZoneChanges returns the milliseconds until the zone's offset changes, at most longestWaitMS.
func untilZoneChanges(zone abi.Zone, nowMS int64) int64 {
	if zone.NextChange == "" {
		return longestWaitMS
	}
	at, err := time.Parse(time.RFC3339, zone.NextChange)
	if err != nil || at.UnixMilli() <= nowMS {
		return longestWaitMS
	}
	return min(at.UnixMilli()-nowMS, longestWaitMS)
}

// floorDiv divides and rounds down, also below zero.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
