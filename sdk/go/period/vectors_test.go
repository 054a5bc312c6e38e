package period

import (
	"testing"
	"time"
	_ "time/tzdata" // the vectors name zones
)

const (
	weekdays9to17 = "* * 9-17 * * mon-fri *"
	thursday      = "2026-08-20T"
)

// TestVectors holds the vectors P1 to P24 of GitLab Runner's behaviour. corrected says why the result is not GitLab Runner's.
func TestVectors(t *testing.T) {
	const (
		oneEarly    = "issue 2170: there, windows lie one second early"
		unixCron    = "5 fields are unix cron: there, active in one second per minute"
		wraps       = "reversed ranges wrap: there, a crash or never"
		repeated    = "the repeated hour counts twice: there, nothing matches in it"
		exactSecond = "a fixed second is that second: there, the one before"
	)
	for _, v := range []struct {
		id, expr, zone, now string
		active              bool
		corrected           string
	}{
		{"P1", weekdays9to17, "UTC", thursday + "08:59:58.999Z", false, ""},
		{"P2", weekdays9to17, "UTC", thursday + "08:59:59Z", false, oneEarly},
		{"P3", weekdays9to17, "UTC", thursday + "09:00:00Z", true, ""},
		{"P4", weekdays9to17, "UTC", thursday + "17:30:00Z", true, ""},
		{"P5", weekdays9to17, "UTC", thursday + "17:59:58.999Z", true, ""},
		{"P6", weekdays9to17, "UTC", thursday + "17:59:59Z", true, oneEarly},
		{"P6 end", weekdays9to17, "UTC", thursday + "18:00:00Z", false, ""},
		{"P7", weekdays9to17, "UTC", "2026-08-22T12:00:00Z", false, ""},
		{"P8", "* * * * * sat,sun *", "UTC", "2026-08-21T23:59:59Z", false, oneEarly},
		{"P9", "* * * * * sat,sun *", "UTC", "2026-08-22T23:59:59.5Z", true, ""},
		{"P10", "* * * * * sat,sun *", "UTC", "2026-08-23T23:59:59Z", true, oneEarly},
		{"P11", "* 9-17 * * mon-fri", "UTC", thursday + "10:30:30Z", true, unixCron},
		{"P12", "* 9-17 * * mon-fri", "UTC", thursday + "10:30:59Z", true, ""},
		{"P13", "0 * 9-17 * * mon-fri *", "UTC", thursday + "10:30:59.5Z", false, exactSecond},
		{"P13 second 30", "0 * 9-17 * * mon-fri *", "UTC", thursday + "10:30:30Z", false, ""},
		{"P13 second 0", "0 * 9-17 * * mon-fri *", "UTC", thursday + "10:31:00.5Z", true, exactSecond},
		{"P15", "* * 22-6 * * * *", "UTC", thursday + "23:00:00Z", true, wraps},
		{"P15 last second", "* * 22-6 * * * *", "UTC", thursday + "06:59:59Z", true, wraps},
		{"P15 over", "* * 22-6 * * * *", "UTC", thursday + "07:00:00Z", false, wraps},
		{"P16", "* * 22-23,0-6 * * * *", "UTC", thursday + "23:59:59.5Z", true, ""},
		{"P17", "* * * * * fri-mon *", "UTC", "2026-08-22T12:00:00Z", true, wraps},
		{"P17 Thursday", "* * * * * fri-mon *", "UTC", thursday + "12:00:00Z", false, ""},
		{"P18 Monday", "* * * 1 * mon *", "UTC", "2026-08-03T00:00:00Z", true, ""},
		{"P18 the first", "* * * 1 * mon *", "UTC", "2026-08-01T00:00:00Z", true, ""},
		{"P18 neither", "* * * 1 * mon *", "UTC", "2026-08-04T00:00:00Z", false, ""},
		{"P19", "* * * * * * *", "America/New_York", "2026-11-01T05:30:00Z", true, ""},
		{"P20", "* * * * * * *", "America/New_York", "2026-11-01T06:30:00Z", true, repeated},
		{"P20 hour 1", "* * 1 * * * *", "America/New_York", "2026-11-01T06:30:00Z", true, repeated},
		{"P20 after", "* * * * * * *", "America/New_York", "2026-11-01T07:00:00Z", true, ""},
		{"P20 skipped hour", "* * 2 * * * *", "America/New_York", "2026-03-08T07:00:00Z", false, ""},
		{"P21", "* * 9-17 * * * *", "America/New_York", "2026-08-20T13:00:00Z", true, ""},
		{"P23", "* * * L * * *", "UTC", "2026-08-31T12:00:00Z", true, ""},
		{"P24", "* * * * * * 2027", "UTC", thursday + "12:00:00Z", false, ""},
	} {
		t.Run(v.id, func(t *testing.T) {
			e, err := Parse(v.expr)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Matches(local(t, v.now, v.zone)); got != v.active {
				t.Errorf("%s at %s (%s): active %v, want %v (corrected: %q)", v.expr, v.now, v.zone, got, v.active, v.corrected)
			}
		})
	}
}

// TestDocumentationExample walks through the documented weekday and weekend sections.
func TestDocumentationExample(t *testing.T) {
	week, weekend := parse(t, weekdays9to17), parse(t, "* * * * * sat,sun *")
	for now, want := range map[string]string{
		"2026-08-20T10:00:00Z": "week", "2026-08-20T20:00:00Z": "none", "2026-08-22T10:00:00Z": "weekend",
		"2026-08-21T23:59:59Z": "none", "2026-08-23T23:59:59Z": "weekend", "2026-08-20T17:30:00Z": "week",
	} {
		at, got := local(t, now, "UTC"), "none"
		if week.Matches(at) {
			got = "week"
		}
		if weekend.Matches(at) {
			got = "weekend"
		}
		if got != want {
			t.Errorf("at %s: %s, want %s", now, got, want)
		}
	}
}

// local reads the wall clock of a zone.
func local(t *testing.T, now, zone string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, now)
	if err != nil {
		t.Fatal(err)
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	_, offset := at.In(loc).Zone()
	return at.Unix() + int64(offset)
}

func parse(t *testing.T, expr string) Expr {
	t.Helper()
	e, err := Parse(expr)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
