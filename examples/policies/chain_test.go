package policies_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/module/history"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// remember writes the past of the agent's runner, as an agent that ran for a week before base would have: so many jobs at once in each hour.
func (a *agent) remember(base time.Time, jobs func(hour time.Time) int) {
	a.t.Helper()
	sum := sha256.Sum256([]byte(runnerKey))
	dir := filepath.Join(a.dir, "state", "runners", hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		a.t.Fatal(err)
	}
	h, err := history.Open(filepath.Join(dir, "history"), base)
	if err != nil {
		a.t.Fatal(err)
	}
	for now := base.Add(-7 * 24 * time.Hour); !now.After(base); now = now.Add(time.Minute) {
		n := jobs(now.Truncate(time.Hour))
		if err := h.Note(now, abi.Demand{Running: n}, abi.Counts{Used: n, Total: n}); err != nil {
			a.t.Fatal(err)
		}
	}
}

// TestChain drops the three policies of chain/ into an agent and goes through the day that its README shows.
func TestChain(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	base := time.Now().UTC().Truncate(time.Hour) // eight o'clock of that day
	at := func(hour, minute int) time.Time {
		return base.Add(time.Duration(hour-8)*time.Hour + time.Duration(minute)*time.Minute)
	}
	a.remember(base, func(hour time.Time) int {
		if day := hour.Add(7 * 24 * time.Hour); !day.Before(at(10, 0)) && day.Before(at(14, 0)) {
			return 12
		}
		return 1
	})
	a.write("millwright.toml", file(t, "chain/millwright.toml"))
	for _, name := range []string{"prediction", "cooldown", "budget"} {
		a.write("policies.d/"+name+".toml", file(t, "chain/policies.d/"+name+".toml"))
		a.write("policies.d/"+name+".wasm", wasm(t, name))
	}
	a.start()

	for _, tc := range []struct {
		now             time.Time
		used, available int
		target          int
		noGrowth        bool
		reasons         map[string]string // part of what each policy says
	}{
		{at(8, 30), 1, 2, 2, false, map[string]string{
			"prediction": "had 1 jobs, trend 1.00: expect 1 in 600 s, 1 run: the 2 wanted are enough", "cooldown": "hold 2 machines", "budget": "3 machines cost 0.60 an hour"}},
		{at(9, 52), 1, 2, 9, false, map[string]string{
			"prediction": "had 12 jobs, trend 1.00: expect 12 in 600 s, 1 run: hold 11 available", "cooldown": "hold 11 machines", "budget": "3 machines cost 0.60 an hour"}},
		{at(10, 0), 1, 9, 11, true, map[string]string{
			"prediction": "hold 11 available", "cooldown": "hold 11 machines", "budget": "one more at 0.20 would exceed the 2.00 allowed; no machine is created"}},
		{at(10, 4), 8, 2, 11, true, map[string]string{
			"prediction": "8 run: hold 4 available", "cooldown": "4 wanted: keep 11 until fewer have been wanted for 900 s", "budget": "10 machines cost 2.00"}},
		{at(10, 20), 8, 1, 2, false, map[string]string{
			"prediction": "8 run: hold 4 available", "cooldown": "hold 4 machines", "budget": "9 machines cost 1.80 an hour"}},
		{at(14, 30), 1, 2, 2, false, map[string]string{
			"prediction": "the 2 wanted are enough", "cooldown": "hold 2 machines", "budget": "3 machines cost 0.60 an hour"}},
	} {
		s := abi.Snapshot{
			Now: tc.now.Format(time.RFC3339), NowUnixMS: tc.now.UnixMilli(), Zones: []abi.Zone{{Name: "UTC"}},
			Runner: abi.RunnerSettings{IdleCount: 2, IdleTimeS: 600},
			Fleet:  abi.Counts{Used: tc.used, Idle: tc.available, Available: tc.available, Total: tc.used + tc.available},
			Demand: abi.Demand{Running: tc.used},
		}
		d := a.decide(s)
		clock := tc.now.Sub(base) + 8*time.Hour
		if d.IdleTarget != tc.target || d.NoGrowth != tc.noGrowth {
			t.Errorf("at %v: hold %d, no growth %v; want %d, %v: %s", clock, d.IdleTarget, d.NoGrowth, tc.target, tc.noGrowth, d.Reason)
		}
		if len(d.Steps) != 5 {
			t.Fatalf("at %v: the chain is %+v; the log:\n%s", clock, d.Steps, a.log)
		}
		for i, name := range []string{"prediction", "cooldown", "budget"} {
			step := d.Steps[2+i] // after the built-in ones
			if said := step.Proposal.Reason + step.Err; step.Module != name || !strings.Contains(said, tc.reasons[name]) {
				t.Errorf("at %v: %s says %q; want %s with %q", clock, step.Module, said, name, tc.reasons[name])
			}
		}
	}
}
