package sample

import (
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// TestSamplesAreWhatHostsSend reads each sample back.
func TestSamplesAreWhatHostsSend(t *testing.T) {
	for _, sample := range All(abi.Describe{Name: "a", WantMachines: true, WantHistory: &abi.HistoryWish{Points: 24, StepS: 3600}}) {
		t.Run(sample.Name, func(t *testing.T) {
			out, err := sample.Snapshot.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			var s abi.Snapshot
			if err := s.DecodeJSON(string(out)); err != nil {
				t.Fatal(err)
			}
			if !sample.Odd && len(s.Machines) != s.Fleet.Total {
				t.Errorf("lists %d machines of %d", len(s.Machines), s.Fleet.Total)
			}
			if s.History == nil || len(s.History.Total) != 24 {
				t.Errorf("has the history %+v", s.History)
			}
		})
	}
}
