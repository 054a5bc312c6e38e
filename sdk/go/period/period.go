// Package period reads the expressions of GitLab's Periods setting and tells whether one is active at a wall clock time:
//
//	second minute hour day-of-month month day-of-week year
//
// Both sides use it: the policy periods in the guest, config check in the host. It is pure, has no time-zone data (the caller
// adds the zone's offset) and needs nothing but strings and strconv, so that a guest stays small.
//
// An expression is active at a second exactly when each of its fields matches that second. GitLab Runner asks instead whether
// the next match lies at most one second ahead, which moves every window one second early (issue 2170) and goes wrong where the
// clock is set back; a window here is the one that its text names.
//
// Source: GitLab Runner documentation, "The [[runners.machine.autoscaling]] section", and the README of the library that
// GitLab Runner reads them with (gorhill/cronexpr). Where we differ, a warning or an error says so: see Parse.
package period

import (
	"errors"
	"strings"
)

// layout names the fields for messages.
const layout = "`second minute hour day-of-month month day-of-week year`, or unix cron's 5 (minute to day-of-week)"

// Expr is a parsed expression. It is a small value, immutable, comparable only by Matches; its zero value matches nothing.
type Expr struct {
	second, minute uint64 // bit n = value n
	hour           uint32
	month          uint16
	year           [3]uint64 // bit n = year 1970+n
	anyYear        bool      // years outside 1970-2099 match too
	day            dayOfMonth
	weekday        dayOfWeek
	warnings       []string
}

// dayOfMonth is the fourth field.
type dayOfMonth struct {
	any         bool   // `*`: the field restricts nothing
	days        uint32 // bit n = day n
	nearest     uint32 // bit n = the weekday nearest to day n (`15W`)
	last        bool   // `L`
	lastWeekday bool   // `LW`
}

// dayOfWeek is the sixth field; 0 is Sunday.
type dayOfWeek struct {
	any  bool
	days uint8
	last uint8    // bit n = the month's last weekday n (`5L`)
	nth  [5]uint8 // bit n of nth[k] = the month's k+1-th weekday n (`mon#2`)
}

// shortcuts are single instants, as GitLab Runner has them: a period wants windows, so they come with a warning.
var shortcuts = map[string]string{
	"@yearly":   "0 0 0 1 1 * *",
	"@annually": "0 0 0 1 1 * *",
	"@monthly":  "0 0 0 1 * * *",
	"@weekly":   "0 0 0 * * 0 *",
	"@daily":    "0 0 0 * * * *",
	"@hourly":   "0 0 * * * * *",
}

// Parse reads one expression. Letters may be of either case, fields are separated by white space.
//
// More is accepted than GitLab Runner can do right: 5 fields are unix cron, active for each second of the minutes that they name
// (there: one second per minute), ranges that run backwards wrap around (there: a crash or never), `1-7` are all days of the week
// (there: none). Fields after the seventh are ignored, as there. Warnings tells of each.
//
// An error is text for people: it quotes the expression and names the field, what was found and what is allowed. Other than 5 or
// 7 fields and years that run backwards are errors.
func Parse(s string) (Expr, error) {
	var e Expr
	text := strings.ToLower(strings.TrimSpace(s))
	if strings.HasPrefix(text, "@") {
		full, ok := shortcuts[text]
		if !ok {
			return Expr{}, failure(s, "unknown shortcut; use @yearly, @annually, @monthly, @weekly, @daily, @hourly or "+layout)
		}
		text = full
	}
	fields := strings.Fields(text)
	switch {
	case len(fields) == 5:
		e.warn("has 5 fields and is read as unix cron: active through every second of its minutes, in any year " +
			"(GitLab Runner: one second per minute)")
		fields = append(append([]string{"*"}, fields...), "*")
	case len(fields) > 7:
		e.warn("has more than 7 fields; the rest is ignored: `" + strings.Join(fields[7:], " ") + "`")
		fields = fields[:7]
	case len(fields) == 6:
		return Expr{}, failure(s, "6 fields, so that either the second or the year is missing; use 7: "+layout)
	case len(fields) < 5:
		return Expr{}, failure(s, "too few fields; use 7: "+layout)
	}
	if err := e.parseFields(fields); err != nil {
		return Expr{}, failure(s, err.Error())
	}
	if full := uint64(1)<<60 - 1; e.second != full {
		e.warn("is active in some seconds of a minute only; use `*` in the second field for a window")
	}
	return e, nil
}

// cronLayout names the fields of unix cron for messages.
const cronLayout = "unix cron's 5 fields: `minute hour day-of-month month day-of-week`"

// ParseCron reads one expression of unix cron, as [[runners.autoscaler.policy]] has them: five fields, and the shortcuts, which name single
// minutes here. It is active through every second of the minutes that it names. All else is as with Parse.
func ParseCron(s string) (Expr, error) {
	var e Expr
	text := strings.ToLower(strings.TrimSpace(s))
	if strings.HasPrefix(text, "@") {
		full, ok := shortcuts[text]
		if !ok {
			return Expr{}, failure(s, "unknown shortcut; use @yearly, @annually, @monthly, @weekly, @daily, @hourly or "+cronLayout)
		}
		text = strings.TrimSuffix(strings.TrimPrefix(full, "0 "), " *")
		e.warn("is active for a single minute only; use " + cronLayout + " for a window")
	}
	fields := strings.Fields(text)
	switch n := len(fields); {
	case n == 7:
		return Expr{}, failure(s, "7 fields, as in [[runners.machine.autoscaling]]; here it is "+cronLayout)
	case n != 5:
		return Expr{}, failure(s, "not 5 fields; use "+cronLayout)
	}
	warnings := e.warnings
	if err := e.parseFields(append(append([]string{"*"}, fields...), "*")); err != nil {
		return Expr{}, failure(s, err.Error())
	}
	e.warnings = warnings // those of the fields tell what the library for seven fields gets wrong
	return e, nil
}

// Warnings tells, for people, where the expression may not mean what its author thought, or means something else to GitLab
// Runner. Each follows on the quoted expression: "has 5 fields and ...".
func (e Expr) Warnings() []string { return e.warnings }

func (e *Expr) warn(text string) { e.warnings = append(e.warnings, text) }

// failure quotes the expression, cut to a length fit for a log line.
func failure(expr, why string) error {
	const most = 100
	if len(expr) > most {
		expr = strings.ToValidUTF8(expr[:most], "") + "..."
	}
	return errors.New("period `" + expr + "`: " + why)
}
