package docker

import (
	"strings"
	"sync"
	"time"
)

// facts are what an engine tells of itself.
type facts struct {
	arch string // in Go's words
	runc bool   // containers are plain processes of the engine's host, unless the configuration names a runtime
	here bool   // the engine's files are this host's
}

// engineMemory is how long an engine is taken to be what it was: it is one that the host's operator may replace.
const engineMemory = time.Minute

// EngineFacts remembers what engines behind this host's sockets have told of themselves: it takes an engine several processes to tell. Jobs of one
// agent share it. Engines elsewhere are asked each time, since another machine may get the address. The zero value knows none, and so
// does nil.
type EngineFacts struct {
	mu    sync.Mutex
	known map[string]told
}

type told struct {
	facts
	until time.Time
}

func (e *EngineFacts) recall(host string) (facts, bool) {
	if e == nil {
		return facts{}, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	t, ok := e.known[host]
	return t.facts, ok && time.Now().Before(t.until)
}

func (e *EngineFacts) note(host string, f facts) {
	if e == nil || !strings.HasPrefix(host, "unix://") {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil {
		e.known = map[string]told{}
	}
	e.known[host] = told{f, time.Now().Add(engineMemory)}
}
