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
	tag     string
	passed  int64 // bytes of this stage's output that came out of the masks
	skip    int64 // so many of those to come are in the trace already
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

// stamp takes what came out of the masks, in w.b, to the buffer.
func (w *writer) stamp() {
	out := w.b
	w.passed += int64(len(out))
	if w.skip > 0 {
		n := min(w.skip, int64(len(out)))
		w.skip, out = w.skip-n, out[n:]
	}
	if w.stamps != nil {
		w.a = w.stamps.write(w.a[:0], out)
		out = w.a
	}
	w.put(out)
}

func (w *writer) put(p []byte) {
	at := mark{Passed: w.passed}
	if w.stamps != nil {
		at.Passed -= int64(len(w.stamps.line))
		at.Goes = w.stamps.goes
	}
	w.trace.put(p, w.tag, at)
}

// resume makes a new writer go on at a mark: the stage's output comes from its beginning once more.
func (w *writer) resume(at mark) {
	if w.tag == jobOut || w.tag == jobErr {
		w.skip = at.Passed
	}
	if w.stamps != nil {
		w.stamps.goes = at.Goes
	}
}

// flush lets out all that is held back. No token and no parameter goes on after it, so that a stage's output is masked the same way
// whoever reads it.
func (w *writer) flush() {
	w.a = w.secrets.flush(w.a[:0])
	w.pass()
	w.b = w.repair.flush(w.b[:0])
	w.stamp()
	w.params = urlMask{}
	w.tokens.mode, w.tokens.state = tokenSearch, 0
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
	w.put(w.a)
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
