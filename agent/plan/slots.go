package plan

import (
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Slots counts the places for jobs, as policies see them. A machine that is being removed has none. What nobody holds and no job gets any
// more is unavailable: MaxBuilds leaves none over, the operator keeps the machine from jobs, or it is too old or closed.
func Slots(now time.Time, f fleet.Fleet, d fleet.Decision, l fleet.Limits) abi.Slots {
	var sum abi.Slots
	for _, m := range f {
		s := slots(now, m, d, l)
		sum.Creating += s.Creating
		sum.Free += s.Free
		sum.Reserved += s.Reserved
		sum.Used += s.Used
		sum.Unavailable += s.Unavailable
	}
	return sum
}

// Free returns how many more jobs a machine may be given now: 0 unless it is ready.
func Free(now time.Time, m *fleet.Machine, d fleet.Decision, l fleet.Limits) int {
	return slots(now, m, d, l).Free
}

// Wanted returns how many machines the decision comes to, those that are being removed left out, before any guard rail: as many as hold the
// slots in use, those that no job gets any more, and the target, on which reservations count.
func Wanted(now time.Time, f fleet.Fleet, d fleet.Decision, l fleet.Limits) int {
	c := f.Counts()
	s := Slots(now, f, d, l)
	live := c.Total - c.Removing - c.Stuck
	if missing := max(d.IdleTarget, s.Reserved) - available(s); missing > 0 {
		return live + machinesFor(missing, d, l)
	}
	spare := available(s) - max(d.IdleTarget, s.Reserved, 0)
	return live - spare/perMachine(d, l)
}

// slots counts those of one machine.
func slots(now time.Time, m *fleet.Machine, d fleet.Decision, l fleet.Limits) (s abi.Slots) {
	if m.State == fleet.Removing {
		return s
	}
	s.Reserved, s.Used = reserved(m), running(m)
	rest := max(m.Capacity()-s.Reserved-s.Used, 0)
	usable := rest
	if limit := MaxBuilds(d, l); limit > 0 {
		usable = min(rest, max(limit-m.UsedCount-s.Reserved, 0))
	}
	switch {
	case m.Kept(), m.Closed:
		usable = 0
	case m.State == fleet.Creating:
		s.Creating, s.Unavailable = usable, rest-usable
		return s
	case TooOld(now, m, l):
		usable = 0
	}
	s.Free, s.Unavailable = usable, rest-usable
	return s
}

// available are the slots that a target counts.
func available(s abi.Slots) int { return s.Creating + s.Free + s.Reserved }

// running is how many jobs run on m.
func running(m *fleet.Machine) int {
	if m.State != fleet.Used {
		return 0
	}
	return max(1+len(m.OtherJobs), 1)
}

// reserved is how many slots of m leases hold for jobs that are still to come.
func reserved(m *fleet.Machine) int {
	switch m.State {
	case fleet.Acquired:
		return max(m.Taken, 1)
	case fleet.Used:
		return max(m.Taken-running(m), 0)
	}
	return 0
}

// perMachine is how many slots a new machine brings.
func perMachine(d fleet.Decision, l fleet.Limits) int {
	n := max(l.Slots, 1)
	if limit := MaxBuilds(d, l); limit > 0 {
		n = min(n, limit)
	}
	return n
}

// machinesFor returns how many new machines bring so many slots.
func machinesFor(slots int, d fleet.Decision, l fleet.Limits) int {
	if slots <= 0 {
		return 0
	}
	return (slots-1)/perMachine(d, l) + 1
}

// SlotRoom returns how many slots there are or may be for jobs that hold none yet: free ones, those of machines that are being created, and
// those of machines that the guard rails let be created now.
func SlotRoom(now time.Time, f fleet.Fleet, d fleet.Decision, l fleet.Limits) int {
	s := Slots(now, f, d, l)
	return s.Free + s.Creating + Room(f, d, l)*perMachine(d, l)
}

// Pick returns the machine that a job should get, nil when there is none with a free slot. It is one that is in use already, of those the
// fullest, so that others empty and leave; and of machines alike the newest, so that the older ones age. One that the operator keeps from
// jobs, or that is too old, is none.
func Pick(now time.Time, f fleet.Fleet, d fleet.Decision, l fleet.Limits) (best *fleet.Machine) {
	left := 0
	for _, m := range f {
		free := Free(now, m, d, l)
		if free == 0 {
			continue
		}
		if best == nil || better(m, free, best, left) {
			best, left = m, free
		}
	}
	return best
}

// better tells whether a job should rather get m, with its free slots, than best with left ones.
func better(m *fleet.Machine, free int, best *fleet.Machine, left int) bool {
	if a, b := m.State != fleet.Idle, best.State != fleet.Idle; a != b {
		return a
	}
	if m.State != fleet.Idle && free != left {
		return free < left
	}
	return newer(m, best)
}

func newer(a, b *fleet.Machine) bool {
	if !a.CreatedAt.Equal(b.CreatedAt) {
		return a.CreatedAt.After(b.CreatedAt)
	}
	return a.Name > b.Name
}
