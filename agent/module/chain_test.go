package module_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// proposing is a link that proposes p, a JSON proposal.
func proposing(m *module.Module, position int, p string) module.Link {
	return module.Link{Module: m, Position: position, Config: abi.Raw(`{"do":"propose","then":` + p + `}`)}
}

func doing(m *module.Module, position int, what string) module.Link {
	return module.Link{Module: m, Position: position, Config: abi.Raw(`{"do":"` + what + `"}`)}
}

func chain(t testing.TB, links ...module.Link) *module.Chain {
	t.Helper()
	c, err := module.NewChain(slog.New(slog.DiscardHandler), links...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var runner = abi.RunnerSettings{Name: "r", IdleCount: 5, IdleCountMin: 2, IdleTimeS: 600}

func TestChainDecides(t *testing.T) {
	m := theProbe(t)
	scaled := runner
	scaled.IdleScaleFactor = 0.5
	for name, tc := range map[string]struct {
		links  []module.Link
		runner abi.RunnerSettings
		want   fleet.Decision
	}{
		"no policy": {nil, runner, fleet.Decision{IdleTarget: 5, IdleTime: 10 * time.Minute,
			Reason: "no policy proposed a target, so IdleCount holds: 5"}},
		"one": {[]module.Link{proposing(m, 1, `{"idle_target":3,"reason":"three"}`)}, runner,
			fleet.Decision{IdleTarget: 3, IdleTime: 10 * time.Minute, Reason: "three"}},
		"the later one wins, in order of position": {
			[]module.Link{proposing(m, 20, `{"idle_target":4,"reason":"four"}`), proposing(m, 10, `{"idle_target":3,"reason":"three"}`)}, runner,
			fleet.Decision{IdleTarget: 4, IdleTime: 10 * time.Minute, Reason: "four"}},
		"what is absent is inherited": {
			[]module.Link{
				proposing(m, 1, `{"idle_target":3,"settings":{"idle_time_s":60},"growth_limit":2,"max_builds":1,"ask_again_s":1.5,"remove":[{"name":"a","reason":"old"}],"next_machine":{"zone":["b"]},"reason":"three"}`),
				proposing(m, 2, `{"settings":{"idle_count":9}}`)}, runner,
			fleet.Decision{IdleTarget: 3, IdleTime: time.Minute, GrowthLimit: 2, MaxBuilds: 1, AskAgain: 1500 * time.Millisecond,
				Remove: []abi.Removal{{Name: "a", Reason: "old"}}, NextMachine: abi.Options{"zone": {"b"}}, Reason: "three"}},
		"no growth can't be taken back": {[]module.Link{
			proposing(m, 1, `{"idle_target":3,"no_growth":true,"reason":"spent"}`), proposing(m, 2, `{"no_growth":false,"growth_limit":7}`)}, runner,
			fleet.Decision{IdleTarget: 3, IdleTime: 10 * time.Minute, NoGrowth: true, GrowthLimit: 7, Reason: "spent"}},
		"settings without a target": {[]module.Link{proposing(m, 1, `{"settings":{"idle_count":9}}`)}, runner,
			fleet.Decision{IdleTarget: 9, IdleTime: 10 * time.Minute, Reason: "no policy proposed a target, so IdleCount holds: 9"}},
		"a factor that can't be applied": {nil, scaled, fleet.Decision{IdleTarget: 2, IdleTime: 10 * time.Minute,
			Reason: "no policy proposed a target, so 2 is held: IdleCountMin, while IdleScaleFactor can't be applied"}},
		"one that fails is skipped": {[]module.Link{proposing(m, 1, `{"idle_target":3,"reason":"three"}`), doing(m, 2, "fail")}, runner,
			fleet.Decision{IdleTarget: 3, IdleTime: 10 * time.Minute, Reason: "three; skipped: probe: decide: the weather is bad"}},
		"one that crashes is skipped, the next one runs": {
			[]module.Link{doing(m, 1, "panic"), proposing(m, 2, `{"idle_target":3,"reason":"three"}`)}, runner,
			fleet.Decision{IdleTarget: 3, IdleTime: 10 * time.Minute, Reason: "three; skipped: probe: decide: trap: unreachable (panic: boom [recovered, repanicked])"}},
		"enormous numbers count as large ones": {[]module.Link{proposing(m, 1, `{"idle_target":9007199254740993,"ask_again_s":1e300,"reason":"all"}`)}, runner,
			fleet.Decision{IdleTarget: 1_000_000, IdleTime: 10 * time.Minute, AskAgain: 1_000_000_000 * time.Second, Reason: "all"}},
		"a required one that fails stops growth": {[]module.Link{{Module: m, Config: abi.Raw(`{"do":"fail"}`), Required: true}}, runner,
			fleet.Decision{IdleTarget: 5, IdleTime: 10 * time.Minute, NoGrowth: true,
				Reason: "no policy proposed a target, so IdleCount holds: 5; skipped: probe: decide: the weather is bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2024, 1, 15, 12, 0, 0, 0, time.UTC)
			got := chain(t, tc.links...).Decide(t.Context(), abi.Snapshot{NowUnixMS: now.UnixMilli(), Runner: tc.runner})
			if len(got.Steps) != len(tc.links) {
				t.Errorf("%d steps, want %d", len(got.Steps), len(tc.links))
			}
			for _, s := range got.Steps {
				if !strings.HasPrefix(s.Module, "probe") || s.Duration <= 0 {
					t.Errorf("a step is %+v", s)
				}
			}
			tc.want.At = now
			// What Go adds to a panic that passed through a deferred function differs between its versions.
			got.Reason = strings.Replace(got.Reason, "(panic: boom)", "(panic: boom [recovered, repanicked])", 1)
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(fleet.Decision{}, "Steps")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChainRefusesBadProposals(t *testing.T) {
	h := moduletest.Host(t, module.Limits{})
	for name, tc := range map[string]struct{ proposal, want string }{
		"a negative target":    {`{"idle_target":-1}`, "idle_target: -1 is negative"},
		"a negative factor":    {`{"settings":{"idle_scale_factor":-0.5}}`, "settings.idle_scale_factor: -0.5 is negative"},
		"a negative idle time": {`{"settings":{"idle_time_s":-5}}`, "settings.idle_time_s: -5 is negative"},
		"a negative wait":      {`{"ask_again_s":-1}`, "ask_again_s: -1 is negative"},
		"half a machine":       {`{"idle_target":0.5}`, "cannot unmarshal"},
		"beyond all numbers":   {`{"idle_target":1e999}`, "cannot unmarshal"},
		"a list":               {`[]`, "cannot unmarshal"},
		"too much state":       {`{"state":"` + strings.Repeat("x", 64<<10+1) + `"}`, "state: has 65537 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			d := chain(t, module.Link{Module: load(t, h, tiny(returns(tc.proposal)))}).Decide(t.Context(), abi.Snapshot{Runner: runner})
			if got := d.Steps[0].Err; !strings.Contains(got, "returned a bad proposal") || !strings.Contains(got, tc.want) || d.IdleTarget != 5 {
				t.Errorf("target %d, step: %.200s; want %q", d.IdleTarget, got, tc.want)
			}
		})
	}
}

func TestChainKeepsStatePerLink(t *testing.T) {
	m := theProbe(t)
	c := chain(t, doing(m, 1, "count"), doing(m, 2, "count"))
	for want := range 3 {
		d := c.Decide(t.Context(), abi.Snapshot{Runner: runner})
		if d.IdleTarget != want || *d.Steps[0].Proposal.IdleTarget != want {
			t.Errorf("decision %d: %d and %d", want, *d.Steps[0].Proposal.IdleTarget, d.IdleTarget)
		}
	}
}

// TestChainShowsEachModuleItsOwn checks what a policy sees: the proposals before it, its own state, and the machines it asked for.
func TestChainShowsEachModuleItsOwn(t *testing.T) {
	h := moduletest.Host(t, module.Limits{})
	seer := theProbe(t) // describes itself as one that wants the machines
	silent := load(t, h, tiny(returns(`{"idle_target":7,"state":"secret","metrics":{"a":1}}`)))
	c := chain(t, module.Link{Module: silent, Position: 1}, doing(seer, 2, "see"))
	if !c.WantMachines() || chain(t, module.Link{Module: silent}).WantMachines() {
		t.Error("WantMachines is not what the modules describe")
	}
	d := c.Decide(t.Context(), abi.Snapshot{Runner: abi.RunnerSettings{}, Machines: []abi.MachineView{{Name: "m1"}}})
	if !strings.HasPrefix(d.Steps[1].Proposal.Reason, `{"abi":1,`) {
		t.Fatalf("the probe says %q", d.Steps[1].Proposal.Reason)
	}
	for _, want := range []string{`"name":"m1"`, `"proposal":{"idle_target":7}`} {
		if !strings.Contains(d.Steps[1].Proposal.Reason, want) {
			t.Errorf("the probe saw %s, want %s in it", d.Steps[1].Proposal.Reason, want)
		}
	}
}

func TestChainLogsAFaultOnce(t *testing.T) {
	var log bytes.Buffer
	m := theProbe(t)
	c, err := module.NewChain(slog.New(slog.NewTextHandler(&log, nil)), doing(m, 1, "fail"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.Decide(t.Context(), abi.Snapshot{Runner: runner})
	}
	if n := strings.Count(log.String(), "policy skipped"); n != 1 {
		t.Errorf("it was logged %d times:\n%s", n, log.String())
	}
}

func TestBuiltinChain(t *testing.T) {
	c, err := builtinHost(t).BuiltinChain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := c.Decide(t.Context(), liveSnapshot(t))
	if len(d.Steps) != 2 || d.Steps[0].Err != "" || d.Steps[1].Err != "" || d.Reason == "" {
		t.Errorf("decided %+v", d)
	}
	if d.IdleTarget != 6 || d.IdleTime != 30*time.Minute { // 4 jobs at a factor of 1.5, between 2 and 10
		t.Errorf("target %d, idle time %v: %s", d.IdleTarget, d.IdleTime, d.Reason)
	}
}

// liveSnapshot is what the pool would send at noon of a Monday: about 2 KB.
func liveSnapshot(t testing.TB) abi.Snapshot {
	t.Helper()
	now := time.Date(2024, 1, 15, 12, 0, 0, 0, time.UTC)
	zones, err := module.NewZones("UTC", "Europe/Berlin", "Local")
	if err != nil {
		t.Fatal(err)
	}
	s := abi.Snapshot{
		Now: now.Format(time.RFC3339Nano), NowUnixMS: now.UnixMilli(), Zones: zones.At(now),
		Runner: abi.RunnerSettings{
			Name: "docker+machine of the team", Limit: 50, Concurrent: 100, IdleCount: 10, IdleCountMin: 2, IdleTimeS: 600, MaxGrowthRate: 5, MaxBuilds: 20,
			Autoscaling: []abi.PeriodsSettings{
				{Periods: []string{"* * 9-17 * * mon-fri *"}, Timezone: "UTC", IdleCount: 10, IdleCountMin: 2, IdleScaleFactor: 1.5, IdleTimeS: 1800},
				{Periods: []string{"* * * * * sat,sun *"}, Timezone: "Europe/Berlin", IdleCount: 1, IdleTimeS: 60},
			},
		},
		Fleet:  abi.Counts{Creating: 1, Idle: 3, Used: 4, Available: 4, Total: 8},
		Demand: abi.Demand{Running: 4, Waiting: 1, Windows: []abi.Window{{Seconds: 60, Arrivals: 2}, {Seconds: 3600, Arrivals: 90, Finished: 85, MeanDuration: 181.5}}},
	}
	if data, err := json.Marshal(s); err != nil || len(data) < 1000 {
		t.Fatalf("the snapshot has %d bytes, %v", len(data), err)
	}
	return s
}
