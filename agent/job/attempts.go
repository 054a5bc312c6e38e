package job

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The bounds of the variables that count attempts, and the waits between them.
const (
	maxAttempts     = 10
	firstRetryPause = 5 * time.Second
	maxRetryPause   = 5 * time.Minute
)

// tries reads a variable that counts attempts, clamped to 1..10.
func (r *run) tries(variable string) int {
	value := r.vars.get(variable)
	if value == "" {
		return 1
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxAttempts {
		n = max(1, min(n, maxAttempts))
		r.trace.Warningln(fmt.Sprintf("%s: %q must be a number from 1 to %d; using %d", variable, value, maxAttempts, n))
	}
	return n
}

// attempts calls f until it succeeds or the variable's number of tries is used up. What ended by a time-out or a cancel is not
// tried again.
func (r *run) attempts(ctx context.Context, variable string, f func(try int) error) error {
	tries, wait := r.tries(variable), firstRetryPause
	for try := 1; ; try++ {
		err := f(try)
		if err == nil || ctx.Err() != nil || try == tries {
			return err
		}
		text := fmt.Sprintf("Retry %d of %d: %v", try, tries-1, err)
		if !r.flags["FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY"] {
			r.trace.Warningln(text)
			continue
		}
		r.trace.Warningln(fmt.Sprintf("%s; trying again in %s", text, wait))
		if err := r.pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, maxRetryPause)
	}
}

// limit reads a variable that holds a duration, such as 1h30m. One that can't be used is ignored with a warning.
func (r *run) limit(variable string, fallback time.Duration) time.Duration {
	value := r.vars.get(variable)
	if value == "" {
		return fallback
	}
	d, err := time.ParseDuration(value)
	switch {
	case err == nil && d < 0:
		err = errors.New("it is negative")
	case err == nil && d > r.timeout:
		err = fmt.Errorf("it is longer than the job's own timeout of %s", r.timeout)
	}
	if err != nil {
		r.trace.Warningln(fmt.Sprintf("Ignoring %s %q: %v", variable, value, err))
		return fallback
	}
	if d == 0 {
		return fallback
	}
	return d
}

func orDuration(d, fallback time.Duration) time.Duration {
	if d <= 0 {
		return fallback
	}
	return d
}
