package main

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the cases name zones

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/calendar"
)

// TestEdgesInZones holds the policy against the standard library's clock around every change of the offset in ten years, and around the
// edges of windows on an ordinary day: by the second, in zones that change by an hour, by half an hour, at midnight, in winter, or not at all.
func TestEdgesInZones(t *testing.T) {
	clock := func(at time.Time) int { return at.Hour()*3600 + at.Minute()*60 + at.Second() }
	windows := []struct {
		expression string
		active     func(at time.Time) bool
	}{
		{"* * 9-17 * * mon-fri *", func(at time.Time) bool {
			return at.Weekday() >= time.Monday && at.Weekday() <= time.Friday && clock(at) >= 9*3600 && clock(at) < 18*3600
		}},
		{"* * 22-6 * * * *", func(at time.Time) bool { return clock(at) >= 22*3600 || clock(at) < 7*3600 }},
		{"* 30-15 1-2 * * * *", func(at time.Time) bool {
			return (at.Hour() == 1 || at.Hour() == 2) && (at.Minute() >= 30 || at.Minute() <= 15)
		}},
		{"* * * * * sat-mon *", func(at time.Time) bool {
			return slices.Contains([]time.Weekday{time.Saturday, time.Sunday, time.Monday}, at.Weekday())
		}},
		{"* * * 28-2 * * *", func(at time.Time) bool { return at.Day() >= 28 || at.Day() <= 2 }},
		{"* * * * nov-mar * *", func(at time.Time) bool { return at.Month() >= time.November || at.Month() <= time.March }},
		{"* * * L * * *", func(at time.Time) bool { return at.AddDate(0, 0, 1).Day() == 1 }},
		{"* * * * * * *", func(time.Time) bool { return true }},
	}
	for _, name := range []string{
		"UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca",
		"America/Santiago", "Asia/Beirut", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Chatham", "Pacific/Kiritimati",
	} {
		t.Run(name, func(t *testing.T) {
			loc, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range instants(loc) {
				zone := zoneAt(at)
				for _, w := range windows {
					found := calendar.Machine.Look(zone, []string{w.expression}, at.UnixMilli())
					if got, want := found.Active != "", w.active(at); got != want {
						t.Fatalf("%s at %s: active %v, want %v", w.expression, at.Format(time.RFC3339), got, want)
					}
					if next := at.Add(time.Duration(found.NextMS)*time.Millisecond - time.Second); next.After(at) && w.active(next) != w.active(at) {
						t.Fatalf("%s at %s: changes before %s, when it wants to be asked again", w.expression, at.Format(time.RFC3339), next.Format(time.RFC3339))
					}
				}
			}
		})
	}
}

// instants are the seconds around the quarters of hours in the twelve hours around each change of the offset from 2024 to 2033, and on
// some days without one.
func instants(loc *time.Location) []time.Time {
	around := []time.Time{time.Date(2026, 2, 28, 12, 0, 0, 0, loc), time.Date(2028, 2, 29, 23, 0, 0, 0, loc), time.Date(2026, 12, 31, 23, 0, 0, 0, loc)}
	for at := time.Date(2024, 1, 1, 0, 0, 0, 0, loc); at.Year() < 2034; {
		_, at = at.ZoneBounds()
		if at.IsZero() {
			break
		}
		around = append(around, at)
	}
	var all []time.Time
	for _, middle := range around {
		for quarter := -24; quarter <= 24; quarter++ {
			for second := -1; second <= 1; second++ {
				all = append(all, middle.Add(time.Duration(quarter)*15*time.Minute+time.Duration(second)*time.Second))
			}
		}
	}
	return all
}

// zoneAt is the zone of at as the host puts it into snapshots.
func zoneAt(at time.Time) abi.Zone {
	_, offset := at.Zone()
	z := abi.Zone{Name: at.Location().String(), OffsetS: offset}
	if _, end := at.ZoneBounds(); !end.IsZero() {
		z.NextChange = end.UTC().Format(time.RFC3339)
		_, z.NextOffsetS = end.Zone()
	}
	return z
}
