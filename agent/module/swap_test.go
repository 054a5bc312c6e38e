package module_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// A swap closes the old module while decisions go on, and no decision fails.
func TestSwapUnderLoad(t *testing.T) {
	h := moduletest.Host(t, module.Limits{})
	current := load(t, h, tiny(returns(`{"idle_target":0}`)))
	c := chain(t, module.Link{Name: "a", Module: current})
	ctx, stop := context.WithCancel(t.Context())
	var deciders sync.WaitGroup
	for range 3 {
		deciders.Go(func() {
			for ctx.Err() == nil {
				if d := c.Decide(t.Context(), abi.Snapshot{Runner: runner}); d.Steps[0].Err != "" {
					t.Errorf("a decision failed: %s", d.Steps[0].Err)
					return
				}
			}
		})
	}
	for range 30 {
		next := load(t, h, tiny(returns(`{"idle_target":1}`)))
		idle, err := c.Swap(module.Link{Name: "a", Module: next})
		if err != nil {
			t.Fatal(err)
		}
		idle()
		if err := current.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		current = next
	}
	stop()
	deciders.Wait()
}

func TestSwapKeepsStates(t *testing.T) {
	m := theProbe(t)
	count := doing(m, 1, "count")
	count.Name = "counter"
	c := chain(t, count)
	decide := func() int {
		d := c.Decide(t.Context(), abi.Snapshot{Runner: runner})
		if d.Steps[0].Err != "" {
			t.Fatal(d.Steps[0].Err)
		}
		return d.IdleTarget
	}
	decide()
	if _, err := c.Swap(proposing(m, 1, `{"idle_target":9}`)); err != nil {
		t.Fatal(err)
	}
	decide()
	if _, err := c.Swap(count); err != nil {
		t.Fatal(err)
	}
	if n := decide(); n != 1 {
		t.Errorf("after two swaps it counts %d, want 1", n)
	}
	again, err := module.ChainOptions{States: c.States()}.Chain(count)
	if err != nil {
		t.Fatal(err)
	}
	if d := again.Decide(t.Context(), abi.Snapshot{Runner: runner}); d.IdleTarget != 2 {
		t.Errorf("in the next chain it counts %d, want 2", d.IdleTarget)
	}
}

func TestQuarantine(t *testing.T) {
	for name, tc := range map[string]struct {
		do          string
		quarantined bool
	}{
		"faults":              {"panic", true},
		"what it reports not": {"fail", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := theProbe(t)
			link := doing(m, 1, tc.do)
			link.Required = true
			c := chain(t, link)
			for range module.MaxFailures {
				if d := c.Decide(t.Context(), abi.Snapshot{Runner: runner}); strings.Contains(d.Steps[0].Err, "quarantined") || !d.NoGrowth {
					t.Errorf("decided %+v", d)
				}
			}
			d := c.Decide(t.Context(), abi.Snapshot{Runner: runner})
			if got := strings.Contains(d.Steps[0].Err, "quarantined after 5 failures in a row"); got != tc.quarantined || !d.NoGrowth {
				t.Errorf("quarantined: %v, want %v; no growth: %v: %s", got, tc.quarantined, d.NoGrowth, d.Steps[0].Err)
			}
			if got := len(c.Quarantined()) == 1; got != tc.quarantined {
				t.Errorf("it says %v", c.Quarantined())
			}
			good := proposing(m, 1, `{"idle_target":7}`) // another configuration is another chance
			if _, err := c.Swap(good); err != nil {
				t.Fatal(err)
			}
			if d := c.Decide(t.Context(), abi.Snapshot{Runner: runner}); d.IdleTarget != 7 {
				t.Errorf("after a change it decides %+v", d)
			}
		})
	}
}

func TestBuiltinIsNeverQuarantined(t *testing.T) {
	h := moduletest.Host(t, module.Limits{})
	m, err := h.Load(t.Context(), module.Source{Name: "tiny", Wasm: tiny(traps).bytes(), Builtin: true})
	if err != nil {
		t.Fatal(err)
	}
	c := chain(t, module.Link{Module: m})
	for range module.MaxFailures + 1 {
		c.Decide(t.Context(), abi.Snapshot{Runner: runner})
	}
	if q := c.Quarantined(); len(q) > 0 {
		t.Errorf("quarantined: %v", q)
	}
}

