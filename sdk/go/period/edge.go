package period

// NextChange returns the first second after local, at most within seconds later, at which the expression is active and was not
// before, or the other way round. When it does not change until then the result is local+within. Both are seconds of the wall
// clock as in Matches, so a change of the zone's offset in between is for the caller to look at.
//
// It skips whole days, hours and minutes, so its price is a few hundred steps whatever the expression.
func (e Expr) NextChange(local, within int64) int64 {
	end := local + within
	active := e.Matches(local)
	for t := local + 1; t < end; {
		days, second := split(t)
		length := e.uniform(days, second, active)
		if length == 0 {
			return t
		}
		t += length
	}
	return end
}

// uniform returns for how many seconds from this one on the expression is surely active (or surely not), looking at most to
// the end of the day; 0 means that it is the other already.
func (e Expr) uniform(days, second int64, active bool) int64 {
	const all60 = uint64(1)<<60 - 1
	const all24 = uint32(1)<<24 - 1
	if !e.matchesDay(days) {
		return unless(active, daySeconds-second)
	}
	everySecond := e.second == all60
	everyMinute := everySecond && e.minute == all60
	if everyMinute && e.hour == all24 {
		return unless(!active, daySeconds-second)
	}
	if e.hour>>(second/hourSeconds)&1 == 0 {
		return unless(active, hourSeconds-second%hourSeconds)
	}
	if everyMinute {
		return unless(!active, hourSeconds-second%hourSeconds)
	}
	if e.minute>>(second/minuteSeconds%60)&1 == 0 {
		return unless(active, minuteSeconds-second%minuteSeconds)
	}
	if everySecond {
		return unless(!active, minuteSeconds-second%minuteSeconds)
	}
	return unless(e.matchesSecond(second) != active, 1)
}

func unless(not bool, length int64) int64 {
	if not {
		return 0
	}
	return length
}
