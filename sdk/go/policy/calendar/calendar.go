// Package calendar tells a policy which expressions of period are active at a snapshot's instant, and when that may change. It is pure but for
// the expressions that it has read, which it keeps.
package calendar

import (
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/period"
)

// LongestWaitMS is the longest time, in milliseconds, until a policy wants to be asked again.
const LongestWaitMS = 24 * 3600 * 1000

// Found is what the expressions of one section say.
type Found struct {
	Active   string   // the last expression that is active now; "" when none is
	NextMS   int64    // milliseconds until one of them may change
	Problems []string // expressions that cannot be read
}

// Find returns the zone of a section; no name and "Local" are the host's own.
func Find(zones []abi.Zone, name string) (abi.Zone, bool) {
	if name == "" {
		name = "Local"
	}
	for _, z := range zones {
		if z.Name == name {
			return z, true
		}
	}
	return abi.Zone{}, false
}

// Dialect is how expressions are written.
type Dialect int

// The dialects of GitLab's files.
const (
	Machine Dialect = iota // seven fields, of [[runners.machine.autoscaling]]
	Cron                   // unix cron's five, of [[runners.autoscaler.policy]]
)

// Look evaluates the expressions of one section at an instant, in milliseconds since 1970, on the wall clock of zone.
func (d Dialect) Look(zone abi.Zone, expressions []string, nowMS int64) Found {
	res := Found{NextMS: untilZoneChanges(zone, nowMS)}
	now := floorDiv(nowMS, 1000)
	local := now + int64(zone.OffsetS)
	for _, text := range expressions {
		expr, problem := d.parse(text)
		if problem != "" {
			res.Problems = append(res.Problems, problem)
			continue
		}
		if expr.Matches(local) {
			res.Active = text
		}
		change := expr.NextChange(local, LongestWaitMS/1000) - int64(zone.OffsetS)
		res.NextMS = min(res.NextMS, change*1000-nowMS)
	}
	return res
}

// parsed keeps what parse returned, since expressions stay the same from one decision to the next and reading one takes longer than all
// the rest. A module is called by one caller at a time.
var parsed = map[written]reading{}

// mostParsed bounds parsed: a configuration that is changed all day must not fill the memory.
const mostParsed = 256

// written is an expression as it stands in a file.
type written struct {
	dialect Dialect
	text    string
}

// reading is an expression, or what is wrong with it.
type reading struct {
	expr    period.Expr
	problem string
}

// parse reads an expression. The problem is "" when it could.
func (d Dialect) parse(text string) (period.Expr, string) {
	if known, ok := parsed[written{d, text}]; ok {
		return known.expr, known.problem
	}
	read := period.Parse
	if d == Cron {
		read = period.ParseCron
	}
	var res reading
	expr, err := read(text)
	if err != nil {
		res.problem = err.Error()
	} else {
		res.expr = expr
	}
	if len(parsed) == mostParsed {
		clear(parsed)
	}
	parsed[written{d, strings.Clone(text)}] = res // text lies in the snapshot, which would stay with it
	return res.expr, res.problem
}

// untilZoneChanges returns the milliseconds until the zone's offset changes, at most LongestWaitMS.
func untilZoneChanges(zone abi.Zone, nowMS int64) int64 {
	if zone.NextChange == "" {
		return LongestWaitMS
	}
	at, err := time.Parse(time.RFC3339, zone.NextChange)
	if err != nil || at.UnixMilli() <= nowMS {
		return LongestWaitMS
	}
	return min(at.UnixMilli()-nowMS, LongestWaitMS)
}

// floorDiv divides and rounds down, also below zero.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
