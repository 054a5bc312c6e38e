package period

import (
	"errors"
	"strconv"
	"strings"
)

// field says what one field may hold.
type field struct {
	name     string
	min, max int
	words    []string // names of the values from min on, full; three letters are enough
	wrap     bool     // a range may run over the end
	extra    string   // what else is allowed, for messages
}

var (
	secondField  = field{name: "second", max: 59, wrap: true}
	minuteField  = field{name: "minute", max: 59, wrap: true}
	hourField    = field{name: "hour", max: 23, wrap: true}
	dayField     = field{name: "day-of-month", min: 1, max: 31, wrap: true, extra: ", L (last), LW (last weekday), 15W (nearest weekday)"}
	monthField   = field{name: "month", min: 1, max: 12, wrap: true, words: months, extra: ", jan-dec"}
	weekdayField = field{name: "day-of-week", max: 7, wrap: true, words: weekdays, extra: " (0 and 7 are Sunday), sun-sat, 5L (last Friday), mon#2 (second Monday)"}
	yearField    = field{name: "year", min: firstYear, max: lastYear}
)

var months = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}
var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// parseFields reads the seven fields, which are in lower case.
func (e *Expr) parseFields(fields []string) error {
	number := func(f field, text string, set func(v int)) error {
		return f.parse(text, func(bool) {}, set, e.warn, nil)
	}
	if err := number(secondField, fields[0], func(v int) { e.second |= 1 << v }); err != nil {
		return err
	}
	if err := number(minuteField, fields[1], func(v int) { e.minute |= 1 << v }); err != nil {
		return err
	}
	if err := number(hourField, fields[2], func(v int) { e.hour |= 1 << v }); err != nil {
		return err
	}
	if err := e.day.parse(fields[3], e.warn); err != nil {
		return err
	}
	if err := number(monthField, fields[4], func(v int) { e.month |= 1 << v }); err != nil {
		return err
	}
	if err := e.weekday.parse(fields[5], e.warn); err != nil {
		return err
	}
	setYear := func(v int) { e.year[(v-firstYear)/64] |= 1 << ((v - firstYear) % 64) }
	return yearField.parse(fields[6], func(all bool) { e.anyYear = all }, setYear, e.warn, nil)
}

func (d *dayOfMonth) parse(text string, warn func(string)) error {
	special := func(entry string) bool {
		switch {
		case entry == "l":
			d.last = true
		case entry == "lw" || entry == "wl":
			d.lastWeekday = true
		case strings.HasSuffix(entry, "w"):
			v, ok := dayField.value(strings.TrimSuffix(entry, "w"))
			if !ok {
				return false
			}
			d.nearest |= 1 << v
		default:
			return false
		}
		return true
	}
	return dayField.parse(text, func(bool) { d.any = true }, func(v int) { d.days |= 1 << v }, warn, special)
}

func (d *dayOfWeek) parse(text string, warn func(string)) error {
	special := func(entry string) bool {
		if day, nth, ok := strings.Cut(entry, "#"); ok {
			v, ok := weekdayField.value(day)
			if !ok || len(nth) != 1 || nth[0] < '1' || nth[0] > '5' {
				return false
			}
			d.nth[nth[0]-'1'] |= 1 << (v % 7)
			return true
		}
		v, ok := weekdayField.value(strings.TrimSuffix(entry, "l"))
		if !ok || !strings.HasSuffix(entry, "l") {
			return false
		}
		d.last |= 1 << (v % 7)
		return true
	}
	return weekdayField.parse(text, func(bool) { d.any = true }, func(v int) { d.days |= 1 << (v % 7) }, warn, special)
}

// parse reads the comma separated entries of one field. all is called for `*` and `?`, set for each value (also those of `*`),
// special is asked about an entry that is no value, range or step; it may be nil.
func (f field) parse(text string, all func(bool), set func(int), warn func(string), special func(string) bool) error {
	found := false
	for _, entry := range strings.Split(text, ",") {
		if entry == "" { // GitLab Runner overlooks these too
			continue
		}
		found = true
		if entry == "*" || entry == "?" {
			all(true)
		}
		first, last, step, ok := f.span(entry)
		if !ok {
			if special != nil && special(entry) {
				continue
			}
			return f.refuse(entry)
		}
		if last < first {
			if !f.wrap {
				return errors.New(f.name + " field: `" + entry + "` runs backwards; write the smaller " + f.name + " first")
			}
			warn("has a " + f.name + " range that runs backwards, `" + entry + "`, which wraps around " +
				"(GitLab Runner crashes on it or never matches)")
			last += f.size()
		}
		if f.max == 7 && first < 7 && last == 7 {
			warn("has the " + f.name + " range `" + entry + "` with 7 for Sunday, which GitLab Runner reads as 0 and so gets wrong")
		}
		for v := first; v <= last; v += step {
			set(f.min + (v-f.min)%f.size())
		}
	}
	if !found {
		return f.refuse(text)
	}
	return nil
}

// size is the number of different values; the weekday 7 is 0 again.
func (f field) size() int {
	if f.max == 7 {
		return 7
	}
	return f.max - f.min + 1
}

// span reads `*`, `5`, `5-20`, each with or without `/n`. A single value with a step runs to the end of the field.
func (f field) span(entry string) (first, last, step int, ok bool) {
	body, stepText, stepped := strings.Cut(entry, "/")
	step = 1
	if stepped {
		if step, ok = number(stepText); !ok || step < 1 || step > f.max {
			return 0, 0, 0, false
		}
	}
	if body == "*" || body == "?" && !stepped {
		return f.min, f.min + f.size() - 1, step, true
	}
	from, to, ranged := strings.Cut(body, "-")
	if first, ok = f.value(from); !ok {
		return 0, 0, 0, false
	}
	switch {
	case ranged:
		last, ok = f.value(to)
		if first == 7 && f.max == 7 && last < 7 { // Sunday to a later day
			first = 0
		}
	case stepped:
		last = max(first, f.min+f.size()-1)
	default:
		last = first
	}
	return first, last, step, ok
}

// value reads a number or a name.
func (f field) value(text string) (int, bool) {
	for i, word := range f.words {
		if text == word || text == word[:3] {
			return f.min + i, true
		}
	}
	v, ok := number(text)
	return v, ok && v >= f.min && v <= f.max
}

// number reads up to four digits.
func number(text string) (int, bool) {
	if text == "" || len(text) > 4 {
		return 0, false
	}
	n := 0
	for i := 0; i < len(text); i++ {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = 10*n + int(text[i]-'0')
	}
	return n, true
}

func (f field) refuse(entry string) error {
	const most = 40
	if len(entry) > most {
		entry = strings.ToValidUTF8(entry[:most], "") + "..."
	}
	limits := strconv.Itoa(f.min) + "-" + strconv.Itoa(f.max)
	return errors.New(f.name + " field: `" + entry + "` is not allowed; use " + limits + f.extra +
		", `*`, lists (1,2), ranges (1-2) and steps of 1 to " + strconv.Itoa(f.max) + " (*/2)")
}
