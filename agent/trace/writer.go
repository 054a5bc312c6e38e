package trace

import (
	"sync"
	"sync/atomic"
	"time"
)

// writer is one stream's way into the buffer: secrets, URL parameters, token prefixes, UTF-8, time stamps. Each step appends to a
// slice that the next one reads, and the slices are kept, so that a busy stream allocates nothing.
type writer struct {
	mu      sync.Mutex
	trace   *Trace
	secrets secretMask
	params  urlMask
	tokens  tokenMask
	repair  repair
	stamps  *stamper // nil without time stamps
	a, b    []byte
	closed  bool
}

// Write takes all of p, always: what comes after Finish is thrown away. It never waits for the coordinator.
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed && len(p) > 0 {
		w.a = w.secrets.write(w.a[:0], p, w.trace.secrets.Load())
		w.pass()
	}
	return len(p), nil
}

// pass takes what the secret mask let through, in w.a, to the buffer.
func (w *writer) pass() {
	w.b = w.params.write(w.b[:0], w.a)
	w.a = w.tokens.write(w.a[:0], w.b)
	w.b = w.repair.write(w.b[:0], w.a)
	w.stamp()
}

func (w *writer) stamp() {
	out := w.b
	if w.stamps != nil {
		w.a = w.stamps.write(w.a[:0], w.b)
		out = w.a
	}
	w.trace.put(out)
}

// flush lets out all that is held back.
func (w *writer) flush() {
	w.a = w.secrets.flush(w.a[:0])
	w.pass()
	w.b = w.repair.flush(w.b[:0])
	w.stamp()
	w.flushLine(time.Time{})
}

// flushLine lets out an unfinished line that began at or before limit, any when limit is zero, and tells whether one is left.
func (w *writer) flushLine(limit time.Time) (left bool) {
	if w.stamps == nil {
		return false
	}
	if limit.IsZero() {
		limit = w.stamps.began
	}
	w.a = w.stamps.flush(w.a[:0], limit)
	w.trace.put(w.a)
	return len(w.stamps.line) > 0
}

// secretSet is the set of secrets of a trace. Writers read the automaton; whoever adds a secret builds a new one.
type secretSet struct {
	atomic.Pointer[matcher]
	mu     sync.Mutex
	values map[string]bool
}

// add hides values, all that are not empty, from the next write on.
func (s *secretSet) add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.values)
	for _, v := range values {
		if v != "" {
			s.values[v] = true
		}
	}
	if len(s.values) == before {
		return
	}
	all := make([]string, 0, len(s.values))
	for v := range s.values {
		all = append(all, v)
	}
	s.Store(newMatcher(all))
}
