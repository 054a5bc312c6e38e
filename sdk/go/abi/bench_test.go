package abi_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// BenchmarkSnapshot reads a snapshot natively, with the guests' codec and with encoding/json:
//
//	go test -bench Snapshot -run '^$' ./sdk/go/abi
func BenchmarkSnapshot(b *testing.B) {
	for _, machines := range []int{0, 1000} {
		input := bigSnapshot(b, machines)
		b.Run(fmt.Sprintf("machines=%d/abi", machines), func(b *testing.B) {
			b.SetBytes(int64(len(input)))
			b.ReportAllocs()
			for b.Loop() {
				var s abi.Snapshot
				if err := s.DecodeJSON(input); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("machines=%d/json", machines), func(b *testing.B) {
			b.SetBytes(int64(len(input)))
			b.ReportAllocs()
			for b.Loop() {
				var s abi.Snapshot
				if err := json.Unmarshal([]byte(input), &s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// bigSnapshot is the vector with all fields and so many machines.
func bigSnapshot(b *testing.B, machines int) string {
	b.Helper()
	for _, v := range codecs(b) {
		if v.Kind != "snapshot" || v.Name != "every field" {
			continue
		}
		var s abi.Snapshot
		if err := s.DecodeJSON(v.Expect); err != nil {
			b.Fatal(err)
		}
		s.Machines = make([]abi.MachineView, machines)
		for i := range s.Machines {
			s.Machines[i] = abi.MachineView{Name: fmt.Sprintf("runner-abcdefgh-auto-%d", i), State: "idle", AgeS: 1.5 * float64(i), IdleS: 30, UsedCount: i}
		}
		out, err := s.AppendJSON(nil)
		if err != nil {
			b.Fatal(err)
		}
		return string(out)
	}
	b.Fatal("there is no such vector")
	return ""
}
