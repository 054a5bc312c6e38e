package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/wait"
)

const (
	// stopGrace is what a script has between TERM and KILL.
	stopGrace = 10 * time.Second
	// settle is how long the end of an attached stream may come before the end of its container, and the other way round.
	settle = 2 * time.Second
)

// scriptArchive packs a script for the engine's copy call. Every user of the image may read it. own is a file that is packed with it.
func scriptArchive(script []byte, own string) (io.Reader, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	now := time.Now()
	err := errors.Join(
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: scriptDir + "/", Mode: 0o755, ModTime: now}),
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: scriptDir + "/" + own, Mode: 0o644, ModTime: now}),
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: scriptDir + "/" + scriptName, Mode: 0o755, Size: int64(len(script)), ModTime: now}),
	)
	if err == nil {
		_, err = w.Write(script)
	}
	return &b, errors.Join(err, w.Close())
}

// load hands a script to a container.
func (e *Executor) load(ctx context.Context, id string, script []byte) error {
	archive, err := scriptArchive(script, e.ownFile())
	if err != nil {
		return err
	}
	return e.api.CopyToContainer(ctx, id, "/", archive, container.CopyToContainerOptions{})
}

// Run runs one stage in its container, which is made when the first stage needs it and started anew for each.
func (e *Executor) Run(ctx context.Context, s executor.Stage) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.Place == executor.Helper {
		e.awaitNetwork(ctx)
	}
	err := e.runOnce(ctx, s)
	var start *startError
	if s.Place == executor.Helper && errors.As(err, &start) && ctx.Err() == nil && e.unshare(ctx) {
		err = e.runOnce(ctx, s)
	}
	return err
}

func (e *Executor) runOnce(ctx context.Context, s executor.Stage) error {
	id, err := e.container(ctx, s.Place)
	if err != nil {
		return err
	}
	slot := e.slots[s.Place]
	if err := e.settled(ctx, slot, id); err != nil {
		return e.gone(s.Place, fmt.Errorf("stage %s: %w", s.Name, err))
	}
	did := slot.take(ctx, id, s.Script)
	run := e.newRun(id, s)
	run.gated = slot.gated
	run.from, run.held, err = e.ready(ctx, slot, id, s, did)
	if err != nil {
		return e.gone(s.Place, fmt.Errorf("stage %s: script: %w", s.Name, engineErr(err)))
	}
	if s.Starting != nil {
		s.Starting(run.from)
	}
	err = run.run(ctx)
	if run.left {
		slot.setEnding(id)
	}
	return e.after(ctx, s.Place, err)
}

// ready makes a container have a stage's script and tells of its start before, if somebody wants to know. held is where the container
// waits at its gate for this stage.
func (e *Executor) ready(ctx context.Context, slot *slot, id string, s executor.Stage, did early) (from executor.Start, held *executor.Position, err error) {
	group, call := errgroup.WithContext(ctx)
	call, cancel := context.WithTimeout(call, callTimeout)
	defer cancel()
	from = executor.Start{Container: id}
	fresh := slot.takeFresh(id)
	if did.held || slot.gated && !fresh { // what an agent before held it for may be another script
		if held, err = e.heldAt(call, id, did.script != nil); err != nil {
			return from, nil, err
		}
		fresh = held != nil
	}
	if did.script == nil {
		group.Go(func() error { return e.load(call, id, s.Script) })
	}
	if s.Starting != nil && !fresh {
		group.Go(func() (err error) { from, err = e.lastStart(call, id); return })
	}
	return from, held, group.Wait()
}

// after is what follows from a stage's outcome.
func (e *Executor) after(ctx context.Context, place executor.Place, err error) error {
	if err != nil && place == executor.Build && ctx.Err() == nil {
		e.tellDeadServices(ctx)
	}
	return e.gone(place, err)
}

func (e *Executor) newRun(id string, s executor.Stage) *stageRun {
	r := &stageRun{e: e, id: id, stdout: s.Stdout, stderr: s.Stderr, started: s.Started, grace: stopGrace,
		terminate: s.Place == executor.Build && !e.o.Flags.NativeStop}
	switch {
	case s.LastWord != "":
		r.word = listen(s)
	case s.Place == executor.Build && e.o.Init.Path != "":
		r.word = listenToInit(s, e.o.Init.Word)
	default:
		return r
	}
	r.stdout, r.stderr = r.word.stdout, r.word.stderr
	return r
}

