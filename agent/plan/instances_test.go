package plan_test

import (
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/agent/specvectors"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestInstances holds the vectors of [runners.autoscaler]: the number of instances is reached from what the jobs need, and from all that may be.
func TestInstances(t *testing.T) {
	specvectors.Run(t, specvectors.Instances, specvectors.Plan, func(t *testing.T, v specvectors.Vector, want *specvectors.Expectation) {
		l := fleet.LimitsOf(abi.RunnerSettings{Instances: &v.Scaling.Settings})
		settled := fleet.Decision{IdleTarget: v.Want[specvectors.Policy]["free"].(int), IdleTime: time.Hour}
		for _, before := range []int{0, v.Scaling.Settings.MaxInstances - v.Scaling.Removing} {
			f := v.Scaling.Fleet(now, before)
			d := plan.WithWaiting(settled, f, v.Scaling.Waiting)
			after := apply(f, plan.Plan(now, f, d, l)).Counts()
			want.Is(t, "instances", after.Creating+after.Idle+after.Used)
			bounded := min(plan.Wanted(now, f, d, l), v.Scaling.Settings.MaxInstances-v.Scaling.Removing)
			want.Is(t, "instances", bounded)
		}
	})
}

// TestThrottle is scale_throttle, by the bucket that whoever creates keeps.
func TestThrottle(t *testing.T) {
	specvectors.Run(t, specvectors.Throttles, specvectors.Plan, func(t *testing.T, v specvectors.Vector, want *specvectors.Expectation) {
		clock, bucket, throttle := now, fleet.Bucket{}, v.Scaling.Throttle
		ask := func(after time.Duration) int {
			clock = clock.Add(after)
			bucket = bucket.Refill(clock, throttle)
			l := fleet.Limits{Throttle: throttle, Bucket: bucket}
			n := len(plan.Plan(clock, nil, fleet.Decision{IdleTarget: 100}, l))
			if room := plan.Room(nil, fleet.Decision{}, l); room != n {
				t.Errorf("there is room for %d, and %d are created", room, n)
			}
			bucket = bucket.Take(n)
			return n
		}
		want.Is(t, "at once", ask(0))
		if n := ask(0); n != 0 {
			t.Errorf("%d more in the same moment", n)
		}
		want.Is(t, "a second later", ask(time.Second))
		sum := 0
		for range 39 * 4 {
			sum += ask(time.Second / 4)
		}
		want.Is(t, "in the next 39 s", sum)
		want.Is(t, "after a minute's rest", ask(time.Minute))
		if n := ask(-time.Hour); n != 0 {
			t.Errorf("%d after the clock was set back", n)
		}
	})
}
