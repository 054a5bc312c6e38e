package specvectors

// Why GitLab Runner says otherwise of some periods.
const (
	early    = "windows lie one second early (its issue 2170)"
	cron     = "active in one second of each minute"
	second   = "active in the second before"
	wraps    = "ends the process, or never matches"
	repeated = "nothing matches in the repeated hour"
)

// The expressions that several vectors share.
const (
	week     = "* * 9-17 * * mon-fri *"
	weekend  = "* * * * * sat,sun *"
	either   = "* * * 1 * mon *"
	backward = "* * 22-6 * * * *"
	always   = "* * * * * * *"
	newYork  = "America/New_York"
	thursday = "2026-08-20T"
)

// at is a period vector: whether the expression is active.
func at(id, which, expression, zone, now string, active bool, today string) Vector {
	return Vector{
		ID: id, Case: which, What: expression + " at " + now + " in " + zone, Today: today,
		Period: Period{expression, zone, now}, Want: map[Tag]Want{Policy: {"active": active}},
	}
}

// with adds something that is expected.
func (v Vector) with(name, text string) Vector {
	v.Want[Policy][name] = text
	return v
}

// periods are the vectors of single expressions: "active" for all, "refused" and "warned" where reading the expression says so.
var periods = []Vector{
	at("P1", "", week, "UTC", thursday+"08:59:58.999Z", false, ""),
	at("P2", "", week, "UTC", thursday+"08:59:59Z", false, early),
	at("P3", "", week, "UTC", thursday+"09:00:00Z", true, ""),
	at("P4", "", week, "UTC", thursday+"17:30:00Z", true, ""),
	at("P5", "", week, "UTC", thursday+"17:59:58.999Z", true, ""),
	at("P6", "", week, "UTC", thursday+"17:59:59Z", true, early),
	at("P6", "over", week, "UTC", thursday+"18:00:00Z", false, ""),
	at("P7", "", week, "UTC", "2026-08-22T12:00:00Z", false, ""),
	at("P8", "", weekend, "UTC", "2026-08-21T23:59:59Z", false, early),
	at("P9", "", weekend, "UTC", "2026-08-22T23:59:59.5Z", true, ""),
	at("P10", "", weekend, "UTC", "2026-08-23T23:59:59Z", true, early),
	at("P11", "", "* 9-17 * * mon-fri", "UTC", thursday+"10:30:30Z", true, cron).with("warned", "unix cron"),
	at("P12", "", "* 9-17 * * mon-fri", "UTC", thursday+"10:30:59Z", true, ""),
	at("P13", "", "0 * 9-17 * * mon-fri *", "UTC", thursday+"10:30:59.5Z", false, second).with("warned", "some seconds of a minute"),
	at("P13", "second 30", "0 * 9-17 * * mon-fri *", "UTC", thursday+"10:30:30Z", false, ""),
	at("P13", "second 0", "0 * 9-17 * * mon-fri *", "UTC", thursday+"10:31:00.5Z", true, second),
	at("P14", "", "* * 9-17 * * mon-fri", "UTC", thursday+"10:00:00Z", false, "").with("refused", "6 fields"),
	at("P15", "", backward, "UTC", thursday+"23:00:00Z", true, wraps).with("warned", "wraps around"),
	at("P15", "first second", backward, "UTC", thursday+"22:00:00Z", true, wraps),
	at("P15", "last second", backward, "UTC", thursday+"06:59:59Z", true, wraps),
	at("P15", "over", backward, "UTC", thursday+"07:00:00Z", false, wraps),
	at("P16", "", "* * 22-23,0-6 * * * *", "UTC", thursday+"23:59:59.5Z", true, ""),
	at("P17", "", "* * * * * fri-mon *", "UTC", "2026-08-22T12:00:00Z", true, wraps).with("warned", "wraps around"),
	at("P17", "Thursday", "* * * * * fri-mon *", "UTC", thursday+"12:00:00Z", false, ""),
	at("P18", "Monday", either, "UTC", "2026-08-03T00:00:00Z", true, ""),
	at("P18", "the first", either, "UTC", "2026-08-01T00:00:00Z", true, ""),
	at("P18", "neither", either, "UTC", "2026-08-04T00:00:00Z", false, ""),
	at("P19", "", always, newYork, "2026-11-01T05:30:00Z", true, ""),
	at("P20", "", always, newYork, "2026-11-01T06:30:00Z", true, repeated),
	at("P20", "by name", "* * 1 * * * *", newYork, "2026-11-01T06:30:00Z", true, repeated),
	at("P20", "after", always, newYork, "2026-11-01T07:00:00Z", true, ""),
	at("P21", "", "* * 9-17 * * * *", newYork, thursday+"13:00:00Z", true, ""),
	at("P22", "", "* * 25 * * * *", "UTC", thursday+"01:00:00Z", false, "").with("refused", "hour field: `25`"),
	at("P22", "three fields", "* * 9-17", "UTC", thursday+"10:00:00Z", false, "").with("refused", "too few fields"),
	at("P23", "", "* * * L * * *", "UTC", "2026-08-31T12:00:00Z", true, ""),
	at("P24", "", "* * * * * * 2027", "UTC", thursday+"12:00:00Z", false, ""),
}

// DocumentedRoot are the values outside of all periods in the documentation's example, DocumentedWeek and DocumentedWeekend those of its
// two sections.
var (
	DocumentedRoot    = Config{IdleCount: 10, IdleTime: 1800}
	DocumentedWeek    = Config{IdleCount: 50, IdleTime: 3600}
	DocumentedWeekend = Config{IdleCount: 5, IdleTime: 60}
)

// The expressions of the example's sections.
const (
	DocumentedWeekPeriod    = week
	DocumentedWeekendPeriod = weekend
)

// chosen is a vector of the documentation's example.
func chosen(id, now string, c Config, today string) Vector {
	return Vector{
		ID: id, What: "the documentation's example at " + now, Today: today, Period: Period{Zone: "UTC", Now: now},
		Want: map[Tag]Want{Policy: {"IdleCount": c.IdleCount, "IdleTime": c.IdleTime}},
	}
}

// examples are the vectors of the documentation's example.
var examples = []Vector{
	chosen("D1", thursday+"10:00:00Z", DocumentedWeek, ""),
	chosen("D2", thursday+"20:00:00Z", DocumentedRoot, ""),
	chosen("D3", "2026-08-22T10:00:00Z", DocumentedWeekend, ""),
	chosen("D4", "2026-08-21T23:59:59Z", DocumentedRoot, early),
	chosen("D5", "2026-08-23T23:59:59Z", DocumentedWeekend, early),
	chosen("D6", thursday+"17:30:00Z", DocumentedWeek, ""),
}
