package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the cases name zones

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
)

// documented is the documentation's example: 10 machines for 1800 s, more on weekdays, fewer at the weekend.
func documented() abi.RunnerSettings {
	return abi.RunnerSettings{
		IdleCount: 10, IdleTimeS: 1800,
		Autoscaling: []abi.PeriodsSettings{
			{Periods: []string{"* * 9-17 * * mon-fri *"}, Timezone: "UTC", IdleCount: 50, IdleTimeS: 3600},
			{Periods: []string{"* * * * * sat,sun *"}, Timezone: "UTC", IdleCount: 5, IdleTimeS: 60},
		},
	}
}

func TestDecide(t *testing.T) {
	overlapping := documented()
	overlapping.Autoscaling = append(overlapping.Autoscaling, abi.PeriodsSettings{
		Periods: []string{"* * 12 * * * *", "* * 10-11 * * * *"}, Timezone: "Europe/Berlin", IdleCount: 3, IdleScaleFactor: 1.5, IdleCountMin: 2})
	broken := documented()
	broken.Autoscaling[0].Periods = append(broken.Autoscaling[0].Periods, "* * 9-17 * * mon-fri")
	broken.Autoscaling[1].Timezone = "Mars/Olympus"
	local := documented()
	local.Autoscaling[0].Timezone = ""

	for _, c := range []struct {
		name      string
		runner    abi.RunnerSettings
		now       string
		idleCount int
		idleTimeS int64
		askAgainS float64
		reason    string
	}{
		{"weekday", documented(), "2026-08-20T10:00:00Z", 50, 3600, 8 * 3600,
			"period `* * 9-17 * * mon-fri *` (UTC) is active: IdleCount 50, IdleTime 3600 s"},
		{"weekday, last second", documented(), "2026-08-20T17:59:59.750Z", 50, 3600, 0.25, "is active"},
		{"weekday evening", documented(), "2026-08-20T20:00:00Z", 10, 1800, 13 * 3600,
			"no period is active: IdleCount 10, IdleTime 1800 s"},
		{"Friday's last second", documented(), "2026-08-21T23:59:59Z", 10, 1800, 1, "no period is active"},
		{"Saturday", documented(), "2026-08-22T10:00:00Z", 5, 60, 24 * 3600, "period `* * * * * sat,sun *` (UTC) is active"},
		{"Sunday's last second", documented(), "2026-08-23T23:59:59.5Z", 5, 60, 0.5, "sat,sun"},
		{"17:30", documented(), "2026-08-20T17:30:00Z", 50, 3600, 1800, "mon-fri"},
		{"the last section wins, zeros included", overlapping, "2026-08-20T09:30:00Z", 3, 0, 1800,
			"period `* * 10-11 * * * *` (Europe/Berlin) is active: IdleCount 3, IdleScaleFactor 1.5, IdleCountMin 2, IdleTime 0 s"},
		{"bad parts are skipped by name", broken, "2026-08-22T10:00:00Z", 10, 1800, 24 * 3600,
			"no period is active: IdleCount 10, IdleTime 1800 s; autoscaling[0]: period `* * 9-17 * * mon-fri`: 6 fields, " +
				"so that either the second or the year is missing; use 7: `second minute hour day-of-month month day-of-week year`, " +
				"or unix cron's 5 (minute to day-of-week), so it is skipped; autoscaling[1]: its time zone `Mars/Olympus` is unknown, so it is skipped"},
		{"the host's zone", local, "2026-08-20T13:00:00Z", 50, 3600, 9 * 3600, "(Local)"},
		{"no sections", abi.RunnerSettings{IdleCount: 2}, "2026-08-20T10:00:00Z", 2, 0, -1, "no periods are configured: IdleCount 2, IdleTime 0 s"},
		{"settings that make no sense", abi.RunnerSettings{IdleCount: -1, IdleCountMin: -1, IdleScaleFactor: -0.5, IdleTimeS: -1}, "2026-08-20T10:00:00Z", 0, 0, -1,
			"IdleCount 0, IdleTime 0 s"},
		{"a section without periods", abi.RunnerSettings{IdleCount: 2, Autoscaling: []abi.PeriodsSettings{{IdleCount: 9, Timezone: "UTC"}}},
			"2026-08-20T10:00:00Z", 2, 0, 24 * 3600, "no period is active"},
		{"before the clock is set forward", documentedIn("Europe/Berlin"), "2026-03-28T22:00:00Z", 5, 60, 3 * 3600, "(Europe/Berlin)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decide(t, snapshot(t, c.runner, c.now))
			if *got.Settings.IdleCount != c.idleCount || *got.Settings.IdleTimeS != c.idleTimeS {
				t.Errorf("IdleCount %d, IdleTime %d; want %d, %d", *got.Settings.IdleCount, *got.Settings.IdleTimeS, c.idleCount, c.idleTimeS)
			}
			switch {
			case c.askAgainS < 0 && got.AskAgainS != nil:
				t.Errorf("asks again after %g s without need", *got.AskAgainS)
			case c.askAgainS >= 0 && (got.AskAgainS == nil || *got.AskAgainS != c.askAgainS):
				t.Errorf("asks again after %v s, want %g", got.AskAgainS, c.askAgainS)
			}
			if !strings.Contains(got.Reason, c.reason) {
				t.Errorf("reason %q, want %q", got.Reason, c.reason)
			}
		})
	}
}

