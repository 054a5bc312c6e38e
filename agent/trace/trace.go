// Package trace carries a job's output to the coordinator: it masks secrets, stamps lines, limits the size, and sends what it has
// in pieces until the coordinator holds every byte.
package trace

import (
	"context"
	"io"
	"time"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// Stream says who speaks, as the two hex digits of a time-stamped line.
type Stream byte

// The streams of a trace.
const (
	StreamRunner  Stream = 0x00
	StreamJob     Stream = 0x01
	StreamService Stream = 0x0f
)

// Options are what a trace needs to know of its job.
type Options struct {
	Job        *coordinator.Job
	Client     Client
	Limit      int  // bytes after masking; 0 or less means 4 MiB
	Timestamps bool // FF_TIMESTAMPS
	// MaskAllTokens is FF_MASK_ALL_DEFAULT_TOKENS.
	MaskAllTokens bool
	DebugTrace    bool
	FinalRetries  int    // job_status_final_update_retry_limit; 0 or less means 10
	Dir           string // where the buffer file lies; "" means os.TempDir
	Now           func() time.Time
	// OnCancel is called once when the coordinator asks for a cancel (Job-Status: canceling), OnAbort once when the job is over
	// for it (canceled, failed, 403).
	OnCancel, OnAbort func()
}

// Client is what a trace asks of the coordinator; *coordinator.Client has it.
type Client interface {
	PatchTrace(ctx context.Context, job *coordinator.Job, content []byte, offset int64, debug bool) (coordinator.PatchResult, error)
	UpdateJob(ctx context.Context, job *coordinator.Job, update coordinator.Update) (coordinator.UpdateResult, error)
}

// Trace is the log of one job. Its methods are safe for concurrent use.
type Trace struct{ impl }

type impl struct{}

// New returns a trace for a job whose 201 has been received. Nothing is sent before Start.
func New(o Options) (*Trace, error) { panic("to come") }

// Start sends what is written from now on, until Finish or until ctx ends.
func (t *Trace) Start(ctx context.Context) { panic("to come") }

// Mask hides a value from now on.
func (t *Trace) Mask(secret config.Secret) { panic("to come") }

// Stdout and Stderr return the two writers of a stream. A value split over two writes of one writer is masked.
func (t *Trace) Stdout(s Stream) io.Writer { panic("to come") }

// Stderr is Stdout's twin.
func (t *Trace) Stderr(s Stream) io.Writer { panic("to come") }

// Println, Infoln, Warningln, Errorln and Titleln write a line of the runner's own, in GitLab's colours.
func (t *Trace) Println(text string)   { panic("to come") }
func (t *Trace) Infoln(text string)    { panic("to come") }
func (t *Trace) Warningln(text string) { panic("to come") }
func (t *Trace) Errorln(text string)   { panic("to come") }
func (t *Trace) Titleln(text string)   { panic("to come") }

// Section opens a collapsible section (when the coordinator understands it) with a title line, and returns what closes it.
func (t *Trace) Section(name, title string) (end func()) { panic("to come") }

// Size is the number of bytes after masking so far.
func (t *Trace) Size() int64 { panic("to come") }

// Outcome is how a job ended.
type Outcome struct {
	State         coordinator.JobState // success or failed
	FailureReason coordinator.FailureReason
	ExitCode      int
}

// Finish sends the rest of the trace and the final state, and returns when the coordinator has both or gave the job up.
func (t *Trace) Finish(ctx context.Context, o Outcome) error { panic("to come") }

// Close removes the buffer file. It is safe after Finish and without it.
func (t *Trace) Close() error { panic("to come") }
