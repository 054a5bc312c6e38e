package remote

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millwright-ci/millwright/agent/executor"
)

// Reopen takes up the folder that a job of an agent before has on the host, and says nothing there. What the host says of itself is read anew.
// The connection is dialled for as long as the patience lasts. After Reopen, Close or Leave must be called.
func Reopen(ctx context.Context, o Options) (*Host, error) {
	h := newHost(o)
	out, err := h.command(ctx, fmt.Sprintf(resumeScript, quote(h.dir)), nil)
	var code *codeError
	if errors.As(err, &code) {
		err = errors.New("the job's folder is gone from the host")
	}
	if err == nil {
		h.stages, err = strconv.Atoi(strings.TrimSpace(string(out)))
	}
	if err != nil {
		h.drop()
		return nil, fmt.Errorf("host: %w", err)
	}
	return h, nil
}

// Attach is Run for a stage that an agent before was about to start: it is false when the stage has not been started. All of its output is
// written, from its beginning.
func (h *Host) Attach(ctx context.Context, s executor.Stage, from executor.Start) (started bool, err error) {
	n, err := strconv.Atoi(from.Container)
	if err != nil || n < 1 {
		return false, nil // its script was not on the host yet
	}
	at := h.stage(n, s)
	_, err = h.command(ctx, "[ -d "+quote(at.dir+"/started")+" ]", nil)
	var code *codeError
	if errors.As(err, &code) {
		return false, nil
	}
	if err != nil {
		return true, at.ended(ctx, s, err)
	}
	// The agent before may have died within the call that starts it: that is finished, or found done.
	if _, err := h.command(ctx, at.start(), nil); err != nil {
		return true, at.ended(ctx, s, err)
	}
	if s.Started != nil {
		s.Started(executor.Position{Container: from.Container})
	}
	return true, at.await(ctx, s)
}

// Leave ends the connection and nothing else.
func (h *Host) Leave() { h.drop() }
