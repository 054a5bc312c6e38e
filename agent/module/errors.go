package module

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"github.com/millwright-ci/millwright/agent/module/meter"
)

// Cause says in which way a call into a module went wrong.
type Cause string

// The causes. CauseReported is a failure that the guest itself told; all others are faults.
const (
	CauseReported Cause = "reported"
	CauseTrap     Cause = "trap"     // it crashed, panicked or ran out of memory
	CauseDeadline Cause = "deadline" // it took too long
	CauseFuel     Cause = "fuel"     // it did too much
	CauseExit     Cause = "exit"     // it ended itself
	CauseOutput   Cause = "output"   // what it returned is too large, empty or no JSON of the ABI
)

// Error is a call into a module that failed. The instance that it ran in is gone.
type Error struct {
	Module string
	Export string
	Cause  Cause
	Text   string // what happened, with the guest's own words where there are any
}

func (e *Error) Error() string { return e.Module + ": " + e.Export + ": " + e.Text }

// ErrClosed is what a call into a closed module returns.
var ErrClosed = errors.New("the module is closed")

// callError explains err, which came from a call that ran under ctx; outer is the caller's own context. It returns nil for none.
// stderr is what the guest wrote: with Go guests the only place where a panic's text stands.
func (m *Module) callError(outer, ctx context.Context, export string, err error, stderr string) error {
	if err == nil {
		return nil
	}
	e := &Error{Module: m.Name(), Export: export, Cause: CauseReported, Text: firstLine(err.Error())}
	var exit *sys.ExitError
	switch {
	case errors.Is(outer.Err(), context.Canceled):
		return fmt.Errorf("%s: %s: %w", m.Name(), export, outer.Err())
	case ctx.Err() != nil:
		e.Cause, e.Text = CauseDeadline, "still running at its deadline; the call was ended"
	case errors.Is(err, meter.ErrFuel):
		e.Cause, e.Text = CauseFuel, fmt.Sprintf("used all its fuel, %d million, and was ended; an endless loop does that", m.limits.Fuel/1_000_000)
	case errors.Is(err, meter.ErrStack):
		e.Cause, e.Text = CauseTrap, "trap: "+meter.ErrStack.Error()
	case errors.As(err, &exit):
		e.Cause, e.Text = CauseExit, fmt.Sprintf("exited with code %d", exit.ExitCode())
	case isTrap(err):
		e.Cause, e.Text = CauseTrap, "trap: "+strings.TrimPrefix(e.Text, "wasm error: ")
	}
	if e.Cause == CauseTrap || e.Cause == CauseExit {
		if said := lastWords(stderr); said != "" {
			e.Text += " (" + said + ")"
		}
	}
	return e
}

// isTrap tells a trap from what a guest reported. wazero keeps its type to itself, so that the text has to do; a guest that reports
// such a text deceives nobody but its author.
func isTrap(err error) bool {
	text := err.Error()
	return strings.Contains(text, "wasm stack trace") || strings.HasPrefix(text, "wasm error") || text == "stack overflow"
}

// firstLine is the first line of s, at most 1 KB of it.
func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s[:min(len(s), 1<<10)]
}

// lastWords picks the line of a guest's stderr that says why it ended: a Go panic or fatal error, else the last line.
func lastWords(stderr string) string {
	last := ""
	for line := range strings.Lines(stderr) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return firstLine(line)
		}
		last = line
	}
	return firstLine(last)
}
