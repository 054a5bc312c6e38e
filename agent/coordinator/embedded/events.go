package embedded

import (
	"fmt"
	"slices"
	"time"
)

// emit hands an event to the goroutine that gives them. The caller holds mu.
func (s *Server) emit(e Event) {
	s.pending = append(s.pending, e)
	select {
	case s.events <- struct{}{}:
	default:
	}
}

// giveEvents calls OnEvent in order, without the lock, until the server closes and the last one is given.
func (s *Server) giveEvents() {
	for {
		s.mu.Lock()
		events := s.pending
		s.pending = nil
		s.mu.Unlock()
		for _, e := range events {
			s.o.OnEvent(e)
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-s.events:
		case <-s.ctx.Done():
			if s.drained() {
				return
			}
		}
	}
}

func (s *Server) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) == 0
}

// bumpQueue gives the queue a new value and wakes those who poll for it. The caller holds mu.
func (s *Server) bumpQueue() {
	s.queueValue = randomToken()
	close(s.queueMoved)
	s.queueMoved = make(chan struct{})
}

// sweep drops jobs that a runner took and does not begin, and running ones that have fallen silent.
func (s *Server) sweep() {
	ticker := time.NewTicker(min(max(min(s.o.CommitTimeout, s.o.StuckTimeout)/4, 10*time.Millisecond), time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.dropSilent(time.Now())
		}
	}
}

func (s *Server) dropSilent(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range slices.Clone(s.order) {
		silent := now.Sub(j.lastSeen)
		switch {
		case j.status.State == Pending && silent > s.o.CommitTimeout:
			s.end(j, Failed, ProvisioningTimeout, 0, fmt.Sprintf("the runner did not begin it within %s", s.o.CommitTimeout))
		case j.status.State == Running && silent > s.o.StuckTimeout:
			s.end(j, Failed, StuckOrTimeout, 0, fmt.Sprintf("the runner was silent for %s", s.o.StuckTimeout))
		case j.status.State == Canceling && silent > s.o.StuckTimeout:
			s.end(j, Canceled, "", 0, "the runner was silent")
		}
	}
}
