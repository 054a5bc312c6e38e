package supervisor

import "sync"

// seats number the jobs on each machine, from 0. The number of one that has ended goes to the next, which finds under it what the one before may
// have left. The zero value has none.
type seats struct {
	mu    sync.Mutex     // guards taken
	taken map[seat]int64 // the jobs
}

// seat is one of a machine's.
type seat struct {
	machine string
	number  int
}

// take returns the job's number on the machine: the one that it has, or else the lowest that is free.
func (s *seats) take(machine string, job int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, sits := range s.taken {
		if at.machine == machine && sits == job {
			return at.number
		}
	}
	at := seat{machine: machine}
	for s.taken[at] != 0 {
		at.number++
	}
	s.put(at, job)
	return at.number
}

// claim takes the number that a job of an agent before has.
func (s *seats) claim(machine string, number int, job int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(seat{machine, number}, job)
}

func (s *seats) put(at seat, job int64) {
	if s.taken == nil {
		s.taken = map[seat]int64{}
	}
	s.taken[at] = job
}

// leave frees the job's numbers on all machines.
func (s *seats) leave(job int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, sits := range s.taken {
		if sits == job {
			delete(s.taken, at)
		}
	}
}
