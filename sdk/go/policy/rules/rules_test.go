package rules

import (
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

func TestWish(t *testing.T) {
	for name, tc := range map[string]struct {
		wish abi.HistoryWish
		want string
	}{
		"a day by the hour":      {abi.HistoryWish{Points: 24, StepS: 3600}, ""},
		"a week by ten minutes":  {abi.HistoryWish{Points: 1000, StepS: 600}, ""},
		"no whole minutes":       {abi.HistoryWish{Points: 24, StepS: 90}, "steps of 90 s"},
		"too short a step":       {abi.HistoryWish{Points: 24}, "steps of 0 s"},
		"too many points":        {abi.HistoryWish{Points: 1001, StepS: 60}, "1001 steps"},
		"more than a week":       {abi.HistoryWish{Points: 169, StepS: 3600}, "169 steps of 3600 s"},
		"none":                   {abi.HistoryWish{StepS: 60}, "0 steps"},
		"a step of two weeks":    {abi.HistoryWish{Points: 1, StepS: 14 * 24 * 3600}, "use a multiple of 60, a week at most"},
		"a number that overflow": {abi.HistoryWish{Points: 1 << 62, StepS: 120}, "at most 1000 steps"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Wish(tc.wish)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	much, little := 5_000_000, 3
	p := abi.Proposal{
		IdleTarget: &much, MaxBuilds: &little, Settings: &abi.Settings{IdleCount: &much}, Reason: "two\nlines\x1b[1m",
		Remove: []abi.Removal{{Name: "a", Reason: strings.Repeat("é", MaxReason)}},
	}
	got, cuts := Cut(p)
	if *got.IdleTarget != MaxNumber || *got.Settings.IdleCount != MaxNumber || *got.MaxBuilds != 3 || got.Reason != "two lines[1m" {
		t.Errorf("got %+v", got)
	}
	if r := got.Remove[0].Reason; len(r) > MaxReason+len("…") || !strings.HasSuffix(r, "é…") {
		t.Errorf("the removal's reason became %d bytes: %q", len(r), r)
	}
	want := []Change{{"idle_target", much, MaxNumber}, {"settings.idle_count", much, MaxNumber}}
	if len(cuts) != 2 || cuts[0] != want[0] || cuts[1] != want[1] {
		t.Errorf("cut %v, want %v", cuts, want)
	}
	if *p.IdleTarget != much || *p.Settings.IdleCount != much || len(p.Remove[0].Reason) == len(got.Remove[0].Reason) {
		t.Errorf("the proposal itself was changed: %+v", p)
	}
}

func TestName(t *testing.T) {
	for name, want := range map[string]bool{
		"burst": true, "a": true, "9-to-5": true, "": false, "-a": false, "a-": false, "Burst": false, "a_b": false, "../a": false,
		strings.Repeat("a", 63): true, strings.Repeat("a", 64): false, "a\n": false,
	} {
		if Name(name) != want {
			t.Errorf("%q: got %v", name, !want)
		}
	}
}
