package ciyaml

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// units are GitLab's words for spans of time. A month counts 30 days and a year 365.25, as GitLab has it.
var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "wk": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
	"mo": 30 * 24 * time.Hour, "mos": 30 * 24 * time.Hour, "month": 30 * 24 * time.Hour, "months": 30 * 24 * time.Hour,
	"y": 8766 * time.Hour, "yr": 8766 * time.Hour, "yrs": 8766 * time.Hour, "year": 8766 * time.Hour, "years": 8766 * time.Hour,
}

// ParseDuration reads a span of time as people write it in timeout and expire_in: "1h 30m", "90 minutes", "1 hour and 30 minutes",
// "3600" (seconds), "01:30:00". The result is positive.
// Source: GitLab documentation, "CI/CD YAML syntax reference", timeout and artifacts:expire_in.
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("%.40q is not a span of time; write it like 1h 30m or 90 minutes", text)
	total, rest := 0.0, strings.ToLower(strings.TrimSpace(text))
	if d, ok := parseClock(rest); ok {
		return d, nil
	}
	if seconds, err := strconv.ParseUint(rest, 10, 31); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second, nil
	}
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		number, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, bad
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		letters := len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))
		unit, ok := units[rest[:letters]]
		if !ok {
			return 0, bad
		}
		total += number * float64(unit)
		rest = strings.TrimLeft(rest[letters:], " ,")
		rest = strings.TrimPrefix(rest, "and ")
		rest = strings.TrimLeft(rest, " ")
	}
	if total < float64(time.Second) || total > float64(200*365*24*time.Hour) {
		return 0, bad
	}
	return time.Duration(total), nil
}

// parseClock reads 1:30 (minutes and seconds) and 01:30:00.
func parseClock(text string) (time.Duration, bool) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, false
	}
	total := 0
	for _, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return 0, false
		}
		total = total*60 + int(n)
	}
	return time.Duration(total) * time.Second, total > 0
}
