package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
)

// TestIdleTarget holds what the vectors of GitLab Runner's scaling pass (vectors_test.go) leave out: numbers at and beyond the edges.
func TestIdleTarget(t *testing.T) {
	for _, v := range []struct {
		name                   string
		used, minimum, maximum int
		factor                 float64
		want                   int
	}{
		{"3 × 1.1", 3, 0, 100, 1.1, 3},
		{"a negative factor is off", 3, 1, 7, -0.5, 7},
		{"an infinite factor is off", 3, 1, 7, math.Inf(1), 7},
		{"a factor that is no number is off", 3, 1, 7, math.NaN(), 7},
		{"a huge factor stays below IdleCount", 3, 1, 7, math.MaxFloat64, 7},
		{"a tiny factor", 3, 0, 7, math.SmallestNonzeroFloat64, 1},
		{"a negative IdleCount", 3, 5, -7, 2, 0},
		{"a negative IdleCount, no factor", 3, 5, -7, 0, 0},
		{"a negative number of used machines", -3, 2, 7, 2, 2},
		{"the largest numbers", math.MaxInt, math.MaxInt, math.MaxInt, math.MaxFloat64, math.MaxInt},
	} {
		t.Run(v.name, func(t *testing.T) {
			if got := IdleTarget(v.used, v.minimum, v.maximum, v.factor); got != v.want {
				t.Errorf("IdleTarget(%d, %d, %d, %g) = %d, want %d", v.used, v.minimum, v.maximum, v.factor, got, v.want)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	count, factor := 50, 1.5
	for name, c := range map[string]struct {
		snapshot abi.Snapshot
		target   int
		reason   string
	}{
		"the runner's own settings": {abi.Snapshot{Runner: abi.RunnerSettings{IdleCount: 2}}, 2,
			"IdleCount 2: hold 2 machines available"},
		"settings proposed before win, the rest is the runner's": {
			abi.Snapshot{
				Runner:   abi.RunnerSettings{IdleCount: 2, IdleCountMin: 1},
				Fleet:    abi.Counts{Used: 3},
				Proposal: abi.Proposal{Settings: &abi.Settings{IdleCount: &count, IdleScaleFactor: &factor}},
			}, 4, "3 used × 1.5 = 4.5, rounded down: hold 4 machines available"},
		"an even product": {scaled(4, 5, 50, 1.5), 6, "4 used × 1.5 = 6: hold 6 machines available"},
		"a noisy product": {scaled(100, 0, 100, 0.29), 29, "100 used × 0.29 = 29: hold 29"},
		"the minimum":     {scaled(1, 5, 50, 1.5), 5, "1 used × 1.5 = 1.5, raised to IdleCountMin 5: hold 5 machines available"},
		"the least":       {scaled(0, 0, 50, 1.5), 1, "0 used × 1.5 = 0, raised to 1, the least with a factor: hold 1 machine available"},
		"the cap":         {scaled(100, 10, 100, 1.5), 100, "100 used × 1.5 = 150, capped by IdleCount 100: hold 100 machines available"},
		"the cap on the minimum": {scaled(0, 10, 5, 1), 5,
			"0 used × 1 = 0, but the least is 10 and IdleCount 5 caps it: hold 5 machines available"},
		"on demand": {scaled(4, 5, 0, 2), 0, "IdleCount 0: machines are created when jobs ask for them"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := json.Marshal(c.snapshot)
			if err != nil {
				t.Fatal(err)
			}
			out, err := policy.Call(policy.Registered(), abi.ExportDecide, in)
			if err != nil {
				t.Fatal(err)
			}
			var p abi.Proposal
			if err := json.Unmarshal(out, &p); err != nil {
				t.Fatal(err)
			}
			if p.IdleTarget == nil || *p.IdleTarget != c.target || !strings.Contains(p.Reason, c.reason) {
				t.Errorf("got %s\nwant %d, %s", out, c.target, c.reason)
			}
			if p.Settings != nil {
				t.Error("idlescale must leave the settings to others")
			}
		})
	}
}

func scaled(used, minimum, maximum int, factor float64) abi.Snapshot {
	return abi.Snapshot{
		Runner: abi.RunnerSettings{IdleCount: maximum, IdleCountMin: minimum, IdleScaleFactor: factor},
		Fleet:  abi.Counts{Used: used},
	}
}

// FuzzIdleTarget looks for a result outside of 0..IdleCount, or one that falls when more machines are used.
func FuzzIdleTarget(f *testing.F) {
	f.Add(100, 10, 100, 0.29)
	f.Add(3, 0, 50, 1.5)
	f.Fuzz(func(t *testing.T, used, minimum, maximum int, factor float64) {
		got := IdleTarget(used, minimum, maximum, factor)
		if got < 0 || got > max(maximum, 0) {
			t.Fatalf("IdleTarget(%d, %d, %d, %g) = %d", used, minimum, maximum, factor, got)
		}
		if used < math.MaxInt && IdleTarget(used+1, minimum, maximum, factor) < got {
			t.Fatalf("IdleTarget(%d, %d, %d, %g) = %d, and less with one more used", used, minimum, maximum, factor, got)
		}
	})
}
