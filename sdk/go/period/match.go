package period

// Years that a year field may name.
const (
	firstYear = 1970
	lastYear  = 2099
)

const (
	minuteSeconds = 60
	hourSeconds   = 60 * minuteSeconds
	daySeconds    = 24 * hourSeconds
)

// Matches tells whether the expression is active at a second of the wall clock. local is that clock's reading in seconds since
// 1970-01-01 00:00:00 of the same clock: unix seconds plus the zone's offset east of UTC. An hour that the clock repeats matches
// both times, one that it skips never comes up.
//
// Day of month and day of week: if both are restricted (neither has a `*`), either is enough.
func (e Expr) Matches(local int64) bool {
	days, second := split(local)
	return e.matchesDay(days) && e.matchesSecond(second)
}

// split gives whole days since 1970-01-01 and the second of the day, 0 to 86399.
func split(local int64) (days, second int64) {
	days, second = local/daySeconds, local%daySeconds
	if second < 0 {
		days, second = days-1, second+daySeconds
	}
	return days, second
}

func (e Expr) matchesSecond(s int64) bool {
	return e.hour>>(s/hourSeconds)&1 == 1 && e.minute>>(s/minuteSeconds%60)&1 == 1 && e.second>>(s%60)&1 == 1
}

func (e Expr) matchesDay(days int64) bool {
	year, month, day := civil(days)
	if e.month>>month&1 == 0 || !e.matchesYear(year) {
		return false
	}
	weekday := weekdayOf(days)
	length := monthLength(year, month)
	switch {
	case e.day.any:
		return e.weekday.any || e.weekday.matches(weekday, day, length)
	case e.weekday.any:
		return e.day.matches(weekday, day, length)
	default:
		return e.day.matches(weekday, day, length) || e.weekday.matches(weekday, day, length)
	}
}

func (e Expr) matchesYear(year int64) bool {
	if year < firstYear || year > lastYear {
		return e.anyYear
	}
	n := year - firstYear
	return e.year[n/64]>>(n%64)&1 == 1
}

// matches takes the day's weekday, its number in the month and the month's length.
func (d dayOfMonth) matches(weekday, day, length int) bool {
	if d.days>>day&1 == 1 || d.last && day == length {
		return true
	}
	if weekday == 0 || weekday == 6 {
		return false
	}
	if d.lastWeekday && nearestWeekday(length, weekday+length-day, length) == day {
		return true
	}
	// A Friday to a Monday of the month may stand in for a day up to two away.
	for target := max(1, day-2); target <= min(length, day+2); target++ {
		if d.nearest>>target&1 == 1 && nearestWeekday(target, weekday+target-day, length) == day {
			return true
		}
	}
	return false
}

// nearestWeekday returns the day of the month, Monday to Friday, nearest to day without leaving the month. weekday is that of
// day, modulo 7 and possibly negative.
func nearestWeekday(day, weekday, length int) int {
	switch (weekday%7 + 7) % 7 {
	case 6:
		if day > 1 {
			return day - 1
		}
		return day + 2
	case 0:
		if day < length {
			return day + 1
		}
		return day - 2
	}
	return day
}

func (d dayOfWeek) matches(weekday, day, length int) bool {
	return d.days>>weekday&1 == 1 || d.nth[(day-1)/7]>>weekday&1 == 1 || day > length-7 && d.last>>weekday&1 == 1
}

// weekdayOf returns 0 for Sunday. The first of January 1970 was a Thursday.
func weekdayOf(days int64) int { return int(((days+4)%7 + 7) % 7) }

// civil turns days since 1970-01-01 into a date of the Gregorian calendar. It counts in years that begin in March, so that the
// leap day is the last of its year, and in cycles of 400 years, which have 146097 days.
func civil(days int64) (year int64, month, day int) {
	days += 719468 // from 0000-03-01
	cycle := days / 146097
	if days%146097 < 0 {
		cycle--
	}
	inCycle := days - cycle*146097
	yearOfCycle := (inCycle - inCycle/1460 + inCycle/36524 - inCycle/146096) / 365
	dayOfYear := inCycle - (365*yearOfCycle + yearOfCycle/4 - yearOfCycle/100)
	march := (5*dayOfYear + 2) / 153 // 0 is March
	day = int(dayOfYear-(153*march+2)/5) + 1
	month = int(march) + 3
	year = cycle*400 + yearOfCycle
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

func monthLength(year int64, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}
