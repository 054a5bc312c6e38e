package period

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestFields(t *testing.T) {
	for _, c := range []struct{ expr, yes, no string }{
		{"* * 9,11 * * * *", "2026-08-20 11:00:00", "2026-08-20 10:00:00"},
		{"* */15 * * * * *", "2026-08-20 11:45:00", "2026-08-20 11:46:00"},
		{"* 5/20 * * * * *", "2026-08-20 11:45:59", "2026-08-20 11:40:00"},
		{"* 10-20/5 * * * * *", "2026-08-20 11:20:00", "2026-08-20 11:25:00"},
		{"* * 22-6/2 * * * *", "2026-08-20 02:00:00", "2026-08-20 23:00:00"},
		{"* * * 25-5 * * *", "2026-08-02 00:00:00", "2026-08-24 00:00:00"},
		{"* * * * nov-feb * *", "2026-01-02 00:00:00", "2026-03-01 00:00:00"},
		{"* * * * January,3 * *", "2026-03-02 00:00:00", "2026-02-01 00:00:00"},
		{"* * * * * MON-Friday *", "2026-08-21 00:00:00", "2026-08-22 00:00:00"},
		{"* * * * * 1-7 *", "2026-08-23 00:00:00", ""},
		{"* * * * * 0-7 *", "2026-08-22 00:00:00", ""},
		{"* * * * * 6-7 *", "2026-08-23 00:00:00", "2026-08-24 00:00:00"},
		{"* * * * * 7-2 *", "2026-08-25 00:00:00", "2026-08-26 00:00:00"},
		{"* * * * * 7 *", "2026-08-23 00:00:00", "2026-08-22 00:00:00"},
		{"* * * * * sat-sun *", "2026-08-23 00:00:00", "2026-08-24 00:00:00"},
		{"* * * * * 5L *", "2026-08-28 00:00:00", "2026-08-21 00:00:00"},
		{"* * * * * friL *", "2026-08-28 00:00:00", "2026-08-21 00:00:00"},
		{"* * * * * mon#2 *", "2026-08-10 00:00:00", "2026-08-03 00:00:00"},
		{"* * * * * 7#5 *", "2026-08-30 00:00:00", "2026-08-23 00:00:00"},
		{"* * * L * * *", "2028-02-29 00:00:00", "2028-02-28 00:00:00"},
		{"* * * LW * * *", "2026-05-29 00:00:00", "2026-05-31 00:00:00"},
		{"* * * 15W * * *", "2026-08-14 00:00:00", "2026-08-15 00:00:00"},
		{"* * * 1W * * *", "2026-08-03 00:00:00", "2026-08-01 00:00:00"},
		{"* * * 31W * * *", "2026-05-29 00:00:00", "2026-05-31 00:00:00"},
		{"* * * 31W * * *", "2026-07-31 00:00:00", "2026-06-30 00:00:00"},
		{"* * * ? * mon ?", "2026-08-24 00:00:00", "2026-08-25 00:00:00"},
		{"* * * 1 * ? *", "2026-08-01 00:00:00", "2026-08-24 00:00:00"},
		{"* * * * * * 2026-2030/2", "2028-08-01 00:00:00", "2027-08-24 00:00:00"},
		{"* * * * * * *", "2126-08-01 00:00:00", ""},
		{"*,5 * * * * * *", "2026-08-01 00:00:04", ""},
		{"1,,2, * * * * * *", "2026-08-01 00:00:02", "2026-08-01 00:00:00"},
		{"*/10 * * * * * *", "2026-08-01 00:00:50", "2026-08-01 00:00:51"},
		{"@yearly", "2027-01-01 00:00:00", "2027-01-01 00:00:01"},
		{"@Weekly", "2026-08-23 00:00:00", "2026-08-24 00:00:00"},
		{"@hourly", "2026-08-23 05:00:00", "2026-08-23 05:01:00"},
		{"\t* *  * * * * * extra", "2026-08-23 05:00:00", ""},
	} {
		t.Run(c.expr, func(t *testing.T) {
			e := parse(t, c.expr)
			if !e.Matches(clock(t, c.yes)) {
				t.Errorf("not active at %s", c.yes)
			}
			if c.no != "" && e.Matches(clock(t, c.no)) {
				t.Errorf("active at %s", c.no)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for expr, want := range map[string]string{
		"* * 9-17 * * mon-fri":           "6 fields, so that either the second or the year is missing", // P14
		"* * 25 * * * *":                 "hour field: `25` is not allowed; use 0-23",                  // P22
		"* * 9-17":                       "too few fields; use 7",                                      // P22
		"":                               "too few fields",
		"@midnight":                      "unknown shortcut; use @yearly",
		"60 * * * * * *":                 "second field: `60`",
		"* * * 0 * * *":                  "day-of-month field: `0` is not allowed; use 1-31, L (last)",
		"* * * 32W * * *":                "day-of-month field: `32w`",
		"* * * * 13 * *":                 "month field: `13` is not allowed; use 1-12, jan-dec",
		"* * * * janu * *":               "month field: `janu`",
		"* * * * * 8 *":                  "day-of-week field: `8`",
		"* * * * * mon#6 *":              "day-of-week field: `mon#6`",
		"* * * * * L *":                  "day-of-week field: `l`",
		"* * * * * * 1969":               "year field: `1969` is not allowed; use 1970-2099",
		"* * * * * * 2030-2026":          "year field: `2030-2026` runs backwards",
		"* */0 * * * * *":                "minute field: `*/0`",
		"* */60 * * * * *":               "steps of 1 to 59",
		"* 1- * * * * *":                 "minute field: `1-`",
		"* -1 * * * * *":                 "minute field: `-1`",
		"* , * * * * *":                  "minute field: `,`",
		"* 1/2/3 * * * * *":              "minute field: `1/2/3`",
		"* ٣ * * * * *":                  "minute field: `٣`",
		strings.Repeat("x", 5000):        "too few fields",
		"* * * * * * " + bigNumber("9"):  "year field: `999",
		"* * * * * * \x00\xff":           "year field",
		"* * * * * *-* *":                "day-of-week field: `*-*`",
		"* * ?/2 * * * *":                "hour field: `?/2`",
		"* * * " + bigNumber("1") + "W ": "too few fields",
	} {
		_, err := Parse(expr)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", expr, err, want)
		} else if len(err.Error()) > 500 {
			t.Errorf("%.60q: an error of %d bytes", expr, len(err.Error()))
		}
	}
}

func bigNumber(digit string) string { return strings.Repeat(digit, 1000) }

func TestWarnings(t *testing.T) {
	for expr, want := range map[string]string{
		weekdays9to17:            "",
		"* * * * * 0-6 *":        "",
		"* 9-17 * * mon-fri":     "has 5 fields",
		"* * 22-6 * * * *":       "has a hour range that runs backwards, `22-6`",
		"* * * * * fri-mon *":    "has a day-of-week range that runs backwards",
		"* * * * * 1-7 *":        "with 7 for Sunday",
		"0 * 9-17 * * mon-fri *": "is active in some seconds of a minute only",
		"@daily":                 "is active in some seconds",
		"* * * * * * * 5 6":      "the rest is ignored: `5 6`",
	} {
		got := strings.Join(parse(t, expr).Warnings(), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: warnings %q, want %q", expr, got, want)
		}
	}
}

// TestCalendar compares our calendar with the standard library's over 600 years.
func TestCalendar(t *testing.T) {
	for days := int64(-100_000); days < 120_000; days++ {
		at := time.Unix(days*daySeconds, 0).UTC()
		year, month, day := civil(days)
		if int(year) != at.Year() || month != int(at.Month()) || day != at.Day() || weekdayOf(days) != int(at.Weekday()) {
			t.Fatalf("day %d: %d-%d-%d weekday %d, want %s", days, year, month, day, weekdayOf(days), at)
		}
		if length := at.AddDate(0, 1, -at.Day()).Day(); day == 1 && monthLength(year, month) != length {
			t.Fatalf("%d-%d has %d days, want %d", year, month, monthLength(year, month), length)
		}
	}
}

// TestNextChange compares the skipping search with one that looks at every second.
func TestNextChange(t *testing.T) {
	const within = 100_000
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, expr := range []string{
		weekdays9to17, "* * * * * * *", "* * * * * sat,sun *", "0 * 9-17 * * * *", "*/2 * * * * * *", "* 0 */6 * * * *",
		"5-9 59 23 * * * *", "@yearly", "* * * 21 8 * *", "* * * * * * 2027", "* 0-58 * * * * *", "0-58 * 9 * * * *",
	} {
		e := parse(t, expr)
		for range 4 {
			from := clock(t, "2026-08-20 12:00:00") + rnd.Int64N(3*daySeconds)
			want := from + 1
			for want < from+within && e.Matches(want) == e.Matches(from) {
				want++
			}
			if got := e.NextChange(from, within); got != want {
				t.Errorf("%s from %d: %d seconds ahead, want %d", expr, from, got-from, want-from)
			}
		}
	}
	if got := parse(t, weekdays9to17).NextChange(10, 0); got != 10 {
		t.Errorf("nothing to search: %d, want 10", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{weekdays9to17, "@daily", "* 9-17 * * mon-fri", "*/5 1,2-3 22-6/3 LW,15W,L jan-Feb 5L,mon#2 2026-2030", "0 0 0 31W 2 7-1 ?"} {
		f.Add(s, int64(1787216400))
	}
	f.Fuzz(func(t *testing.T, s string, local int64) {
		e, err := Parse(s)
		if err != nil {
			if len(err.Error()) > 600 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		local %= 1 << 40
		next := e.NextChange(local, 10*daySeconds)
		if next < local || next > local+10*daySeconds {
			t.Fatalf("%q: next change of %d is %d", s, local, next)
		}
		if next < local+10*daySeconds && e.Matches(next) == e.Matches(local) {
			t.Fatalf("%q: no change from %d to %d", s, local, next)
		}
		if spaced, err := Parse(" " + strings.ToUpper(s) + "\t"); err == nil && spaced.Matches(local) != e.Matches(local) {
			t.Fatalf("%q: upper case matters", s)
		}
	})
}

// clock reads a wall clock without a zone.
func clock(t *testing.T, text string) int64 {
	t.Helper()
	at, err := time.Parse(time.DateTime, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix()
}

// TestParseCron has unix cron's five fields as [[runners.autoscaler.policy]] writes them. The week of the cases begins on a Sunday.
func TestParseCron(t *testing.T) {
	const sunday = 1787443200 // 2026-08-23 00:00:00
	at := func(day, hour, minute, second int64) int64 {
		return sunday + day*86400 + hour*3600 + minute*60 + second
	}
	for _, c := range []struct {
		expression string
		active     []int64
		not        []int64
	}{
		{"* * * * *", []int64{at(0, 0, 0, 0), at(6, 23, 59, 59)}, nil},
		{"* 8-15 * * mon-fri", []int64{at(1, 8, 0, 0), at(5, 15, 59, 59)}, []int64{at(1, 7, 59, 59), at(1, 16, 0, 0), at(0, 12, 0, 0), at(6, 12, 0, 0)}},
		{"* * * * 1-7", []int64{at(0, 5, 0, 0), at(3, 5, 0, 0), at(6, 5, 0, 0)}, nil},
		{"* * * * 0", []int64{at(0, 5, 0, 0)}, []int64{at(1, 5, 0, 0)}},
		{"* * * * 7", []int64{at(0, 5, 0, 0)}, []int64{at(6, 5, 0, 0)}},
		{"*/15 * * * *", []int64{at(2, 3, 45, 59)}, []int64{at(2, 3, 46, 0)}},
		{"* * 1 * mon", []int64{at(1, 1, 1, 1)}, []int64{at(2, 1, 1, 1)}},
		{"@daily", []int64{at(2, 0, 0, 59)}, []int64{at(2, 0, 1, 0)}},
	} {
		e, err := ParseCron(c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		for i, instant := range append(c.active, c.not...) {
			if got, want := e.Matches(instant), i < len(c.active); got != want {
				t.Errorf("%s at %d: active %v", c.expression, instant, got)
			}
		}
		if warned := len(e.Warnings()) > 0; warned != strings.HasPrefix(c.expression, "@") {
			t.Errorf("%s: warnings %q", c.expression, e.Warnings())
		}
	}
	for expression, want := range map[string]string{
		"": "not 5 fields", "* * * *": "not 5 fields", "* * 9-17 * * mon-fri": "not 5 fields", "* * 9-17 * * mon-fri *": "7 fields",
		"60 * * * *": "minute field", "* 24 * * *": "hour field", "@often": "unknown shortcut",
	} {
		if _, err := ParseCron(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", expression, err, want)
		}
	}
}
