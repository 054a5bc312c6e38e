// Package executor says how the stages of a job are run: one Executor serves one job on one engine or host, from Prepare to
// Cleanup. The job engine in agent/job decides which stages there are and what their scripts hold; an executor knows neither
// the coordinator nor GitLab's payload. Below it lies one package per executor.
package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Place says where a stage runs.
type Place string

// The two places. On executors without containers they are the same host.
const (
	Helper Place = "helper" // git, caches, artifacts: the helper container
	Build  Place = "build"  // the user's image: the build container
)

// Stage is one script to run to its end.
type Stage struct {
	Name   string // get_sources, step_script
	Place  Place
	Script []byte // in the dialect of the executor's shell, handed over as a file
	Stdout io.Writer
	Stderr io.Writer
	// Starting, if set, is called before the script is started. When it returns, Attach can tell whether it has been.
	Starting func(Start)
	// Started, if set, is called once when the script has been started, from a goroutine of its own that ends before Run does. Of a script that
	// has ended by then it may tell the container alone.
	Started func(Position)
	// LastWord, if set, is a line that the script says on both streams when it has come to its end with success and has nothing more to say. It is
	// no part of the output, and Run may return with it, before the engine has put the container away. Its first byte comes once.
	LastWord string
}

// Position says how far a stage's output has been read. Together with the stage's name it is what another agent needs to go on
// reading where this one stopped: the container keeps its output in the engine's log.
type Position struct {
	Container string    // its id
	StartedAt time.Time // of this start of the container, by the engine's clock
	LogSince  time.Time // what the engine's log holds after this belongs to this start; zero means all of it
	Stdout    int64     // bytes read of this start's output, before masking
	Stderr    int64
}

// Start is a container as it was just before a stage was started in it.
type Start struct {
	Container string
	StartedAt time.Time // of the stage before, by the engine's clock; zero when there was none
	EndedAt   time.Time // of that too
}

// ErrLeft is the cause of a context that ends because the agent hands its jobs over: what runs is left alone.
var ErrLeft = errors.New("the agent hands its jobs over")

// Handled is an executor that tells what it makes: when the agent dies, a new executor that is made with its Handle clears it by Cleanup.
type Handled interface {
	Executor
	// Handle is what another agent needs to find what this executor made, as JSON. It holds more after Prepare.
	Handle() []byte
}

// Lasting is an executor whose stages outlive the agent. A new one that is made with its Handle goes on where it stopped: Resume, in the
// place of Prepare, then Attach and Run.
type Lasting interface {
	Handled
	// Resume takes up what the executor of the handle has prepared, or left of it. It asks little of the engine, and says nothing.
	Resume(ctx context.Context) error
	// Attach is Run for a stage that an agent before was about to start: it is false when the stage has not been started. Otherwise all
	// of its output is written, from the stage's beginning, also when it has ended meanwhile. at is the stage's position where it is known.
	Attach(ctx context.Context, s Stage, from Start, at Position) (started bool, err error)
	// Leave lets go of the engine in the place of Cleanup: everything stays for another agent.
	Leave()
}

// Prober is an executor whose engine can be asked whether it is there, at any time.
type Prober interface {
	// Probe asks the engine for a word, and returns nil when it answers before ctx ends.
	Probe(ctx context.Context) error
}

// Emptier is an executor that can empty a directory of the helper's place, or make it, without starting anything there.
type Emptier interface {
	// Empty removes all that dir, an absolute path, holds. The directory above it must be there.
	Empty(ctx context.Context, dir string) error
}

// Executor runs the stages of one job. Its methods are called one after the other, but Cleanup may follow a call that was
// given up. Errors are an *ExitError, an *Error, or the context's cause; all others count as a fault of the system.
type Executor interface {
	// Prepare makes ready what the stages need. It blocks, for minutes when images are pulled.
	Prepare(ctx context.Context) (Ready, error)
	// Run runs a stage to its end and returns when all of its output has been written. A script that ends with another code
	// than 0 gives an *ExitError. When ctx ends the script is stopped (TERM, then KILL) and the cause is returned; what the
	// container's file system holds stays for the next stage. With ErrLeft as the cause the script goes on.
	Run(ctx context.Context, s Stage) error
	// Cleanup removes all that Prepare and Run made. It is called once, also after a failed Prepare.
	Cleanup(ctx context.Context) error
}

// Ready is what Prepare found out.
type Ready struct {
	Dirs      []string // to be made writable for every user before the first stage
	Owner     string   // uid:gid of the build container's user, where it was asked for
	Variables []Variable
	// Hostname is that of the helper's place, where the executor knows it beforehand and each start of that place costs: then prepare_script
	// needs none.
	Hostname string

	// What follows is of executors without containers, which alone know the host that stages run on.
	BuildsDir string // absolute; "" for that of the configuration
	CacheDir  string // absolute; "" for that of the configuration
	Shared    bool   // other jobs have the same builds directory
	HelperDir string // a folder of the host that holds gitlab-runner-helper; "" looks along PATH
	Shell     string // whose dialect scripts are in: bash, sh; "" for that of the configuration
}

// Variable is a variable that the executor adds to the job.
type Variable struct{ Name, Value string }

// Console takes the lines that an executor has to say to the user; *trace.Trace is one.
type Console interface {
	Println(text string)
	Infoln(text string)
	Warningln(text string)
	Errorln(text string)
}

// ExitError is a script that ended with another exit code than 0.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// Kind classifies a failure that another try would not mend, or whose cause lies elsewhere.
type Kind string

// The kinds of failure.
const (
	Configuration Kind = "configuration" // what the job or the runner's configuration asks for can't be had
	External      Kind = "external"      // a party outside, a registry say, did not answer
	ImagePull     Kind = "image_pull"    // an image could not be had for another reason
	Engine        Kind = "engine"        // the engine can't be reached, or its disk is full: another one may serve
	Gone          Kind = "gone"          // the stage's container has vanished: running the stage again makes a new one
)

// Error is a classified failure.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes a classified failure; %w wraps as in fmt.Errorf.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}
