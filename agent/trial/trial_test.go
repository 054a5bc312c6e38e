package trial

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
	"github.com/millwright-ci/millwright/sdk/go/policy/sample"
)

func load(t *testing.T, wasm []byte) *module.Module {
	t.Helper()
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{Name: "burst.wasm", Wasm: wasm})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func failures(r Report) string {
	var out []string
	for _, c := range r.Checks {
		if c.Failed != "" {
			out = append(out, c.What+": "+c.Failed)
		}
	}
	return strings.Join(out, "\n")
}

func TestPolicy(t *testing.T) {
	for name, tc := range map[string]struct{ decide, want string }{
		"all is well":           {`{"idle_target":3,"reason":"three"}`, ""},
		"nothing to propose":    {`{}`, ""},
		"a negative number":     {`{"idle_target":-1,"reason":"none"}`, "valid: a working day: idle_target: -1 is negative"},
		"a trap":                {moduletest.Trap, "valid: jobs wait: burst: decide: trap: unreachable"},
		"no reason":             {`{"idle_target":3}`, "a target without a reason"},
		"a reason of two lines": {`{"reason":"a\nb"}`, "reason: has several lines"},
		"no proposal":           {`[1]`, "is no proposal"},
		"more state than kept":  {`{"state":"` + strings.Repeat("x", 64<<10+1) + `"}`, "state: has 65537 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Policy(t.Context(), load(t, moduletest.TinyPolicy("burst", tc.decide)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := failures(r); r.Failed() != (tc.want != "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestReports checks that a policy which reports a failure of its own passes, but not on the most ordinary day.
func TestReports(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "agent/module/testdata/probe")
	r, err := Policy(t.Context(), m, Options{Config: abi.Raw(`{"do":"fail when many"}`)})
	if err != nil || r.Failed() {
		t.Errorf("%s, %v", failures(r), err)
	}
	if last := r.Outcomes[len(r.Outcomes)-1]; last.Snapshot != "a thousand machines" || !strings.Contains(last.Error, "there are too many") {
		t.Errorf("got %+v", last)
	}
	r, err = Policy(t.Context(), m, Options{Config: abi.Raw(`{"do":"fail"}`)})
	if err != nil || !strings.Contains(failures(r), "valid: a working day: probe: decide: the weather is bad") {
		t.Errorf("%s, %v", failures(r), err)
	}
}

// TestGuestsWithAMind runs a guest that counts its own calls: the host would get another answer from a fresh instance.
func TestGuestsWithAMind(t *testing.T) {
	h := moduletest.Host(t, module.Limits{})
	m := moduletest.Load(t, h, "agent/module/testdata/probe")
	r, err := Policy(t.Context(), m, Options{Config: abi.Raw(`{"do":"remember"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got := failures(r); !strings.Contains(got, "the same: a working day: asked twice on the same snapshot it answers otherwise; use state to remember something") {
		t.Errorf("got %q", got)
	}
}

func TestVectors(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{
		"a.json": `[{"about":"three","input":{},"output":{"idle_target":3,"reason":"three"}},{"policy":"periods","input":"","expect":""}]`,
		"b.json": `{"about":"four","input":{},"output":{"idle_target":4}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := load(t, moduletest.TinyPolicy("burst", `{"idle_target":3,"reason":"three"}`))
	r, err := Policy(t.Context(), m, Options{Vectors: dir})
	if last := r.Checks[len(r.Checks)-1]; err != nil || !strings.HasPrefix(failures(r), "b.json: four: \n got ") || last.Detail != "1 of 2; 1 are for others" {
		t.Errorf("got %+v, %q, %v", last, failures(r), err)
	}
	if _, err := Policy(t.Context(), m, Options{Vectors: filepath.Join(dir, "none")}); err == nil {
		t.Error("a folder that is not there is taken")
	}
}

// TestOutcomesAreThePlans holds what is shown of the guard rails to what the plan does.
func TestOutcomesAreThePlans(t *testing.T) {
	for _, target := range []int{0, 3, 12, 60, 5_000_000} {
		for _, s := range sample.All(abi.Describe{WantMachines: true}) {
			if s.Odd {
				continue
			}
			out := outcome("burst", s, abi.Proposal{IdleTarget: &target, Reason: "so many"})
			d, _ := module.Decided("burst", s.Snapshot, out.Proposal)
			limits := fleet.Limits{Limit: s.Snapshot.Runner.Limit, MaxGrowthRate: s.Snapshot.Runner.MaxGrowthRate}
			f := fleetOf(s.Snapshot)
			if f.Counts() != s.Snapshot.Fleet {
				t.Fatalf("%s: the fleet counts %+v, the snapshot %+v", s.Name, f.Counts(), s.Snapshot.Fleet)
			}
			created := 0
			for _, a := range plan.Plan(d.At, f, d, limits) {
				if a.Kind == fleet.Create {
					created++
				}
			}
			wished := max(min(target, 1_000_000)-s.Snapshot.Fleet.Available, 0)
			shown := wished
			for _, r := range out.Rails {
				if r.Name == "create" {
					shown = r.Got
				}
			}
			if shown != created {
				t.Errorf("%s, target %d: shows %d creations, the plan makes %d", s.Name, target, shown, created)
			}
		}
	}
}

func TestBench(t *testing.T) {
	m := moduletest.Load(t, moduletest.Host(t, module.Limits{}), "policies/idlescale")
	input, err := json.Marshal(sample.Day(m.Describe()))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Bench(t.Context(), m, input, 20)
	if err != nil || f.Calls != 20 || f.P50 <= 0 || f.P50 > f.P95 || f.P95 > f.Max || f.Fuel < 1000 || f.Pages < 16 {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := Bench(t.Context(), m, []byte("junk"), 20); err == nil || !strings.Contains(err.Error(), "decision 1: ") {
		t.Errorf("junk: %v", err)
	}
}
