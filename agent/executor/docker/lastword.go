package docker

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/packed"
)

// lastWord listens for what a stage ends with on both streams, and keeps it out of them: a script's own line, or that of millwright-init.
type lastWord struct {
	stdout, stderr interface {
		io.Writer
		flush()
	}
	missing atomic.Int32  // streams that have not had it
	code    atomic.Int32  // the script's exit code, when it has been said
	said    chan struct{} // closed when both streams have had it
}

func newLastWord() *lastWord {
	l := &lastWord{said: make(chan struct{})}
	l.missing.Store(2)
	return l
}

// heard is called once for each stream.
func (l *lastWord) heard(code int) {
	l.code.Store(int32(code))
	if l.missing.Add(-1) == 0 {
		close(l.said)
	}
}

// listen puts a lastWord between a stage's output and its writers.
func listen(s executor.Stage) *lastWord {
	l, word := newLastWord(), []byte(s.LastWord+"\n")
	heard := func() { l.heard(0) }
	l.stdout, l.stderr = &listener{to: s.Stdout, word: word, heard: heard}, &listener{to: s.Stderr, word: word, heard: heard}
	return l
}

// listenToInit is listen where millwright-init may be the script's parent, which says the exit code too.
func listenToInit(s executor.Stage, word string) *lastWord {
	l := newLastWord()
	l.stdout, l.stderr = unpacker{packed.NewWriter(s.Stdout, word, l.heard)}, unpacker{packed.NewWriter(s.Stderr, word, l.heard)}
	return l
}

type unpacker struct{ *packed.Writer }

func (u unpacker) flush() { _ = u.Flush() } // what its writer thinks of it was known before

// flush passes on what might have become the word: the streams have ended.
func (l *lastWord) flush() {
	l.stdout.flush()
	l.stderr.flush()
}

// listener passes a stream on up to its word. What comes after it is thrown away.
type listener struct {
	to    io.Writer
	word  []byte // its first byte is nowhere else in it
	held  int    // so many of its bytes have come and are held back
	heard func()
}

func (l *listener) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && l.held < len(l.word) {
		if l.held == 0 {
			plain := bytes.IndexByte(p, l.word[0])
			if plain < 0 {
				plain = len(p)
			}
			if _, err := l.to.Write(p[:plain]); err != nil {
				return n - len(p), err
			}
			p = p[plain:]
		}
		for len(p) > 0 && l.held < len(l.word) && p[0] == l.word[l.held] {
			l.held, p = l.held+1, p[1:]
		}
		switch {
		case l.held == len(l.word):
			l.heard()
		case len(p) > 0:
			l.flush()
		}
	}
	return n, nil
}

func (l *listener) flush() {
	if l.held < len(l.word) {
		_, _ = l.to.Write(l.word[:l.held])
		l.held = 0
	}
}

// letEnd leaves a container to its end: all that its script had to say has been said.
func (r *stageRun) letEnd(stream types.HijackedResponse, copied <-chan error) {
	r.e.background.Go(func() {
		defer stream.Close()
		select {
		case <-copied:
		case <-r.e.life.Done():
			stream.Close()
			<-copied
		}
	})
}

// settled waits for the end of the container's run before, if it was left to its end: an engine does not start what still runs.
func (e *Executor) settled(ctx context.Context, s *slot, id string) error {
	s.mu.Lock()
	ends := s.ending == id
	s.mu.Unlock()
	if !ends {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ended, failed := e.api.ContainerWait(call, id, container.WaitConditionNotRunning)
	select {
	case <-ended:
	case err := <-failed:
		return engineErr(err)
	}
	s.setEnding("")
	return nil
}

func (s *slot) setEnding(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = id
}

// letSettle gives containers whose scripts have said their last word a moment to end, before they are removed: an engine starts a process to kill
// what it has not put away yet.
func (e *Executor) letSettle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	var group sync.WaitGroup
	for _, s := range e.slots {
		s.mu.Lock()
		id := s.ending
		s.mu.Unlock()
		if id != "" {
			group.Go(func() { _ = e.settled(ctx, s, id) }) // it is removed by force all the same
		}
	}
	group.Wait()
}
