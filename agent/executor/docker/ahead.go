package docker

import (
	"bytes"
	"context"
	"path"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/executor"
)

// early is what is done for the first stage of a place before its turn.
type early struct {
	done   chan struct{} // closed when it is known what came of it
	id     string        // of the container; "" when nothing came of it
	script []byte        // that the container has, or will write by itself when it is started
	held   bool          // the container has been started, and waits at its gate
}

// goAhead makes the containers, with the scripts of their first stages. The build container is started, too, where that means nothing for
// the job: it waits at its gate until its first stage's turn comes, while the helper fetches the sources.
//
// A start takes longer than most scripts, and half of it goes into the container's network. So the helper gets the build container's, which
// is there by then, where it does not have to outlive it.
func (e *Executor) goAhead(ctx context.Context) error {
	// A failure of the build container shows when its first stage tries again.
	if e.mayHold() {
		id, err := e.container(ctx, executor.Build)
		if e.shares = err == nil && e.mayShare(); err == nil {
			e.begin(executor.Build, id, true)
		}
	}
	// An engine that can't make a container is found out here, where another one can take its place.
	id, err := e.container(ctx, executor.Helper)
	if err != nil {
		return err
	}
	e.begin(executor.Helper, id, false)
	if e.slots[executor.Build].early == nil {
		e.begin(executor.Build, "", false)
	}
	return nil
}

// begin hands a place's container its first script, and starts it where it is to be held. The container is made when id is "".
func (e *Executor) begin(place executor.Place, id string, hold bool) {
	a := &early{done: make(chan struct{})}
	slot, script := e.slots[place], e.firstScript(place)
	slot.early = a
	e.background.Go(func() {
		defer close(a.done)
		if id == "" {
			var err error
			if id, err = e.container(e.life, place); err != nil {
				return // the stage tries again, and tells
			}
		}
		call, cancel := lasting(e.life) // a start that is torn off would go on all the same
		defer cancel()
		if !e.inEnvironment(place) {
			if script == nil || e.load(call, id, script) != nil {
				return
			}
		}
		a.id, a.script = id, script
		if hold && e.life.Err() == nil {
			a.held = e.api.ContainerStart(call, id, container.StartOptions{}) == nil
		}
	})
}

// take returns what has been done ahead for a stage, once: nothing for another script or another container.
func (s *slot) take(ctx context.Context, id string, script []byte) (a early) {
	if s.early == nil {
		return a
	}
	select {
	case <-s.early.done:
		a = *s.early
	case <-ctx.Done():
	}
	s.early = nil
	switch {
	case a.id != id:
		return early{}
	case !bytes.Equal(a.script, script):
		a.script = nil
	}
	return a
}

// takeFresh tells, once, whether this executor has made a container and no stage has been started in it: then there is no start before.
func (s *slot) takeFresh(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.fresh
	s.fresh = ""
	return fresh == id
}

// firstScript is the script of a place's first stage; nil when it is not known.
func (e *Executor) firstScript(place executor.Place) []byte {
	if place == executor.Build {
		return e.first.Build
	}
	return e.first.Helper
}

// mayHold tells whether starting the build container before the sources are there means nothing for the job: all that runs in it before the
// first stage's turn is a shell that waits.
func (e *Executor) mayHold() bool {
	env := func(name string) bool { // the dynamic linker reads them, and may be told to take what is in the sources
		for _, v := range e.o.Env {
			if strings.HasPrefix(v, name) {
				return true
			}
		}
		return false
	}
	return e.first.Build != nil && e.first.Helper != nil && !e.hasEntrypoint(executor.Build) && !e.build.health && !env("LD_") &&
		!strings.HasPrefix(path.Clean(e.build.workDir)+"/", e.o.BuildsDir+"/")
}

// mayShare tells whether the helper container may have the build container's network.
func (e *Executor) mayShare() bool {
	c := e.o.Config
	mode := container.NetworkMode(c.NetworkMode)
	return e.first.HelperEnds && e.runc && c.Runtime == "" && c.Isolation == "" && len(c.Links) == 0 && len(c.Sysctls) == 0 &&
		!mode.IsHost() && !mode.IsContainer()
}

// share makes a container that is about to be made have the build container's network, and with it its name and its hosts.
func (e *Executor) share(h *container.HostConfig) {
	build := e.slots[executor.Build]
	build.mu.Lock()
	defer build.mu.Unlock()
	h.NetworkMode = container.NetworkMode("container:" + build.id)
	h.DNS, h.DNSSearch, h.ExtraHosts = nil, nil, nil
}

// unshare removes a helper container that can't have the build container's network any more, so that the next one gets its own. It is false
// when there is no such container.
func (e *Executor) unshare(ctx context.Context) bool {
	slot := e.slots[executor.Helper]
	slot.mu.Lock()
	id, shared := slot.id, slot.shared
	slot.shared = false
	slot.mu.Unlock()
	if !shared {
		return false
	}
	e.shares, slot.early = false, nil
	e.drop(ctx, id)
	return true
}

// startError is an engine's refusal to start a container.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// awaitNetwork waits for the network that the helper container has been made with, if it is the build container's: that one is being started.
func (e *Executor) awaitNetwork(ctx context.Context) {
	slot := e.slots[executor.Helper]
	slot.mu.Lock()
	shared := slot.shared
	slot.mu.Unlock()
	if !shared || e.resumed {
		return
	}
	if a := e.slots[executor.Build].early; a != nil {
		select {
		case <-a.done:
			if a.held {
				return
			}
		case <-ctx.Done():
			return
		}
	}
	e.unshare(ctx)
}

// heldAt returns where a container waits for its first stage; nil when it does not. One that is not to be kept is stopped.
func (e *Executor) heldAt(ctx context.Context, id string, keep bool) (*executor.Position, error) {
	info, err := e.api.ContainerInspect(ctx, id)
	if err != nil || info.State == nil || !info.State.Running {
		return nil, err
	}
	if keep {
		at, _ := time.Parse(time.RFC3339Nano, info.State.StartedAt)
		return &executor.Position{Container: id, StartedAt: at}, nil
	}
	var now int
	return nil, e.api.ContainerStop(ctx, id, container.StopOptions{Timeout: &now})
}

// hasEntrypoint tells whether a program of the image's, or of the job's, comes before the shell.
func (e *Executor) hasEntrypoint(place executor.Place) bool {
	if place == executor.Helper {
		return e.helper.entrypoint
	}
	if given := e.image.Entrypoint; len(given) > 0 {
		return len(given) > 1 || given[0] != ""
	}
	return e.build.entrypoint
}

// isRoot tells whether a place's shell may write anywhere.
func (e *Executor) isRoot(place executor.Place) bool {
	user := e.helper.user
	if place == executor.Build {
		if user, _ = e.user(); user == "" {
			user = e.build.user
		}
	}
	user, _, _ = strings.Cut(user, ":")
	return user == "" || user == "root" || user == "0"
}
