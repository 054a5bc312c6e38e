package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/wait"
)

// retryPause is the first of the pauses between tries to connect; they grow to ten times that.
const retryPause = 500 * time.Millisecond

// retry calls f until it ends by itself, or the connection has been lost for longer than the patience lasts. It lasts anew for a connection
// that had held for a while, or on which f got on.
func (h *Host) retry(ctx context.Context, f func() (gotOn bool, err error)) error {
	var lost time.Time
	for pause := retryPause; ; pause = min(2*pause, 10*retryPause) {
		began := time.Now()
		gotOn, err := f()
		if gotOn || lost.IsZero() || time.Since(began) > h.o.Keepalive {
			lost, pause = time.Now(), retryPause
		}
		var code *codeError
		if err == nil || errors.As(err, &code) || ctx.Err() != nil {
			return err
		}
		if time.Since(lost) > h.o.Patience {
			return &LostError{fmt.Errorf("the connection to the host was lost for %s: %w", h.o.Patience, err)}
		}
		h.o.Log.Warn("The connection to the job's host is lost; dialling anew", "error", err)
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
	}
}

// Probe asks the host for a sign of life: over the connection that there is, or, while none is there, over one of its own. It may be called
// while a stage runs.
func (h *Host) Probe(ctx context.Context) error {
	h.mu.Lock()
	client := h.client
	h.mu.Unlock()
	if client != nil {
		if err := client.Alive(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	client, err := h.o.Dial(ctx)
	if err == nil {
		client.Close()
	}
	return err
}
