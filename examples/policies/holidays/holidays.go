package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// holidays proposes one set of settings for working hours and another for all other time.
type holidays struct{}

// Describe places the policy between periods, whose settings it overrides, and idlescale, which reads them.
func (holidays) Describe() abi.Describe {
	return abi.Describe{
		Name:     "holidays",
		Version:  "1.0.0",
		Summary:  "chooses the idle settings by working hours and holidays, and warms up ahead of them",
		Position: 15,
	}
}

// Validate checks what holidays.toml says.
func (holidays) Validate(r abi.ValidateRequest) []abi.Problem {
	_, problems := parse(r.Config)
	return problems
}

// Decide proposes the settings of working hours from the pre-warming on, else those of the time between.
func (holidays) Decide(s abi.Snapshot) (abi.Proposal, error) {
	c, problems := parse(s.Config)
	if len(problems) > 0 {
		return abi.Proposal{}, errors.New(problems[0].Option + ": " + problems[0].Message)
	}
	zone, err := find(s.Zones, c.timezone)
	if err != nil {
		return abi.Proposal{}, err
	}
	now := time.UnixMilli(s.NowUnixMS).UTC()
	local := wall(zone, now)
	settings, why := c.off, "outside of working hours"
	if c.works(local) {
		settings, why = c.working, "working hours"
	} else if start, ok := c.startsWithin(zone, now); ok {
		settings, why = c.working, "warming up for the working hours from "+wall(zone, start).Format("15:04")
	} else if name, ok := c.holiday(local); ok {
		why = "a holiday (" + name + ")"
	}
	return abi.Proposal{Settings: &settings, Reason: local.Format("Mon 15:04") + " in " + zone.Name + ", " + why + ": " + words(settings)}, nil
}

// find returns the zone of that name. The agent puts the one that this policy's configuration names into its snapshots.
func find(zones []abi.Zone, name string) (abi.Zone, error) {
	for _, z := range zones {
		if z.Name == name {
			return z, nil
		}
	}
	return abi.Zone{}, errors.New("timezone: " + strconv.Quote(name) + " is not in the snapshot; use an IANA name such as Europe/Berlin, UTC or Local")
}

// wall returns what a clock in the zone shows at t, as a time in UTC.
func wall(z abi.Zone, t time.Time) time.Time {
	offset := z.OffsetS
	if change, err := time.Parse(time.RFC3339, z.NextChange); err == nil && !t.Before(change) {
		offset = z.NextOffsetS
	}
	return t.Add(time.Duration(offset) * time.Second)
}

// works tells whether a wall clock shows working hours. Hours that pass midnight belong to the day on which they begin.
func (c config) works(local time.Time) bool {
	minute := local.Hour()*60 + local.Minute()
	if c.from < c.to {
		return minute >= c.from && minute < c.to && c.workday(local)
	}
	if minute >= c.from {
		return c.workday(local)
	}
	return minute < c.to && c.workday(local.AddDate(0, 0, -1))
}

func (c config) workday(day time.Time) bool {
	_, free := c.holiday(day)
	return c.days[day.Weekday()] && !free
}

// holiday returns the entry that makes the day one.
func (c config) holiday(day time.Time) (string, bool) {
	for _, name := range []string{day.Format(time.DateOnly), day.Format("01-02")} {
		if c.holidays[name] {
			return name, true
		}
	}
	return "", false
}

// startsWithin returns when working hours begin next, if that is within the time of pre-warming.
func (c config) startsWithin(z abi.Zone, now time.Time) (time.Time, bool) {
	start := now.Truncate(time.Minute)
	for start = start.Add(time.Minute); start.Sub(now) <= c.prewarm; start = start.Add(time.Minute) {
		if c.works(wall(z, start)) {
			return start, true
		}
	}
	return time.Time{}, false
}

// words lists the settings for people.
func words(s abi.Settings) string {
	text := ""
	add := func(name string, value string) {
		if text != "" {
			text += ", "
		}
		text += name + " " + value
	}
	if s.IdleCount != nil {
		add("IdleCount", strconv.Itoa(*s.IdleCount))
	}
	if s.IdleCountMin != nil {
		add("IdleCountMin", strconv.Itoa(*s.IdleCountMin))
	}
	if s.IdleScaleFactor != nil {
		add("IdleScaleFactor", strconv.FormatFloat(*s.IdleScaleFactor, 'g', -1, 64))
	}
	if s.IdleTimeS != nil {
		add("IdleTime", strconv.FormatInt(*s.IdleTimeS, 10)+" s")
	}
	if text == "" {
		return "the settings stay"
	}
	return text
}
