package plan_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/plan"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSlots counts the slots of one machine of five.
func TestSlots(t *testing.T) {
	old := now.Add(-48 * time.Hour)
	for _, tt := range []struct {
		name string
		m    fleet.Machine
		l    fleet.Limits
		want abi.Slots
	}{
		{"being created", fleet.Machine{State: fleet.Creating}, fleet.Limits{}, abi.Slots{Creating: 5}},
		{"being created, for three jobs in all", fleet.Machine{State: fleet.Creating}, fleet.Limits{MaxBuilds: 3}, abi.Slots{Creating: 3, Unavailable: 2}},
		{"idle", fleet.Machine{State: fleet.Idle}, fleet.Limits{}, abi.Slots{Free: 5}},
		{"reserved", fleet.Machine{State: fleet.Acquired, Taken: 2}, fleet.Limits{}, abi.Slots{Free: 3, Reserved: 2}},
		{"jobs and reservations", fleet.Machine{State: fleet.Used, Taken: 3, JobID: 1, OtherJobs: []int64{2}, UsedCount: 2}, fleet.Limits{}, abi.Slots{Free: 2, Reserved: 1, Used: 2}},
		{"one job left", fleet.Machine{State: fleet.Used, Taken: 1, JobID: 1, UsedCount: 9}, fleet.Limits{MaxBuilds: 10}, abi.Slots{Free: 1, Used: 1, Unavailable: 3}},
		{"the one job left is reserved", fleet.Machine{State: fleet.Acquired, Taken: 1, UsedCount: 9}, fleet.Limits{MaxBuilds: 10}, abi.Slots{Reserved: 1, Unavailable: 4}},
		{"no job left", fleet.Machine{State: fleet.Used, Taken: 2, JobID: 1, OtherJobs: []int64{2}, UsedCount: 10}, fleet.Limits{MaxBuilds: 10}, abi.Slots{Used: 2, Unavailable: 3}},
		{"kept from jobs", fleet.Machine{State: fleet.Used, Taken: 1, JobID: 1, Cordoned: true}, fleet.Limits{}, abi.Slots{Used: 1, Unavailable: 4}},
		{"closed", fleet.Machine{State: fleet.Idle, Closed: true}, fleet.Limits{}, abi.Slots{Unavailable: 5}},
		{"too old", fleet.Machine{State: fleet.Idle, CreatedAt: old}, fleet.Limits{Own: fleet.Ceilings{MaxMachineAge: time.Hour}}, abi.Slots{Unavailable: 5}},
		{"more jobs than slots, after its capacity was read anew", fleet.Machine{Slots: 1, State: fleet.Used, Taken: 2, JobID: 1, OtherJobs: []int64{2}}, fleet.Limits{}, abi.Slots{Used: 2}},
		{"being removed", fleet.Machine{State: fleet.Removing, Taken: 1}, fleet.Limits{}, abi.Slots{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.m.Slots == 0 {
				tt.m.Slots = 5
			}
			if tt.m.CreatedAt.IsZero() {
				tt.m.CreatedAt = now
			}
			if got := plan.Slots(now, fleet.Fleet{&tt.m}, fleet.Decision{}, tt.l); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestPickSlots fills the machines that are in use before it takes another one, so that those that empty can leave.
func TestPickSlots(t *testing.T) {
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	f := fleet.Fleet{
		{Name: "empty", Slots: 3, State: fleet.Idle, CreatedAt: at(-1)},
		{Name: "full", Slots: 3, State: fleet.Used, Taken: 3, JobID: 1, OtherJobs: []int64{2, 3}, CreatedAt: at(-2)},
		{Name: "one left", Slots: 3, State: fleet.Used, Taken: 2, JobID: 4, OtherJobs: []int64{5}, CreatedAt: at(-9)},
		{Name: "two left", Slots: 3, State: fleet.Used, Taken: 1, JobID: 6, CreatedAt: at(-3)},
		{Name: "being created", Slots: 3, State: fleet.Creating, CreatedAt: at(0)},
	}
	for _, want := range []string{"one left", "two left", "two left", "empty", "empty", "empty", ""} {
		m := plan.Pick(now, f, fleet.Decision{}, fleet.Limits{Slots: 3})
		if m == nil {
			if want != "" {
				t.Fatalf("none, want %s", want)
			}
			return
		}
		if m.Name != want {
			t.Fatalf("picked %s, want %s", m.Name, want)
		}
		m.State, m.Taken = fleet.Used, m.Taken+1
		m.SetJobs(append(m.Jobs(), int64(m.Taken)))
	}
}

// TestSlotRails gives random fleets of machines with several slots to the plan. It creates as many machines as the missing slots need and the
// guard rails leave, and removes empty ones alone, for idleness only those whose slots are too many.
func TestSlotRails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := fleet.Limits{
			Slots: rapid.IntRange(0, 6).Draw(t, "slots"), MaxInstances: rapid.IntRange(0, 12).Draw(t, "max_instances"), MaxBuilds: rapid.IntRange(0, 9).Draw(t, "max_use_count"),
			Throttle: fleet.Throttle{PerSecond: rapid.IntRange(0, 2).Draw(t, "throttle"), Burst: 5},
			Bucket:   fleet.Bucket{Tokens: rapid.Float64Range(0, 5).Draw(t, "tokens"), At: now},
		}
		var f fleet.Fleet
		for i := range rapid.IntRange(0, 12).Draw(t, "machines") {
			f = append(f, anyMachine(t, i, max(l.Slots, 1)))
		}
		d := fleet.Decision{IdleTarget: rapid.IntRange(-1, 30).Draw(t, "target"), IdleTime: time.Minute}
		d = plan.WithWaiting(d, f, rapid.IntRange(0, 9).Draw(t, "waiting"))
		actions := plan.Plan(now, f, d, l)
		after := apply(f, actions)
		before, left := available(plan.Slots(now, f, d, l)), available(plan.Slots(now, after[:len(f)], d, l))
		per := max(l.Slots, 1)
		if l.MaxBuilds > 0 {
			per = min(per, l.MaxBuilds)
		}
		created := 0
		for _, a := range actions {
			if a.Kind == fleet.Create {
				created++
			} else if a.Reason == plan.TooManyIdle && left < d.IdleTarget {
				t.Fatalf("removes %s for idleness and leaves %d slots of %d wanted, %d before", a.Machine, left, d.IdleTarget, before)
			}
		}
		for i, m := range f {
			if after[i].State == fleet.Removing && m.State != fleet.Removing && m.State != fleet.Idle {
				t.Fatalf("removes %s, which is %s", m.Name, m.State)
			}
		}
		switch {
		case l.MaxInstances > 0 && created > 0 && len(f)+created > l.MaxInstances:
			t.Fatalf("creates %d beside %d of %d", created, len(f), l.MaxInstances)
		case l.Throttle.PerSecond > 0 && created > l.Bucket.Left():
			t.Fatalf("creates %d, of which the throttle lets %d", created, l.Bucket.Left())
		case created > 0 && left+(created-1)*per >= d.IdleTarget:
			t.Fatalf("creates %d machines of %d slots beside %d slots, where %d are wanted", created, per, left, d.IdleTarget)
		case left+created*per < d.IdleTarget && plan.Room(f, d, l) > created:
			t.Fatalf("creates %d only, of %d slots each, beside %d slots of %d wanted", created, per, left, d.IdleTarget)
		}
	})
}

func available(s abi.Slots) int { return s.Creating + s.Free + s.Reserved }

func anyMachine(t *rapid.T, i, slots int) *fleet.Machine {
	m := &fleet.Machine{Name: fmt.Sprintf("m%03d", i), Slots: slots, CreatedAt: now.Add(-time.Hour), UsedCount: rapid.IntRange(0, 5).Draw(t, "used before"),
		State: rapid.SampledFrom([]fleet.State{fleet.Creating, fleet.Idle, fleet.Idle, fleet.Acquired, fleet.Used, fleet.Removing}).Draw(t, "state")}
	m.Cordoned = rapid.IntRange(0, 9).Draw(t, "cordoned") == 0
	switch m.State {
	case fleet.Idle:
		m.IdleSince = now.Add(-time.Duration(rapid.IntRange(0, 120).Draw(t, "idle")) * time.Second)
	case fleet.Acquired:
		m.Taken = rapid.IntRange(1, slots).Draw(t, "reserved")
	case fleet.Used:
		for id := range rapid.IntRange(1, slots).Draw(t, "jobs") {
			m.SetJobs(append(m.Jobs(), int64(id+1)))
		}
		m.Taken = rapid.IntRange(len(m.Jobs()), slots).Draw(t, "taken")
		m.UsedCount += len(m.Jobs())
	}
	return m
}