// stageRun is one start of a container, from attaching to its end.
type stageRun struct {
	e              *Executor
	id             string
	stdout, stderr io.Writer
	started        func(executor.Position)
	terminate      bool          // send TERM to every process inside first
	grace          time.Duration // between TERM and KILL

	outBytes, errBytes atomic.Int64

	word *lastWord // nil where there is none
	left bool      // it has been said, and the container is still to end

	gated bool               // it waits for a word at each start
	held  *executor.Position // it has been started already and waits; nil when it is to be started

	exited chan ending    // has how the container ended, or why that is not known, once; nil where nobody waits for it
	from   executor.Start // the start before this one, where it is known
	noted  sync.Once
	begin  executor.Position // set by note
}

// run attaches, starts, copies the output and returns when the container has ended and all of its output is written.
func (r *stageRun) run(ctx context.Context) error {
	stream, err := r.e.api.ContainerAttach(ctx, r.id, container.AttachOptions{Stream: true, Stdin: r.gated, Stdout: true, Stderr: true})
	if err != nil {
		return engineErr(fmt.Errorf("attach: %w", err))
	}
	copied := make(chan error, 1)
	go func() { // ends with the stream, at the latest when it is closed below
		copied <- demux(&counter{r.stdout, &r.outBytes}, &counter{r.stderr, &r.errBytes}, &heard{stream.Reader, &r.e.heard})
	}()
	drain := func() {
		stream.Close()
		<-copied
	}
	early, forget := context.WithTimeout(ctx, earlyWait)
	defer forget()
	r.waitEarly(early)
	if err := r.start(ctx, stream.Conn); err != nil {
		drain()
		return err
	}
	var noted sync.WaitGroup
	noting, over := context.WithCancel(ctx)
	noted.Go(func() { r.note(noting) })
	defer noted.Wait()
	defer over() // when a script began nobody needs to know once it has ended
	unwatch := r.watch(ctx, stream.Close)
	var said chan struct{}
	if r.word != nil {
		said = r.word.said
		defer r.word.flush()
	}
	select {
	case <-said:
		unwatch()
		r.left = true
		r.letEnd(stream, copied)
		return exit(int(r.word.code.Load()))
	case err = <-copied:
		unwatch()
		stream.Close()
	case <-ctx.Done():
		unwatch()
		if left(ctx) || lost(ctx) {
			drain()
			return context.Cause(ctx)
		}
		r.stop(ctx)
		select {
		case <-copied:
			stream.Close()
		case <-time.After(settle):
			drain()
		}
		return context.Cause(ctx)
	}
	return r.end(ctx, err)
}

// start starts the container, unless that has been done, and opens its gate.
func (r *stageRun) start(ctx context.Context, stdin io.Writer) error {
	if r.held == nil {
		call, cancel := lasting(ctx)
		err := r.e.api.ContainerStart(call, r.id, container.StartOptions{})
		cancel()
		if err != nil {
			return &startError{startErr(fmt.Errorf("start: %w", err))}
		}
	}
	if !r.gated {
		return nil
	}
	if _, err := io.WriteString(stdin, gateWord); err != nil {
		return engineErr(fmt.Errorf("the word to begin: %w", err))
	}
	return nil
}

// logTries bounds the tries, a second apart, to read a stage's output from an engine that answers.
const logTries = 30

// end learns how the container ended. When the stream broke off before the container did, the rest of the output comes from the
// engine's log, from the byte where the stream stopped.
func (r *stageRun) end(ctx context.Context, streamErr error) error {
	began, away := time.Now(), outage{limit: r.e.silence()}
	for tries := 0; ; {
		code, running, err := r.outcome(ctx, settle)
		lost := running || streamErr != nil || time.Since(began) > settle/2
		switch {
		case ctx.Err() != nil:
			r.stop(ctx)
			return context.Cause(ctx)
		case err != nil && !isUnreachable(err):
			return engineErr(fmt.Errorf("wait: %w", err))
		case err != nil:
			if err := away.missed(err); err != nil {
				return err
			}
		case lost:
			away.over()
			if streamErr = r.copyLog(ctx, running || tries == 0); streamErr == nil && !running {
				return r.ended(ctx, code, &away)
			}
			began = time.Now()
			tries++
		default:
			return r.ended(ctx, code, &away)
		}
		if tries > logTries {
			return engineErr(fmt.Errorf("output: %w", streamErr))
		}
		if err := wait.For(ctx, time.Second); err != nil {
			r.stop(ctx)
			return err
		}
	}
}

// ending is how a container ended.
type ending struct {
	code int
	err  error
}

// earlyWait is how long a stage's end is awaited from before its start on. The engine tells it then as soon as it knows; who asks later waits
// until it has put all of the container away, which takes as long as a short script. It costs a connection, so long stages do without.
const earlyWait = 30 * time.Second