// TestDaylightSaving walks through both nights on which Berlin changes its clocks, second by second around the edges.
func TestDaylightSaving(t *testing.T) {
	runner := abi.RunnerSettings{Autoscaling: []abi.PeriodsSettings{{Periods: []string{"* * 2 * * * *"}, Timezone: "Europe/Berlin", IdleCount: 1}}}
	for now, want := range map[string]int{
		"2026-10-24T23:59:59Z": 0, // 01:59:59 summer time
		"2026-10-25T00:00:00Z": 1, // 02:00:00
		"2026-10-25T00:59:59Z": 1, // 02:59:59
		"2026-10-25T01:00:00Z": 1, // 02:00:00 again, winter time
		"2026-10-25T01:59:59Z": 1, // 02:59:59
		"2026-10-25T02:00:00Z": 0, // 03:00:00
		"2026-03-29T00:59:59Z": 0, // 01:59:59
		"2026-03-29T01:00:00Z": 0, // 03:00:00: there is no hour 2
	} {
		if got := decide(t, snapshot(t, runner, now)); *got.Settings.IdleCount != want {
			t.Errorf("at %s: IdleCount %d, want %d", now, *got.Settings.IdleCount, want)
		}
	}
}

// decide goes through the bytes that the host sends and gets.
func decide(t *testing.T, s abi.Snapshot) abi.Proposal {
	t.Helper()
	in, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	out, err := policy.Call(policy.Registered(), abi.ExportDecide, in)
	if err != nil {
		t.Fatal(err)
	}
	var p abi.Proposal
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func documentedIn(zone string) abi.RunnerSettings {
	r := documented()
	for i := range r.Autoscaling {
		r.Autoscaling[i].Timezone = zone
	}
	return r
}

// snapshot is at now, with the zones that the sections name and a few more; the host's own is New York.
func snapshot(t *testing.T, runner abi.RunnerSettings, now string) abi.Snapshot {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, now)
	if err != nil {
		t.Fatal(err)
	}
	s := abi.Snapshot{ABI: abi.Version, Now: now, NowUnixMS: at.UnixMilli(), Runner: runner}
	zones := map[string]string{"UTC": "UTC", "Europe/Berlin": "Europe/Berlin", "Local": "America/New_York"}
	for _, section := range runner.Autoscaling {
		if _, there := zones[section.Timezone]; !there && section.Timezone != "" {
			zones[section.Timezone] = section.Timezone
		}
	}
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		loc, err := time.LoadLocation(zones[name])
		if err != nil {
			continue // unknown, as to the host
		}
		_, offset := at.In(loc).Zone()
		z := abi.Zone{Name: name, OffsetS: offset}
		if _, end := at.In(loc).ZoneBounds(); !end.IsZero() {
			z.NextChange = end.UTC().Format(time.RFC3339)
			_, z.NextOffsetS = end.Zone()
		}
		s.Zones = append(s.Zones, z)
	}
	return s
}
