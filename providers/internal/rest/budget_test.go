package rest_test

import (
	"testing"

	"github.com/millwright-ci/millwright/providers/internal/rest"
)

func TestRetryAfter(t *testing.T) {
	const now = "Mon, 24 Aug 2026 10:00:00 GMT" // 1787565600
	for name, tc := range map[string]struct {
		headers map[string][]string
		want    int
	}{
		"seconds":               {map[string][]string{"retry-after": {"7"}}, 7},
		"a date":                {map[string][]string{"Retry-After": {"Mon, 24 Aug 2026 10:01:30 GMT"}, "Date": {now}}, 90},
		"the past":              {map[string][]string{"Retry-After": {"-3"}}, 0},
		"nonsense":              {map[string][]string{"Retry-After": {"soon"}}, 0},
		"nothing":               {nil, 0},
		"the limit's reset":     {map[string][]string{"Ratelimit-Reset": {"1787565620"}, "Date": {now}}, 20},
		"a reset without clock": {map[string][]string{"Ratelimit-Reset": {"1787565620"}}, 0},
		"both":                  {map[string][]string{"Retry-After": {"3"}, "Ratelimit-Reset": {"1787565620"}, "Date": {now}}, 3},
	} {
		if got := rest.RetryAfter(tc.headers); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestLow(t *testing.T) {
	for b, want := range map[rest.Budget]bool{
		{}: false, {Limit: 5000, Remaining: 100}: false, {Limit: 5000, Remaining: 99}: true, {Limit: 5000}: true,
	} {
		if b.Low() != want {
			t.Errorf("%+v: %v", b, b.Low())
		}
	}
	if e := (rest.Budget{Limit: 5000, Remaining: 3, ResetS: 2}).Exhausted(60); e.RetryAfterS != 60 {
		t.Errorf("it asks to wait %d s", e.RetryAfterS)
	}
}
