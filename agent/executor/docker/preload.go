package docker

import (
	"bytes"
	"context"

	"github.com/millwright-ci/millwright/agent/executor"
)

// loaded is a script that a container has been given beforehand.
type loaded struct {
	id     string
	script []byte
}

// Preload implements executor.Preloader.
func (e *Executor) Preload(place executor.Place, script []byte) {
	if e.resumed {
		return // what runs in the container may be another script
	}
	done := make(chan *loaded, 1)
	e.slots[place].loading = done
	e.background.Go(func() {
		defer close(done)
		id, err := e.container(e.life, place)
		if err != nil {
			return // the stage tries again, and tells
		}
		ctx, cancel := context.WithTimeout(e.life, callTimeout)
		defer cancel()
		if e.load(ctx, id, script) == nil {
			done <- &loaded{id, script}
		}
	})
}

// takeLoaded tells, once, whether a container has that script already.
func (s *slot) takeLoaded(ctx context.Context, id string, script []byte) bool {
	if s.loading == nil {
		return false
	}
	defer func() { s.loading = nil }()
	select {
	case l := <-s.loading:
		return l != nil && l.id == id && bytes.Equal(l.script, script)
	case <-ctx.Done():
		return false
	}
}

// takeFresh tells, once, whether this executor has made a container and not started it yet: then there is no start before.
func (s *slot) takeFresh(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.fresh
	s.fresh = ""
	return fresh == id
}

var _ executor.Preloader = (*Executor)(nil)
