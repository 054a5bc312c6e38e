package fleet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJobs(t *testing.T) {
	for _, tt := range []struct {
		name string
		jobs []int64
		id   int64
	}{
		{"none", nil, 0},
		{"one", []int64{7}, 7},
		{"several keep their order", []int64{9, 7, 8}, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Machine{JobID: 1, OtherJobs: []int64{2}}
			m.SetJobs(tt.jobs)
			if diff := cmp.Diff(tt.jobs, m.Jobs()); diff != "" || m.JobID != tt.id {
				t.Errorf("first is %d, want %d; jobs (-want +got):\n%s", m.JobID, tt.id, diff)
			}
		})
	}
}

func TestAsksAhead(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		name string
		d    Decision
		want bool
	}{
		{"no idle machine is wanted", Decision{}, false},
		{"some are", Decision{IdleTarget: 1}, true},
		{"none is and the policy says so all the same", Decision{Preemptive: &yes}, true},
		{"some are and jobs may come before them", Decision{IdleTarget: 5, Preemptive: &no}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.d.AsksAhead(); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
