package coordinator

import (
	"context"
	"time"
)

// PatchResult is what the coordinator said to a piece of trace.
type PatchResult struct {
	State    ReplyState
	SentTo   int64         // what the coordinator has now, in bytes from the start
	Interval time.Duration // X-GitLab-Trace-Update-Interval; 0 when absent
	// Canceling is set when Job-Status was canceling, whatever State says of the piece itself.
	Canceling bool
}

// Update is a report of a job's state.
type Update struct {
	State         JobState
	FailureReason FailureReason
	ExitCode      int
	Checksum      string // crc32:xxxxxxxx; "" when the trace is empty
	ByteSize      int64
}

// UpdateResult is what the coordinator said to an update.
type UpdateResult struct {
	State    ReplyState
	Interval time.Duration
	// Canceling is set when Job-Status was canceling, whatever State says of the update itself.
	Canceling bool
}

// ReplyState says what follows from a coordinator's reply to a trace piece or an update.
type ReplyState int

// The reply states.
const (
	ReplyOK            ReplyState = iota
	ReplyAccepted                 // 202 to an update: not complete yet, ask again after Interval
	ReplyAbort                    // the job is over for the coordinator
	ReplyCancel                   // the user cancels: run after_script, then end
	ReplyNotFound                 // 404
	ReplyRangeMismatch            // 416: SentTo holds what the coordinator has
	ReplyTraceInvalid             // 412: send all again
	ReplyFailed                   // worth another try
)

// Client speaks to one coordinator as one runner. It is safe for concurrent use.
type Client struct{}

// PatchTrace sends content, which starts at offset, and reports what the coordinator has now.
func (c *Client) PatchTrace(ctx context.Context, job *Job, content []byte, offset int64, debug bool) (PatchResult, error) {
	panic("to come")
}

// UpdateJob reports a job's state.
func (c *Client) UpdateJob(ctx context.Context, job *Job, update Update) (UpdateResult, error) {
	panic("to come")
}
