package policytest

import (
	"errors"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy"
	"github.com/millwright-ci/millwright/sdk/go/policy/sample"
)

// twice wants two machines per job that runs, up to a limit.
type twice struct{}

func (twice) Describe() abi.Describe { return abi.Describe{Name: "twice", Position: 30} }

func (twice) Decide(s abi.Snapshot) (abi.Proposal, error) {
	target := 2 * max(s.Demand.Running, 0)
	if given := s.Config.Field("limit"); len(given) > 0 {
		limit, ok := given.Int()
		if !ok {
			return abi.Proposal{}, errors.New("config.limit is no integer")
		}
		target = min(target, limit)
	}
	return abi.Proposal{IdleTarget: &target, Reason: "two per job"}, nil
}

func TestSuite(t *testing.T) {
	Suite{Policy: twice{}, Cases: "testdata/cases"}.Run(t)
	Suite{Policy: twice{}, Config: abi.Raw(`{"limit":5}`), Observed: abi.Raw(`[1]`)}.Run(t)
}

func TestDecide(t *testing.T) {
	if p := Decide(t, twice{}, sample.Day(abi.Describe{})); *p.IdleTarget != 8 {
		t.Errorf("got %d, want 8", *p.IdleTarget)
	}
}

// faulty does what decide says.
type faulty struct {
	describe abi.Describe
	decide   func(abi.Snapshot) (abi.Proposal, error)
}

func (f faulty) Describe() abi.Describe                      { return f.describe }
func (f faulty) Decide(s abi.Snapshot) (abi.Proposal, error) { return f.decide(s) }

// recorder is a test that keeps what is reported.
type recorder struct {
	testing.TB
	reports []string
}

func (r *recorder) Helper()                        {}
func (r *recorder) Errorf(format string, _ ...any) { r.reports = append(r.reports, format) }

// TestFindsFaults shows that the harness sees what the host would refuse, and what is not pure.
func TestFindsFaults(t *testing.T) {
	calls := 0
	for name, tc := range map[string]struct {
		decide func(abi.Snapshot) (abi.Proposal, error)
		want   string
	}{
		"a clock or a memory of its own": {func(abi.Snapshot) (abi.Proposal, error) {
			calls++
			return abi.Proposal{IdleTarget: &calls}, nil
		}, "not pure"},
		"a negative number": {func(abi.Snapshot) (abi.Proposal, error) {
			n := -1
			return abi.Proposal{MaxBuilds: &n}, nil
		}, "would refuse"},
		"nothing wrong": {func(abi.Snapshot) (abi.Proposal, error) { return abi.Proposal{}, nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			var p policy.Policy = faulty{decide: tc.decide}
			if _, err := decide(r, p, sample.Day(abi.Describe{})); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(r.reports, "\n"); (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("reported %q, want %q", got, tc.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	minus, long := -0.5, strings.Repeat("x", 64<<10+1)
	err := Check(abi.Proposal{
		Settings: &abi.Settings{IdleScaleFactor: &minus}, AskAgainS: &minus, State: &long, Reason: "two\nlines", Remove: make([]abi.Removal, 1001),
	})
	for _, want := range []string{"settings.idle_scale_factor: -0.5 is negative", "ask_again_s: -0.5", "state: has 65537 bytes", "remove: has 1001 entries", "reason: has several lines"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	err = CheckDescribe(abi.Describe{Name: "No Name", Summary: "a\nb", Options: make([]abi.Option, 1), WantHistory: &abi.HistoryWish{Points: 2000, StepS: 90}})
	for _, want := range []string{"name: \"No Name\"", "summary", "options", "steps of 90 s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
