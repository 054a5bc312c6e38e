package main

import (
	"strings"
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
		expr, problem := parse(text)
		if problem != "" {
			res.problems = append(res.problems, problem)
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

// parsed keeps what parse returned, since expressions stay the same from one decision to the next and reading one takes longer than all
// the rest. A module is called by one caller at a time.
var parsed = map[string]reading{}

// mostParsed bounds parsed: a configuration that is changed all day must not fill the memory.
const mostParsed = 256

// reading is an expression, or what is wrong with it.
type reading struct {
	expr    period.Expr
	problem string
}

// parse reads an expression. The problem is "" when it could.
func parse(text string) (period.Expr, string) {
	if known, ok := parsed[text]; ok {
		return known.expr, known.problem
	}
	var res reading
	expr, err := period.Parse(text)
	if err != nil {
		res.problem = err.Error()
	} else {
		res.expr = expr
	}
	if len(parsed) == mostParsed {
		clear(parsed)
	}
	parsed[strings.Clone(text)] = res // text lies in the snapshot, which would stay with it
	return res.expr, res.problem
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
