package main

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// maxPrewarm bounds the search for the next beginning of working hours.
const maxPrewarm = 4 * time.Hour

// config is what holidays.toml says below [config], checked.
type config struct {
	timezone     string
	days         [7]bool // by time.Weekday
	from, to     int     // minutes after midnight; to before from passes midnight
	prewarm      time.Duration
	holidays     map[string]bool // 2026-12-25, or 12-25 for every year
	working, off abi.Settings
}

// file is the same as it is written.
type file struct {
	Timezone string       `json:"timezone"`
	Days     []string     `json:"days"`
	From     string       `json:"from"`
	To       string       `json:"to"`
	PrewarmS int          `json:"prewarm_s"`
	Holidays []string     `json:"holidays"`
	Working  abi.Settings `json:"working"`
	Off      abi.Settings `json:"off"`
}

var weekdays = map[string]time.Weekday{"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}

// parse reads the configuration and lists all that is wrong with it.
func parse(raw abi.Raw) (config, []abi.Problem) {
	f := file{Timezone: "Local", Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "08:00", To: "18:00", PrewarmS: 900}
	var problems []abi.Problem
	wrong := func(option, message string) {
		problems = append(problems, abi.Problem{Option: option, Message: message})
	}
	if len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			return config{}, []abi.Problem{{Option: "config", Message: strings.TrimPrefix(err.Error(), "json: ")}}
		}
	}
	c := config{timezone: f.Timezone, holidays: map[string]bool{}, working: f.Working, off: f.Off, prewarm: time.Duration(f.PrewarmS) * time.Second}
	if c.timezone == "" {
		c.timezone = "Local"
	}
	for _, name := range f.Days {
		day, ok := weekdays[strings.ToLower(name)]
		if !ok {
			wrong("days", strconv.Quote(name)+" is no day; use mon, tue, wed, thu, fri, sat, sun")
			continue
		}
		c.days[day] = true
	}
	for _, date := range f.Holidays {
		_, whole := time.Parse(time.DateOnly, date)
		if _, yearly := time.Parse(time.DateOnly, "2024-"+date); whole != nil && yearly != nil { // 2024 has a 29 February
			wrong("holidays", strconv.Quote(date)+" is no date; write 2026-12-25, or 12-25 for every year")
		}
		c.holidays[date] = true
	}
	var ok bool
	if c.from, ok = clock(f.From); !ok {
		wrong("from", strconv.Quote(f.From)+" is no time of day; write it as 08:00")
	}
	if c.to, ok = clock(f.To); !ok {
		wrong("to", strconv.Quote(f.To)+" is no time of day; write it as 18:00, or 24:00 for the end of the day")
	}
	if c.prewarm < 0 || c.prewarm > maxPrewarm {
		wrong("prewarm_s", strconv.Itoa(f.PrewarmS)+" is out of range; use 0 to "+strconv.Itoa(int(maxPrewarm.Seconds())))
	}
	if f.Working == (abi.Settings{}) {
		wrong("working", "is empty; give idle_count, idle_count_min, idle_scale_factor or idle_time_s")
	}
	return c, problems
}

// clock reads a time of day into minutes after midnight.
func clock(s string) (int, bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s)
	return t.Hour()*60 + t.Minute(), err == nil
}