// waitEarly begins to wait for the end of a container that is about to be started.
func (r *stageRun) waitEarly(ctx context.Context) {
	when := container.WaitConditionNextExit
	if r.held != nil {
		when = container.WaitConditionNotRunning
	}
	status, failed := r.e.api.ContainerWait(ctx, r.id, when)
	exited := make(chan ending, 1)
	r.exited = exited
	go func() { // ends with ctx at the latest
		select {
		case s := <-status:
			e := ending{code: int(s.StatusCode)}
			if s.Error != nil {
				e.err = errors.New(s.Error.Message)
			}
			exited <- e
		case err := <-failed:
			exited <- ending{err: err}
		}
	}()
}

// outcome is wait, but for what waitEarly has found out.
func (r *stageRun) outcome(ctx context.Context, limit time.Duration) (code int, running bool, err error) {
	if exited := r.exited; exited != nil {
		r.exited = nil
		select {
		case e := <-exited:
			if e.err == nil {
				return e.code, false, nil
			}
		case <-time.After(limit):
		case <-ctx.Done():
		}
	}
	return r.wait(ctx, limit)
}

func exit(code int) error {
	if code == 0 {
		return nil
	}
	return &executor.ExitError{Code: code}
}

// wait waits a moment for the container's end.
func (r *stageRun) wait(ctx context.Context, limit time.Duration) (code int, running bool, err error) {
	call, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, failed := r.e.api.ContainerWait(call, r.id, container.WaitConditionNotRunning)
	select {
	case s := <-status:
		if s.Error != nil {
			return 0, false, errors.New(s.Error.Message)
		}
		return int(s.StatusCode), false, nil
	case err := <-failed:
		if call.Err() != nil && ctx.Err() == nil {
			return 0, true, r.e.ping(ctx) // the container runs, or nobody is there to tell
		}
		return 0, false, err
	}
}

// readLog writes what the engine's log holds of this start beyond what has been written already, and follows it to its end.
func (r *stageRun) readLog(ctx context.Context) error {
	return r.copyLog(ctx, true)
}

// copyLog is readLog; without follow it ends with what the log holds now.
func (r *stageRun) copyLog(ctx context.Context, follow bool) error {
	at := r.note(ctx)
	opts := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow}
	if !at.LogSince.IsZero() {
		opts.Since = at.LogSince.Format(time.RFC3339Nano)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.watch(ctx, cancel)()
	body, err := r.e.api.ContainerLogs(ctx, r.id, opts)
	if err != nil {
		return err
	}
	defer body.Close()
	stdout := &skipper{to: &counter{r.stdout, &r.outBytes}, skip: r.outBytes.Load()}
	stderr := &skipper{to: &counter{r.stderr, &r.errBytes}, skip: r.errBytes.Load()}
	return demux(stdout, stderr, body)
}

// note learns when this start began, once, and passes it on.
func (r *stageRun) note(ctx context.Context) executor.Position {
	r.noted.Do(func() {
		r.begin = executor.Position{Container: r.id}
		if r.held != nil {
			if r.begin = *r.held; r.started != nil {
				r.started(r.begin)
			}
			return
		}
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		info, err := r.e.api.ContainerInspect(call, r.id)
		if err == nil && info.State != nil {
			finished := info.State.FinishedAt
			if !r.from.EndedAt.IsZero() {
				finished = r.from.EndedAt.Format(time.RFC3339Nano)
			}
			r.begin.StartedAt, r.begin.LogSince = boundary(info.State.StartedAt, finished)
		}
		if r.started != nil {
			r.started(r.begin)
		}
	})
	return r.begin
}

// boundary finds a time between the output of a container's earlier start and that of its present one, by the engine's clock.
// StartedAt itself will not do: the engine writes it down when the script may have spoken already. Half-way between the earlier
// end and this start lies in the gap that it takes to start a container. finished is of this start when the script was quick.
func boundary(started, finished string) (startedAt, since time.Time) {
	startedAt, _ = time.Parse(time.RFC3339Nano, started)
	before, _ := time.Parse(time.RFC3339Nano, finished)
	switch {
	case before.Year() <= 1:
		return startedAt, time.Time{} // the first start: all of the log is its own
	case before.After(startedAt):
		return startedAt, startedAt.Add(-50 * time.Millisecond)
	}
	return startedAt, before.Add(startedAt.Sub(before) / 2)
}

// counter counts what has been written.
type counter struct {
	to io.Writer
	n  *atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// skipper leaves out the first bytes.
type skipper struct {
	to   io.Writer
	skip int64
}

func (s *skipper) Write(p []byte) (int, error) {
	n := min(s.skip, int64(len(p)))
	s.skip -= n
	if n == int64(len(p)) {
		return len(p), nil
	}
	written, err := s.to.Write(p[n:])
	return int(n) + written, err
}
