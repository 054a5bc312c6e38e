package history

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

var noon = time.Date(2024, 1, 15, 12, 0, 0, 0, time.UTC)

func note(t testing.TB, h *History, at time.Time, running, waiting, arrivals int) {
	t.Helper()
	d := abi.Demand{Running: running, Waiting: waiting, Windows: []abi.Window{{Seconds: 60, Arrivals: arrivals, Finished: 1}, {Seconds: 300, Arrivals: 99}}}
	if err := h.Note(at, d, abi.Counts{Available: 2, Total: running + 2}); err != nil {
		t.Fatal(err)
	}
}

func TestSum(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	h, err := Open(path, noon)
	if err != nil {
		t.Fatal(err)
	}
	// Ten minutes with a gap of two; in each the number of jobs goes from i to i+2.
	for i := range 10 {
		if i == 4 || i == 5 {
			continue
		}
		at := noon.Add(time.Duration(i) * time.Minute)
		note(t, h, at, i, 1, 0)
		note(t, h, at.Add(30*time.Second), i+2, 0, 3)
	}
	now := noon.Add(10*time.Minute + time.Second)
	note(t, h, now, 50, 50, 50) // under way, so it does not count
	want := &abi.History{
		FromUnixMS: noon.Add(-2 * time.Minute).UnixMilli(), StepS: 120,
		Minutes: []int{0, 2, 2, 0, 2, 2}, Arrivals: []int{0, 6, 6, 0, 6, 6}, Finished: []int{0, 2, 2, 0, 2, 2},
		Running: []float64{0, 1.5, 3.5, 0, 7.5, 9.5}, RunningMax: []int{0, 3, 5, 0, 9, 11}, WaitingMax: []int{0, 1, 1, 0, 1, 1},
		Available: []float64{0, 2, 2, 0, 2, 2}, Total: []float64{0, 3.5, 5.5, 0, 9.5, 11.5},
	}
	wish := abi.HistoryWish{Points: 6, StepS: 120}
	if diff := cmp.Diff(want, h.Sum(now, wish)); diff != "" {
		t.Error(diff)
	}

	// The next agent finds it, though the last sample is cut and another is junk.
	data, err := os.ReadFile(path)
	if err != nil || len(data) != 8*sampleSize {
		t.Fatalf("the file has %d bytes, %v", len(data), err)
	}
	junk := make([]byte, sampleSize)
	for i := range junk {
		junk[i] = 0xff
	}
	if err := os.WriteFile(path, append(append(data, junk...), data[:7]...), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again.Sum(now, wish)); diff != "" {
		t.Error(diff)
	}
	if old, err := Open(path, now.Add(8*24*time.Hour)); err != nil || len(old.samples) != 0 {
		t.Errorf("after a week there are %d samples, %v", len(old.samples), err)
	}
}

// A week is all that is kept, and the largest wish fits into a snapshot.
func TestAWeek(t *testing.T) {
	h, err := Open("", noon)
	if err != nil {
		t.Fatal(err)
	}
	for i := range Minutes + 100 {
		note(t, h, noon.Add(time.Duration(i)*time.Minute), 1234, 567, 8910)
	}
	if len(h.samples) != Minutes {
		t.Errorf("%d samples are kept", len(h.samples))
	}
	now := noon.Add((Minutes + 100) * time.Minute)
	data, err := json.Marshal(h.Sum(now, abi.HistoryWish{Points: 1000, StepS: 600}))
	if err != nil || len(data) > 64<<10 {
		t.Errorf("the largest history has %d bytes, %v", len(data), err)
	}
	note(t, h, noon, 1, 1, 1) // a clock that is put back loses nothing
	note(t, h, noon.Add(time.Minute), 1, 1, 1)
	if len(h.samples) != Minutes {
		t.Errorf("%d samples are kept", len(h.samples))
	}
}
