package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/wait"
)

// An engine that went silent may be starting anew, or its machine may have vanished, which no connection tells: then nothing comes any more.
const (
	// silenceLimit is how long an engine may not answer before what runs on it is given up.
	silenceLimit = 45 * time.Second
	// beat is how often the engine of a running stage is asked whether it is there, answerLimit how long it has for that.
	beat        = 10 * time.Second
	answerLimit = 5 * time.Second
)

// unreachable is what an error of a silent engine ends with.
const unreachable = "; its host may be gone or overloaded: try the job again"

// silence is how long this executor's engine may be silent.
func (e *Executor) silence() time.Duration {
	if e.o.Silence > 0 {
		return e.o.Silence
	}
	return silenceLimit
}

// fresh is how long ago an engine may have been heard to count as there. A job that says something all the time then costs no probes, which need a
// connection beside its stream.
const fresh = 2 * time.Second

// heard notes when something comes from an engine.
type heard struct {
	from io.Reader
	at   *atomic.Int64
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	if n > 0 {
		h.at.Store(time.Now().UnixMilli())
	}
	return n, err
}

// Probe implements executor.Prober.
func (e *Executor) Probe(ctx context.Context) error {
	if time.Since(time.UnixMilli(e.heard.Load())) < fresh {
		return nil
	}
	_, err := e.api.Ping(ctx)
	return err
}

// ping asks the engine whether it is there.
func (e *Executor) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return e.Probe(ctx)
}

// lost tells whether ctx ended because the engine is no more: nothing that runs on it can be stopped.
func lost(ctx context.Context) bool {
	var kind *executor.Error
	return errors.As(context.Cause(ctx), &kind) && kind.Kind == executor.Engine
}

// watch calls lost, once, when the engine does not answer twice in a row, or when the stage's container has ended and its stream has not:
// engines lose the end of a stream now and then. What it calls breaks off a stream from which nothing may come for hours. The end of it
// must be called.
func (r *stageRun) watch(ctx context.Context, lost func()) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		every, bytes := min(beat, r.e.silence()), int64(-1)
		for missed := 0; missed < 2; {
			if missed == 0 && wait.For(ctx, every) != nil {
				return
			}
			if missed++; r.e.ping(ctx) == nil {
				missed = 0
			}
			was := bytes
			bytes = r.outBytes.Load() + r.errBytes.Load()
			if missed == 0 && bytes == was && r.over(ctx) && wait.For(ctx, min(settle, every)) == nil && r.over(ctx) {
				break
			}
			if ctx.Err() != nil {
				return
			}
		}
		lost()
	}()
	return func() {
		cancel()
		<-done
	}
}

// over tells whether the container has ended, as far as the engine says so.
func (r *stageRun) over(ctx context.Context) bool {
	info, err := r.inspect(ctx)
	return err == nil && !info.State.Running
}

// outage is a time in which the engine did not answer.
type outage struct {
	limit time.Duration
	since time.Time     // when it began; zero while the engine answers
	total time.Duration // of those that are over
}

// missed notes that the engine did not answer, and returns an error when that has been so for too long.
func (o *outage) missed(err error) error {
	if o.since.IsZero() {
		o.since = time.Now()
	}
	if silent := time.Since(o.since); silent >= o.limit {
		return executor.Errorf(executor.Engine, "the engine has not answered for %s: %w%s", silent.Round(time.Second), err, unreachable)
	}
	return nil
}

// over notes that the engine answers.
func (o *outage) over() {
	if !o.since.IsZero() {
		o.total += time.Since(o.since)
		o.since = time.Time{}
	}
}

// The exit codes of a container that an engine ends when it stops (TERM, then KILL), or of which it lost sight.
const (
	exitKilled     = 137
	exitTerminated = 143
	exitUnknown    = 255
)

// slowAnswer is how long a newcomer waits at most for an engine that is up. Where the service manager holds the engine's socket, a newcomer
// waits for the next engine.
const slowAnswer = 2 * time.Second

// ended is the outcome of a stage. One that was killed while its engine was away, or is about to go, was not ended by its script.
func (r *stageRun) ended(ctx context.Context, code int, away *outage) error {
	if code != exitKilled && code != exitTerminated && code != exitUnknown {
		return exit(code)
	}
	info, err := r.inspect(ctx)
	if isRemoved(info, err) {
		return r.removed(ctx)
	}
	if err == nil && info.State.OOMKilled {
		return exit(code)
	}
	for {
		began := time.Now()
		err := r.e.knock(ctx)
		switch took := time.Since(began); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && took > slowAnswer:
			away.total += took
			fallthrough
		case err == nil:
			if away.over(); away.total == 0 {
				return exit(code)
			}
			return fmt.Errorf("the engine, or its host, was restarted and killed the stage (exit code %d); it did not answer for %s; try the job again",
				code, max(away.total.Round(time.Second), time.Second))
		}
		if err := away.missed(err); err != nil {
			return err
		}
		if err := wait.For(ctx, time.Second); err != nil {
			return err
		}
	}
}

// knock asks the engine for an answer over a new connection: an engine that stops goes on serving those that it has.
func (e *Executor) knock(ctx context.Context) error {
	api, err := dial(e.o)
	if err != nil {
		return err
	}
	defer api.Close()
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	_, err = api.Ping(ctx)
	return err
}

func (r *stageRun) inspect(ctx context.Context) (container.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	info, err := r.e.api.ContainerInspect(ctx, r.id)
	if err == nil && info.State == nil {
		err = errors.New("the engine does not tell the container's state")
	}
	return info, err
}

// isRemoved tells whether a container has been removed, or is about to be: the engine kills it first.
func isRemoved(info container.InspectResponse, err error) bool {
	if err != nil {
		return errdefs.IsNotFound(err)
	}
	return info.State.Status == container.StateRemoving || info.State.Dead
}

// errRemoved is of a stage whose container was removed while it ran.
var errRemoved = errors.New("the stage was killed, and its container is gone")

// removalLimit bounds the wait for the end of a removal, after which the container's name is free.
const removalLimit = 20 * time.Second

// removed waits until the container, which somebody removes, is gone.
func (r *stageRun) removed(ctx context.Context) error {
	for until := time.Now().Add(removalLimit); time.Now().Before(until); {
		if _, err := r.inspect(ctx); errdefs.IsNotFound(err) {
			break
		}
		if err := wait.For(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return errRemoved
}

// fullTexts are the words of an engine, or of its kernel, for a disk without room.
var fullTexts = []string{"no space left on device", "disk quota exceeded"}

func isFull(err error) bool {
	text := strings.ToLower(err.Error())
	for _, t := range fullTexts {
		if strings.Contains(text, t) {
			return true
		}
	}
	return false
}

// full is the error of an engine whose disk is full: another engine may serve.
func full(err error) error {
	return executor.Errorf(executor.Engine, "the engine's disk is full: %w; free space on it (docker system prune), or give it a larger disk", err)
}

// cutOff tells whether an answer of the engine ended before its end, as it does when the engine stops.
func cutOff(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF)
}
