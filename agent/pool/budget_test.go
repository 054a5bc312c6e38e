package pool

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestBucket asks at random times: in no stretch of time are there more calls than the rate and one burst allow, and none waits for longer
// than those before it make it.
func TestBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{PerSecond: rapid.Float64Range(0.1, 100).Draw(t, "rate"), Burst: rapid.IntRange(1, 20).Draw(t, "burst")}
		b := bucket{rate: r}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var at []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			call := b.take(now, 1)
			if call.Before(now) {
				call = now
			}
			at = append(at, call)
		}
		if !slices.IsSortedFunc(at, time.Time.Compare) {
			t.Fatalf("not in order: %v", at)
		}
		for i := range at {
			for j := i; j < len(at); j++ {
				allowed := float64(r.Burst) + at[j].Sub(at[i]).Seconds()*r.PerSecond + 1e-3
				if n := j - i + 1; float64(n) > allowed {
					t.Fatalf("%d calls within %s; %.1f are allowed", n, at[j].Sub(at[i]), allowed)
				}
			}
		}
	})
}

func TestThrottle(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var p throttle
	var got []float64
	step := func(d time.Duration, slow bool) {
		now = now.Add(d)
		if slow {
			p.slow(now)
		}
		got = append(got, p.factor(now))
	}
	step(0, false)
	step(0, true)
	step(500*time.Millisecond, true) // the same burst of complaints
	step(2*time.Second, true)
	step(29*time.Second, false)
	step(time.Second, false)
	step(30*time.Second, false)
	step(time.Hour, false)
	for range 10 {
		now = now.Add(2 * time.Second)
		p.slow(now)
	}
	step(0, false)
	if diff := cmp.Diff([]float64{1, 0.5, 0.5, 0.25, 0.25, 0.5, 1, 1, 1.0 / 16}, got); diff != "" {
		t.Errorf("parts of the rate (-want +got):\n%s", diff)
	}
}

// TestListOptions has drivers that say more or less of their options: what a list does not depend on does not tell groups apart.
func TestListOptions(t *testing.T) {
	o := abi.Options{"zone": {"a"}, "type": {"n2"}, "disk": {"50"}, "project": {"p"}, "key": {"k"}, "engine-env": {"x"}}
	for name, tt := range map[string]struct {
		options       []abi.Option
		list, account abi.Options
	}{
		"nothing said": {nil, abi.Options{"zone": {"a"}, "type": {"n2"}, "disk": {"50"}, "project": {"p"}, "key": {"k"}}, abi.Options{}},
		"zone and type": {[]abi.Option{{Name: "zone", Role: abi.RoleZone}, {Name: "type", Role: abi.RoleType}, {Name: "key", Secret: true}},
			abi.Options{"disk": {"50"}, "project": {"p"}, "key": {"k"}}, abi.Options{"key": {"k"}}},
		"the account": {[]abi.Option{{Name: "zone", Role: abi.RoleZone}, {Name: "project", Role: abi.RoleAccount}, {Name: "key", Secret: true}, {Name: "disk"}},
			abi.Options{"project": {"p"}, "key": {"k"}}, abi.Options{"project": {"p"}, "key": {"k"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.list, listOptions(tt.options, o)); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.account, accountOptions(tt.options, o)); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
		})
	}
}
