package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/process"
	"github.com/millwright-ci/millwright/agent/wait"
)

// Run runs a stage's script to its end: once, however often the connection is lost meanwhile, and every byte of its output is written once.
// A script that ends with another code than 0 gives an *executor.ExitError. When ctx ends the script is stopped with all of its children
// and the cause is returned; with executor.ErrLeft as the cause it goes on. A *LostError means that the host can't be reached any more.
func (h *Host) Run(ctx context.Context, s executor.Stage) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	h.stages++
	at := h.stage(h.stages, s)
	if err := h.Put(ctx, at.dir+"/"+at.script(), "700", h.marked(at, s.Script)); err != nil {
		return at.ended(ctx, s, err)
	}
	if s.Starting != nil {
		s.Starting(executor.Start{Container: strconv.Itoa(h.stages)})
	}
	if _, err := h.command(ctx, at.start(), nil); err != nil {
		if ctx.Err() != nil {
			at.stop(ctx)
		}
		return at.ended(ctx, s, err)
	}
	if s.Started != nil {
		s.Started(executor.Position{Container: strconv.Itoa(h.stages), StartedAt: time.Now()})
	}
	return at.await(ctx, s)
}

// stage is the one of that number.
func (h *Host) stage(n int, s executor.Stage) *stage {
	return &stage{h: h, place: s.Place, dir: h.dir + "/" + strconv.Itoa(n), stdout: &counter{to: s.Stdout}, stderr: &counter{to: s.Stderr}}
}

// script is the name of the stage's script. PowerShell on Windows wants its own.
func (at *stage) script() string {
	if at.powershell() {
		return "script.ps1"
	}
	return "script"
}

func (at *stage) powershell() bool { return at.h.o.Pwsh != "" && at.place == executor.Build }

// marked is a script as its shell takes it: Windows PowerShell takes a file for UTF-8 when that begins with a byte order mark alone.
func (h *Host) marked(at *stage, script []byte) []byte {
	if !at.powershell() || h.o.Pwsh != windowsPowerShell {
		return script
	}
	return append([]byte("\ufeff"), script...)
}

// windowsPowerShell is the program of the PowerShell that comes with Windows.
const windowsPowerShell = "powershell"

// start is the command that starts the script.
func (at *stage) start() string {
	shell, told := at.h.o.Shell, "-l"
	switch {
	case at.powershell():
		shell, told = at.h.o.Pwsh, "-NoProfile -NoLogo -NonInteractive -ExecutionPolicy Bypass -File"
	case at.h.o.Plain:
		told = ""
	}
	return fmt.Sprintf(startScript, quote(at.dir), quote(shell), quote(at.h.dir), quote(told), quote(at.script()), process.PowerShell(createProcess))
}

// await writes what the script says until it has ended, and returns how.
func (at *stage) await(ctx context.Context, s executor.Stage) error {
	err := at.follow(ctx)
	if ctx.Err() != nil {
		at.stop(ctx)
		return context.Cause(ctx)
	}
	if err == nil {
		err = at.result(ctx)
	}
	return at.ended(ctx, s, err)
}

// stage is one script that runs on the host.
type stage struct {
	h              *Host
	place          executor.Place
	dir            string
	stdout, stderr *counter
}

func (at *stage) ended(ctx context.Context, s executor.Stage, err error) error {
	var exit *executor.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil || errors.As(err, &exit):
		return err
	}
	return fmt.Errorf("stage %s: %w", s.Name, err)
}

// follow copies the output until the script has ended, from where it stands.
func (at *stage) follow(ctx context.Context) error {
	err := at.h.retry(ctx, func() (bool, error) {
		before := at.stdout.n + at.stderr.n
		command := fmt.Sprintf(followScript, quote(at.dir), at.stdout.n, at.stderr.n, quote(at.h.o.Job))
		err := at.h.session(ctx, command, nil, at.h.behind(at.stdout), at.h.behind(at.stderr))
		return at.stdout.n+at.stderr.n > before, err
	})
	var code *codeError
	if errors.As(err, &code) && code.code == 4 {
		return errors.New("the script's processes are gone without an exit code: the host was started anew, or somebody killed them")
	}
	return err
}

// result is the script's exit code.
func (at *stage) result(ctx context.Context) error {
	out, err := at.h.command(ctx, "cat "+quote(at.dir+"/code")+" && rm -f "+quote(at.dir+"/"+at.script()), nil)
	if err != nil {
		return err
	}
	code, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return fmt.Errorf("exit code: %w", err)
	}
	if code != 0 {
		return &executor.ExitError{Code: code}
	}
	return nil
}

// stopTime bounds the stop beyond the script's grace.
const stopTime = 30 * time.Second

// stop sends TERM and, after the grace, KILL, and copies what the script still says. A host that can't be reached keeps its processes, and
// one that is left to another agent, or is no more, too.
func (at *stage) stop(ctx context.Context) {
	var gone *executor.Error
	if cause := context.Cause(ctx); errors.Is(cause, executor.ErrLeft) || errors.As(cause, &gone) && gone.Kind == executor.Engine {
		return
	}
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), at.h.o.Grace+stopTime)
	defer cancel()
	pid := quote(at.dir + "/pid")
	if _, err := at.h.command(call, fmt.Sprintf(signalScript, "TERM", at.h.dir, pid), nil); err != nil {
		at.h.o.Log.Warn("What a job runs on its host goes on, since the host can't be reached", "error", err)
		return
	}
	graceful, done := context.WithTimeout(call, at.h.o.Grace)
	err := at.follow(graceful)
	for err == nil && graceful.Err() == nil { // the script has ended; its children may not have
		if _, left := at.h.command(graceful, fmt.Sprintf(leftScript, pid), nil); left != nil {
			break
		}
		if wait.For(graceful, 100*time.Millisecond) != nil {
			break
		}
	}
	done()
	if _, err := at.h.command(call, fmt.Sprintf(signalScript, "KILL", at.h.dir, pid), nil); err != nil {
		at.h.o.Log.Warn("What a job runs on its host may go on", "error", err)
		return
	}
	_ = at.follow(call) // the last words, until its processes are gone
}

// counter counts what has been written.
type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
