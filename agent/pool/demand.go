package pool

import (
	"cmp"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// The windows over which demand is summed, in seconds, and how fine their edges are.
var demandWindows = []int{60, 300, 900, 3600}

const (
	demandStep  = 10 * time.Second
	demandSpan  = time.Hour
	demandSlots = int(demandSpan / demandStep)
)

// demand remembers what jobs asked for in the last hour, in steps of ten seconds.
type demand struct {
	slots [demandSlots]slot
}

// slot is one step; the step that it stands for tells it from the same place an hour ago.
type slot struct {
	step               int64
	arrivals, finished int
	duration           time.Duration // of those finished, together
}

func (d *demand) at(now time.Time) *slot {
	step := now.Unix() / int64(demandStep/time.Second)
	s := &d.slots[int(step%int64(demandSlots)+int64(demandSlots))%demandSlots]
	if s.step != step {
		*s = slot{step: step}
	}
	return s
}

func (d *demand) arrived(now time.Time) { d.at(now).arrivals++ }

func (d *demand) finished(now time.Time, took time.Duration) {
	s := d.at(now)
	s.finished++
	s.duration += max(took, 0)
}

// windows sums the steps of each window, the one that is under way included.
func (d *demand) windows(now time.Time) []abi.Window {
	current := d.at(now).step
	var sums []abi.Window
	for _, seconds := range demandWindows {
		w := abi.Window{Seconds: seconds}
		var total time.Duration
		for _, s := range d.slots {
			if age := current - s.step; age >= 0 && age < int64(seconds)/int64(demandStep/time.Second) {
				w.Arrivals += s.arrivals
				w.Finished += s.finished
				total += s.duration
			}
		}
		if w.Finished > 0 {
			w.MeanDuration = total.Seconds() / float64(w.Finished)
		}
		sums = append(sums, w)
	}
	return sums
}

// failures remembers the creations of the last hour that failed.
type failures struct {
	list []failure
}

type failure struct {
	at   time.Time
	kind abi.ErrorKind
}

// maxFailures bounds the memory; beyond it the oldest are forgotten.
const maxFailures = 4096

func (f *failures) add(now time.Time, kind abi.ErrorKind) {
	if len(f.list) >= maxFailures {
		f.list = slices.Delete(f.list, 0, maxFailures/2)
	}
	f.list = append(f.list, failure{now, kind})
}

// byKind sums up the last hour, in order of the kinds' names.
func (f *failures) byKind(now time.Time) []abi.Failure {
	f.list = slices.DeleteFunc(f.list, func(x failure) bool { return now.Sub(x.at) > time.Hour })
	var sums []abi.Failure
	for _, x := range f.list { // the last of a kind sets the age
		i, found := slices.BinarySearchFunc(sums, x.kind, func(s abi.Failure, k abi.ErrorKind) int {
			return cmp.Compare(s.Kind, k)
		})
		if !found {
			sums = slices.Insert(sums, i, abi.Failure{Kind: x.kind})
		}
		sums[i].Count++
		sums[i].AgeS = now.Sub(x.at).Seconds()
	}
	return sums
}
