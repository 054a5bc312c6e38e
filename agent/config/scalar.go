package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// mismatch notes a value of the wrong type; want says what to write.
func (d *decoder) mismatch(v *value, section, key, want string) {
	d.bad(section, key, "%s; %s", v.describe(), want)
}

// describe names a value by its type, numbers and booleans by what they are too. Strings are not shown: they may be secrets.
func (v *value) describe() string {
	switch v.kind {
	case kindInt, kindFloat, kindBool, kindTime, kindDate:
		return v.text + " is " + string(v.kind)
	}
	return "this is " + string(v.kind)
}

func (d *decoder) scalar(f reflect.Value, v *value, section, key string) {
	switch f.Kind() {
	case reflect.String:
		if v.kind == kindString {
			f.SetString(v.text)
			return
		}
		if f.Type() == typeSecret || !v.scalar() {
			d.bad(section, key, "this is %s; write a string in quotes", v.kind)
			return
		}
		d.mismatch(v, section, key, "write it in quotes: "+assignment(key, strconv.Quote(v.text)))
	case reflect.Bool:
		if v.kind != kindBool {
			d.mismatch(v, section, key, "write true or false without quotes"+corrected(key, strings.ToLower(v.text), "true", "false"))
			return
		}
		f.SetBool(v.text == "true")
	case reflect.Int, reflect.Int64:
		d.integer(f, v, section, key)
	case reflect.Float64:
		d.float(f, v, section, key)
	}
}

func (v *value) scalar() bool {
	switch v.kind {
	case kindList, kindTable, kindTableSet:
		return false
	}
	return true
}

// corrected gives the line to write when text is one of the allowed words.
func corrected(key, text string, allowed ...string) string {
	for _, a := range allowed {
		if text == a {
			return ": " + assignment(key, a)
		}
	}
	return ""
}

// assignment is a corrected line; for an entry of a list or map only the value can be shown.
func assignment(key, value string) string {
	if strings.Contains(key, "[") {
		return value
	}
	return key + " = " + value
}

func (d *decoder) integer(f reflect.Value, v *value, section, key string) {
	if v.kind == kindInt {
		n, err := strconv.ParseInt(v.text, 0, 64)
		if err != nil || f.OverflowInt(n) {
			d.bad(section, key, "%s is out of range", v.text)
			return
		}
		f.SetInt(n)
		return
	}
	d.mismatch(v, section, key, "write a whole number without quotes"+meantInteger(v, key))
}

// meantInteger gives the corrected line where it is plain which number was meant: "5", 5.0, "30m" as seconds, "64m" as bytes.
func meantInteger(v *value, key string) string {
	if n, err := strconv.ParseFloat(v.text, 64); err == nil && n == math.Trunc(n) && math.Abs(n) < 1e15 {
		return ": " + assignment(key, strconv.FormatInt(int64(n), 10))
	}
	name := strings.ToLower(key)
	if strings.Contains(name, "time") || strings.Contains(name, "interval") {
		if t, err := parseDuration(v.text); err == nil {
			return ", in seconds: " + assignment(key, strconv.FormatInt(int64(t.Seconds()), 10))
		}
	}
	if strings.HasSuffix(name, "size") && size.MatchString(v.text) {
		return ", in bytes"
	}
	return ""
}

// float takes integers too, as GitLab Runner has done since 15.9.
func (d *decoder) float(f reflect.Value, v *value, section, key string) {
	if v.kind != kindFloat && v.kind != kindInt {
		d.mismatch(v, section, key, "write a number without quotes")
		return
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(v.text, "_", ""), 64)
	if v.kind == kindInt { // may be hexadecimal
		var i int64
		i, err = strconv.ParseInt(v.text, 0, 64)
		n = float64(i)
	}
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		d.broken(section, key, "%s is not a finite number; use 0 (off) or more", v.text)
		return
	}
	f.SetFloat(n)
}

func (d *decoder) duration(f reflect.Value, v *value, section, key string) {
	const form = `write a string of numbers with units (h, m, s, ms): %s = "20m0s"`
	switch v.kind {
	case kindInt:
		n, err := strconv.ParseInt(v.text, 0, 64)
		if err != nil {
			d.bad(section, key, "%s is out of range", v.text)
			return
		}
		f.SetInt(n)
		if n != 0 && n < int64(time.Second) && n > -int64(time.Second) {
			d.warn(section, key, `%s without a unit counts nanoseconds, so this is next to nothing; if seconds are meant, write %s = "%ss"`, v.text, key, v.text)
		}
	case kindString:
		t, err := parseDuration(v.text)
		if err != nil {
			d.bad(section, key, "%q is not a duration; "+form, v.text, key)
			return
		}
		if _, err := time.ParseDuration(v.text); err != nil && v.text != "" {
			d.warn(section, key, `%q is understood as %s, but GitLab Runner refuses it; write %s = "%s"`, v.text, t, key, t)
		}
		f.SetInt(int64(t))
	default:
		d.mismatch(v, section, key, fmt.Sprintf(form, key))
	}
}

var minutes = regexp.MustCompile(`(\d)min`)

// parseDuration reads Go's durations, and the looser forms that GitLab's documentation shows: "3600 s", "1 h 30 min".
func parseDuration(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if t, err := time.ParseDuration(s); err == nil {
		return t, nil
	}
	s = strings.Join(strings.Fields(s), "")
	return time.ParseDuration(minutes.ReplaceAllString(s, "${1}m"))
}

func (d *decoder) time(f reflect.Value, v *value, section, key string) {
	if v.kind != kindTime && v.kind != kindString {
		d.mismatch(v, section, key, "write a date-time with a zone: "+key+" = 2026-01-31T12:00:00Z")
		return
	}
	text := strings.ToUpper(strings.Replace(v.text, " ", "T", 1))
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil && text != "" {
		d.bad(section, key, "%q is not a date-time; write %s = 2026-01-31T12:00:00Z", v.text, key)
		return
	}
	f.Set(reflect.ValueOf(t))
}

// free returns the value as Go has it, for tables whose keys are somebody else's.
func (v *value) free() any {
	switch v.kind {
	case kindInt:
		if n, err := strconv.ParseInt(v.text, 0, 64); err == nil {
			return n
		}
	case kindFloat:
		if n, err := strconv.ParseFloat(strings.ReplaceAll(v.text, "_", ""), 64); err == nil {
			return n
		}
	case kindBool:
		return v.text == "true"
	case kindList, kindTableSet:
		list := make([]any, 0, len(v.list))
		for _, e := range v.list {
			list = append(list, e.free())
		}
		return list
	case kindTable:
		m := map[string]any{}
		for _, e := range v.table.entries {
			m[e.key] = e.value.free()
		}
		return m
	}
	return v.text
}
