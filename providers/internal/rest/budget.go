package rest

import (
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Budget is what a provider says of its rate limit.
type Budget struct {
	Limit, Remaining int // calls; both 0 when it says nothing
	ResetS           int // seconds until the provider gives more
}

// Low tells whether so little is left that it should be kept for lists and removals: less than 2 of 100.
func (b Budget) Low() bool { return b.Limit > 0 && b.Remaining*50 < b.Limit }

// Exhausted is the error of a creation that leaves the rest of a budget to others. pause is how long it asks the host to wait at least, in seconds.
func (b Budget) Exhausted(pause int) *abi.Error {
	return &abi.Error{Kind: abi.RateLimited, RetryAfterS: max(b.ResetS, pause), Message: "only " + strconv.Itoa(b.Remaining) + " of " + strconv.Itoa(b.Limit) +
		" calls are left of the provider's rate limit; they are kept for lists and removals"}
}

// budgetOf reads the headers that many providers have: the limit, what remains of it, and an instant in seconds since 1970.
func budgetOf(headers map[string][]string) (b Budget) {
	b.Limit = number(headers, "RateLimit-Limit")
	b.Remaining = number(headers, "RateLimit-Remaining")
	if at, now := number(headers, "RateLimit-Reset"), date(headers, "Date"); at > 0 && !now.IsZero() { // we have no clock
		b.ResetS = max(at-int(now.Unix()), 0)
	}
	return b
}

// RetryAfter is how long a provider asks its callers to wait, in seconds: its Retry-After, seconds or a date, else the reset of its rate limit; 0
// when it says nothing.
func RetryAfter(headers map[string][]string) int {
	text := Header(headers, "Retry-After")
	if n, err := strconv.Atoi(text); err == nil {
		return max(n, 0)
	}
	if until, now := date(headers, "Retry-After"), date(headers, "Date"); !until.IsZero() && !now.IsZero() {
		return max(int(until.Sub(now).Seconds()), 0)
	}
	return budgetOf(headers).ResetS
}

// Header returns the first value of a header, whatever its case; "" when there is none.
func Header(headers map[string][]string, name string) string {
	for key, values := range headers {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

func number(headers map[string][]string, name string) int {
	n, err := strconv.Atoi(Header(headers, name))
	if err != nil {
		return 0
	}
	return max(n, 0)
}

func date(headers map[string][]string, name string) time.Time {
	t, err := time.Parse(time.RFC1123, Header(headers, name))
	if err != nil {
		return time.Time{}
	}
	return t
}
