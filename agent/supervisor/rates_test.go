package supervisor

import (
	"testing"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/pool"
)

// TestProviderRates holds the rates to what the providers publish. How many requests a driver's call takes at most, lists of one page, is what the
// drivers' own tests count.
func TestProviderRates(t *testing.T) {
	for driver, published := range map[string]struct {
		minute, hour float64 // requests; a minute of 0 has no limit of its own
		call, remove float64 // requests that a creation or a list takes, and a removal
	}{
		"amazonec2":    {5 + 2*60, 5 + 2*3600, 1, 1}, // of RunInstances, the scarcest
		"digitalocean": {250, 5000, 3, 3},
		"hetzner":      {0, 3600, 3, 2},
	} {
		r := ratesOf(driver, config.OperatorDriver{})
		within := func(seconds float64) float64 {
			calls := float64(r.Calls.Burst) + r.Calls.PerSecond*seconds
			removes := min(float64(r.Removes.Burst)+r.Removes.PerSecond*seconds, calls)
			return (calls-removes)*published.call + removes*published.remove
		}
		if n := within(60); published.minute > 0 && n > published.minute {
			t.Errorf("%s: %.0f requests in a minute, %.0f are allowed", driver, n, published.minute)
		}
		if n := within(3600); n > published.hour {
			t.Errorf("%s: %.0f requests in an hour, %.0f are allowed", driver, n, published.hour)
		}
	}
	want := pool.Rates{Calls: pool.Rate{PerSecond: 2, Burst: 55}, Removes: pool.Rate{PerSecond: 0.3, Burst: 7}}
	if got := ratesOf("digitalocean", config.OperatorDriver{CallsPerSecond: 2, RemovesBurst: 7}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := ratesOf("google", config.OperatorDriver{}); got != (pool.Rates{}) {
		t.Errorf("google has rates of its own: %+v", got)
	}
}
