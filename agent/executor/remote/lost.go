package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/wait"
)

const (
	// retryPause is the first of the pauses between tries to connect; they grow to ten times that.
	retryPause = 500 * time.Millisecond
	// hesitation is how long a host that its provider takes back may still answer.
	hesitation = 2 * time.Second
	// proof is how long a host has to answer when its provider says that it is taken back.
	proof = 5 * time.Second
)

// retry calls f until it ends by itself, or the connection has been lost for longer than the patience lasts, or the provider says that the host
// is gone. The patience lasts anew for a connection that had held for a while, or on which f got on.
func (h *Host) retry(ctx context.Context, f func(ctx context.Context) (gotOn bool, err error)) error {
	there, end := context.WithCancelCause(ctx) // ends when the host is gone too
	var asking sync.WaitGroup
	defer asking.Wait()
	defer end(nil)
	asking.Go(func() { h.heed(there) })
	var lost time.Time
	var ask sync.Once
	for pause := retryPause; ; pause = min(2*pause, 10*retryPause) {
		began := time.Now()
		gotOn, err := f(there)
		if gotOn || lost.IsZero() || time.Since(began) > h.o.Keepalive {
			lost, pause = time.Now(), retryPause
		}
		var code *codeError
		switch {
		case err == nil || errors.As(err, &code) || ctx.Err() != nil:
			return err
		case there.Err() != nil:
			return context.Cause(there)
		case time.Since(lost) > h.o.Patience:
			return &LostError{fmt.Errorf("the connection to the host was lost for %s: %w", h.o.Patience, err)}
		}
		ask.Do(func() { asking.Go(func() { h.askProvider(there, end) }) })
		h.o.Log.Warn("The connection to the job's host is lost; dialling anew", "error", err)
		if wait.For(there, pause) != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// heed proves the connection when the provider says that it takes the host back: a host that was switched off ends none by itself.
func (h *Host) heed(ctx context.Context) {
	if h.o.Provider == nil || h.o.Provider.Interrupted(ctx) == nil {
		return
	}
	h.mu.Lock()
	client := h.client
	h.mu.Unlock()
	if client != nil && ctx.Err() == nil {
		prove(client, proof)
	}
}

// askProvider ends what waits for a host that does not answer and that its provider has no more.
func (h *Host) askProvider(ctx context.Context, end context.CancelCauseFunc) {
	if h.o.Provider == nil {
		return
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	told, heard := context.WithCancel(ctx)
	defer heard()
	asking.Go(func() { // again and again: one list that lacks a host proves nothing
		for wait.For(told, hesitation) == nil {
			h.o.Provider.Suspect()
		}
	})
	if notice := h.o.Provider.Interrupted(ctx); notice != nil && wait.For(ctx, hesitation) == nil { // one that is merely to be taken back answers by then
		end(&LostError{fmt.Errorf("the host is gone: %w", notice)})
	}
}