// A policy in shadow sees what it would see in the chain, and nothing comes of it.
func TestShadow(t *testing.T) {
	m := theProbe(t)
	shadow := proposing(m, 2, `{"idle_target":99,"reason":"many"}`)
	shadow.Name, shadow.Shadow, shadow.Required = "next", true, true
	broken := doing(m, 3, "panic")
	broken.Name, broken.Shadow = "broken", true
	c := chain(t, proposing(m, 1, `{"idle_target":3}`), shadow, broken)
	d := c.Decide(t.Context(), abi.Snapshot{NowUnixMS: time.Now().UnixMilli(), Runner: runner})
	if d.IdleTarget != 3 || len(d.Steps) != 1 || d.NoGrowth {
		t.Errorf("decided %+v", d)
	}
	idle, err := c.Swap() // waits for those in shadow too
	if err != nil {
		t.Fatal(err)
	}
	idle()
	records := c.Records()
	if len(records) != 1 || len(records[0].Shadows) != 2 {
		t.Fatalf("recorded %+v", records)
	}
	if s := records[0].Shadows[0]; s.Module != "next" || *s.Proposal.IdleTarget != 99 || s.Err != "" {
		t.Errorf("recorded %+v", s)
	}
	if s := records[0].Shadows[1]; s.Module != "broken" || !strings.Contains(s.Err, "boom") {
		t.Errorf("recorded %+v", s)
	}
}

func TestTry(t *testing.T) {
	m := theProbe(t)
	first := proposing(m, 1, `{"idle_target":3}`)
	first.Name = "first"
	c := chain(t, first)
	named := func(l module.Link, name string) module.Link { l.Name = name; return l }
	if err := c.Try(t.Context(), named(doing(m, 5, "panic"), "new")); err != nil {
		t.Errorf("before the first decision there is nothing to try on: %v", err)
	}
	c.Decide(t.Context(), abi.Snapshot{Runner: runner})
	for name, tc := range map[string]struct {
		link module.Link
		want string
	}{
		"good":                                 {named(doing(m, 5, "count"), "new"), ""},
		"a trap":                               {named(doing(m, 5, "panic"), "new"), "boom"},
		"a new one that abstains":              {named(doing(m, 5, "fail"), "new"), ""},
		"one that abstains for one that works": {named(doing(m, 5, "fail"), "first"), "the weather is bad"},
		"a bad proposal":                       {named(proposing(m, 5, `{"idle_target":-3}`), "first"), "idle_target: -3 is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Try(t.Context(), tc.link)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if d := c.Decide(t.Context(), abi.Snapshot{Runner: runner}); d.IdleTarget != 3 || len(c.States()) > 0 {
		t.Errorf("trying left something behind: %+v, %v", d, c.States())
	}
}

func TestTryFixture(t *testing.T) {
	m := theProbe(t)
	if err := module.TryFixture(t.Context(), m, abi.Raw(`{"do":"panic"}`)); err == nil {
		t.Error("a trap passed")
	}
	for _, do := range []string{"fail", "count"} {
		if err := module.TryFixture(t.Context(), m, abi.Raw(`{"do":"`+do+`"}`)); err != nil {
			t.Error(err)
		}
	}
}

func TestObservedAndHistory(t *testing.T) {
	m := theProbe(t)
	now := time.UnixMilli(1_700_000_000_000)
	c, err := module.ChainOptions{
		Logger: slog.New(slog.DiscardHandler),
		Observed: func(name string) (abi.Raw, time.Time) {
			return abi.Raw(`{"of":"` + name + `"}`), now.Add(-90 * time.Second)
		},
	}.Chain(doing(m, 1, "see"))
	if err != nil {
		t.Fatal(err)
	}
	d := c.Decide(t.Context(), abi.Snapshot{NowUnixMS: now.UnixMilli()})
	for _, want := range []string{`"observed":{"of":"probe"}`, `"observed_age_s":90`} {
		if !strings.Contains(d.Reason+d.Steps[0].Proposal.Reason, want) {
			t.Errorf("it saw %s, want %s", d.Steps[0].Proposal.Reason, want)
		}
	}
}
