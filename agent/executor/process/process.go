// Package process runs programs on the agent's own host for the executors that have no containers: each in a process group of its own,
// with standard output and error apart and nothing on standard input, and stopped with all of its children.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/millwright-ci/millwright/agent/executor"
)

// Command is a program to run to its end.
type Command struct {
	Path string
	Args []string
	Env  []string // all of it
	Dir  string
	As   *Account // whose rights it gets; nil for the agent's own

	Stdout, Stderr io.Writer

	// Grace is what the program has between TERM and KILL; Force how long after KILL it is waited for.
	Grace, Force time.Duration
	// Mark is an entry NAME=VALUE of Env that no other program's environment holds. Where the system lets us look, a stop reaches the
	// children that left the process group too.
	Mark string
	// Note is a file that names the program while it runs, for an agent that comes after a crash; "" leaves none.
	Note string
	// Started, if set, is called when the program runs.
	Started func()
	// Lingering, if set, is called once when the program has ended while children of it still hold its output.
	Lingering func()
	Log       *slog.Logger
}

// lingering is how long after a program's end its output may come to an end without a word.
const lingering = 5 * time.Second

// Run starts the program and returns when it has ended and all of its output is written, that of its children in the background too. A
// program that ends with another code than 0 gives an *executor.ExitError, one that a signal killed 128 and the signal's number. When ctx
// ends the program is stopped with all of its children, and the cause is returned.
func (c Command) Run(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = c.Env, c.Dir, attributes(c.As)
	output, err := c.pipes(cmd)
	if err != nil {
		return err
	}
	defer output.close()
	if err := cmd.Start(); err != nil {
		output.started()
		return fmt.Errorf("start %s: %w", c.Path, err)
	}
	output.started()
	if c.Note != "" {
		if err := note(c.Note, cmd.Process.Pid); err != nil {
			c.Log.Warn("a process would outlive a crash of the agent", "pid", cmd.Process.Pid, "error", err)
		}
		defer os.Remove(c.Note)
	}
	if c.Started != nil {
		c.Started()
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the process
	return c.follow(ctx, cmd.Process.Pid, ended, output)
}

// follow waits for the end of the process and of its output.
func (c Command) follow(ctx context.Context, pid int, ended <-chan error, output *output) error {
	var result error
	select {
	case result = <-ended:
	case <-ctx.Done():
		c.stop(pid, ended, output)
		return context.Cause(ctx)
	}
	late := time.NewTimer(lingering)
	defer late.Stop()
	for {
		select {
		case err := <-output.copied:
			return errors.Join(exitOf(result), err)
		case <-late.C:
			if c.Lingering != nil {
				c.Lingering()
			}
		case <-ctx.Done():
			c.stop(pid, nil, output)
			return context.Cause(ctx)
		}
	}
}

// stop sends TERM, after the grace KILL, and returns when all of the output is written, or at the latest when Force is over. ended is nil
// for a process that has ended while children of it live on.
func (c Command) stop(pid int, ended <-chan error, output *output) {
	gone := make(chan struct{})
	go func() { // ends with the process, and when output is closed
		if ended != nil {
			<-ended
		}
		<-output.copied
		close(gone)
	}()
	terminate(pid, c.Mark)
	if await(gone, c.Grace) && !alive(pid, c.Mark) {
		return
	}
	kill(pid, c.Mark)
	if !await(gone, c.Force) {
		c.Log.Warn("a process does not end, though it was killed", "pid", pid, "program", c.Path)
	}
}

func await(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// exitOf turns the end of a process into an error of this package's.
func exitOf(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	return &executor.ExitError{Code: exitCode(exit.ProcessState)}
}

// output is what a program writes, on its way.
type output struct {
	ours, theirs []*os.File
	copied       chan error // one value when both streams have ended
}

// pipes connects the program's output. Pipes of our own, since exec's would hide when the program itself has ended.
func (c Command) pipes(cmd *exec.Cmd) (*output, error) {
	o := &output{copied: make(chan error, 1)}
	var targets []io.Writer
	for _, stream := range []struct {
		to   io.Writer
		file *io.Writer
	}{{c.Stdout, &cmd.Stdout}, {c.Stderr, &cmd.Stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			o.started()
			o.close()
			return nil, fmt.Errorf("pipe: %w", err)
		}
		o.ours, o.theirs = append(o.ours, r), append(o.theirs, w)
		targets, *stream.file = append(targets, stream.to), w
	}
	ends := make(chan error, len(targets))
	for i, to := range targets {
		go func() { // ends with the stream, at the latest when it is closed
			_, err := io.Copy(to, o.ours[i])
			if errors.Is(err, os.ErrClosed) {
				err = nil
			}
			ends <- err
		}()
	}
	go func() {
		var errs []error
		for range targets {
			errs = append(errs, <-ends)
		}
		o.copied <- errors.Join(errs...)
		close(o.copied)
	}()
	return o, nil
}

// started closes the ends that are the program's.
func (o *output) started() {
	for _, f := range o.theirs {
		f.Close()
	}
	o.theirs = nil
}

func (o *output) close() {
	for _, f := range o.ours {
		f.Close()
	}
}
