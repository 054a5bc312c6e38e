// Package history keeps a runner's past: what its fleet and its jobs were in every minute of the last week, in memory and in a compact
// file, and sums it up in the steps that a policy asks for.
package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Minutes is how many minutes are kept: a week.
const Minutes = 7 * 24 * 60

// sample is one minute. It is stored as it stands, little endian.
type sample struct {
	Minute     uint32 // since 1970
	Arrivals   uint16
	Finished   uint16
	Running    float32 // means
	Available  float32
	Total      float32
	RunningMax uint16
	WaitingMax uint16
}

// sampleSize is what a sample takes in the file, in bytes.
const sampleSize = 24

// windowSeconds is the window of the demand that a minute's jobs are read from.
const windowSeconds = 60

// History is one runner's past. It is safe for concurrent use.
type History struct {
	path string // "" keeps nothing on disk

	mu      sync.Mutex // guards what follows
	samples []sample   // the oldest first, a minute at most once
	now     sample     // of the minute under way; sums where it will hold means
	looks   int        // at the minute under way
}

// Open reads the past from the file at path, which need not exist; what is older than a week is dropped from it. "" keeps the past in
// memory alone. A file that can't be read is an error, and comes with a history that is empty and kept in memory.
func Open(path string, now time.Time) (*History, error) {
	h := &History{path: path}
	if path == "" {
		return h, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		h.path = ""
		return h, fmt.Errorf("history: %w", err)
	}
	oldest, newest := minuteOf(now)-Minutes, minuteOf(now)
	for len(data) >= sampleSize { // a crash may have cut the last one
		var s sample
		if _, err := binary.Decode(data, binary.LittleEndian, &s); err == nil && s.Minute >= oldest && s.Minute < newest && s.sane() {
			h.samples = append(h.samples, s)
		}
		data = data[sampleSize:]
	}
	slices.SortStableFunc(h.samples, func(a, b sample) int { return int(a.Minute) - int(b.Minute) })
	h.samples = slices.CompactFunc(h.samples, func(a, b sample) bool { return a.Minute == b.Minute })
	if err := h.compact(); err != nil {
		h.path = ""
		return h, fmt.Errorf("history: %w", err)
	}
	return h, nil
}

// sane tells whether a sample's numbers can be put into JSON.
func (s sample) sane() bool {
	for _, f := range []float32{s.Running, s.Available, s.Total} {
		if !(f >= 0 && f <= math.MaxUint16) {
			return false
		}
	}
	return true
}

// Note takes what the runner is at now. The samples of a minute are made of all that is noted in it.
func (h *History) Note(now time.Time, d abi.Demand, c abi.Counts) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if minute := minuteOf(now); minute != h.now.Minute {
		err = h.end()
		h.now, h.looks = sample{Minute: minute}, 0
	}
	h.looks++
	s := &h.now
	s.Running += float32(d.Running)
	s.Available += float32(c.Available)
	s.Total += float32(c.Total)
	s.RunningMax = max(s.RunningMax, small(d.Running))
	s.WaitingMax = max(s.WaitingMax, small(d.Waiting))
	for _, w := range d.Windows {
		if w.Seconds == windowSeconds { // at the minute's end the window is the minute
			s.Arrivals, s.Finished = small(w.Arrivals), small(w.Finished)
		}
	}
	return err
}

// end puts the minute under way to the past. Called with mu held.
func (h *History) end() error {
	if h.looks == 0 {
		return nil
	}
	s, n := h.now, float32(h.looks)
	s.Running, s.Available, s.Total = min(s.Running/n, math.MaxUint16), min(s.Available/n, math.MaxUint16), min(s.Total/n, math.MaxUint16)
	if last := len(h.samples) - 1; last >= 0 && h.samples[last].Minute >= s.Minute {
		return nil // the clock was put back
	}
	if len(h.samples) == Minutes {
		h.samples = slices.Delete(h.samples, 0, 1)
	}
	h.samples = append(h.samples, s)
	if h.path == "" {
		return nil
	}
	f, err := os.OpenFile(h.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return errors.Join(binary.Write(f, binary.LittleEndian, s), f.Close())
}

// compact writes the file anew, as a whole.
func (h *History) compact() error {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, h.samples); err != nil {
		return err
	}
	tmp := h.path + ".tmp"
	if err := os.WriteFile(tmp, b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, h.path)
}

// Sum returns the past in the steps of wish, which end before now. A wish for more than is kept gets zeros for what is not known.
func (h *History) Sum(now time.Time, wish abi.HistoryWish) *abi.History {
	points, step := min(max(wish.Points, 1), 1000), uint32(max(wish.StepS/60, 1))
	end := minuteOf(now) / step * step
	from := end - min(uint32(points)*step, end)
	points = int((end - from) / step)
	out := &abi.History{
		FromUnixMS: int64(from) * 60_000, StepS: int(step) * 60,
		Minutes: make([]int, points), Arrivals: make([]int, points), Finished: make([]int, points), Running: make([]float64, points),
		RunningMax: make([]int, points), WaitingMax: make([]int, points), Available: make([]float64, points), Total: make([]float64, points),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	first, _ := slices.BinarySearchFunc(h.samples, from, func(s sample, m uint32) int { return int(int64(s.Minute) - int64(m)) })
	for _, s := range h.samples[first:] {
		if s.Minute >= end {
			break
		}
		i := int((s.Minute - from) / step)
		out.Minutes[i]++
		out.Arrivals[i] += int(s.Arrivals)
		out.Finished[i] += int(s.Finished)
		out.Running[i] += float64(s.Running)
		out.Available[i] += float64(s.Available)
		out.Total[i] += float64(s.Total)
		out.RunningMax[i] = max(out.RunningMax[i], int(s.RunningMax))
		out.WaitingMax[i] = max(out.WaitingMax[i], int(s.WaitingMax))
	}
	for i, n := range out.Minutes {
		for _, mean := range []*float64{&out.Running[i], &out.Available[i], &out.Total[i]} {
			*mean = math.Round(*mean/float64(max(n, 1))*100) / 100
		}
	}
	return out
}

func minuteOf(t time.Time) uint32 { return uint32(max(t.Unix(), 0) / 60) }

func small(n int) uint16 { return uint16(min(max(n, 0), math.MaxUint16)) }
