package coordinator

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
	ReplyCancel                   // taken well, and the user cancels: run after_script, then end
	ReplyNotFound                 // 404 to a piece of trace; to an update it is ReplyAbort
	ReplyRangeMismatch            // 416: SentTo holds what the coordinator has
	ReplyTraceInvalid             // 412: send all again
	ReplyFailed                   // worth another try
)

// maxUpdateInterval bounds what a coordinator may ask for between two pieces of trace.
const maxUpdateInterval = 15 * time.Minute

// PatchTrace sends content, which starts at offset and is at most 1 MiB and not empty, and reports what the coordinator has now. The
// error is not nil exactly when the state is ReplyFailed, and says why.
func (c *Client) PatchTrace(ctx context.Context, job *Job, content []byte, offset int64, debug bool) (PatchResult, error) {
	end := offset + int64(len(content))
	h := http.Header{
		"Content-Type":  {"text/plain"},
		"Content-Range": {fmt.Sprintf("%d-%d", offset, end-1)},
	}
	h.Set("JOB-TOKEN", job.Token.Reveal())
	op := fmt.Sprintf("send trace of job %d", job.ID)
	r, err := c.do(ctx, call{
		op: op, endpoint: "patch_trace", method: http.MethodPatch, path: fmt.Sprintf("jobs/%d/trace", job.ID),
		query: url.Values{"debug_trace": {strconv.FormatBool(debug)}}, header: h, body: content, timeout: reportTimeout,
	})
	if err != nil {
		return PatchResult{State: ReplyFailed, SentTo: offset}, err
	}
	res := PatchResult{SentTo: offset, Interval: interval(r.header)}
	over, canceling := jobStatus(r)
	res.Canceling = canceling
	switch {
	case over:
		res.State = ReplyAbort
	case r.status == http.StatusAccepted:
		res.SentTo = end
		if has := rangeEnd(r.header); offset < has && has < end {
			res.SentTo = has // it took less than it was sent
		}
		if canceling {
			res.State = ReplyCancel
		}
	case r.status == http.StatusRequestedRangeNotSatisfiable:
		res.State, res.SentTo = ReplyRangeMismatch, rangeEnd(r.header)
	case r.status == http.StatusNotFound:
		res.State = ReplyNotFound
	default:
		res.State = ReplyFailed
		return res, c.refusal(op, r, nil)
	}
	return res, nil
}

// jobUpdate is the body of PUT /jobs/:id.
type jobUpdate struct {
	Info          wireInfo      `json:"info"`
	Token         string        `json:"token"`
	State         JobState      `json:"state"`
	FailureReason FailureReason `json:"failure_reason,omitempty"`
	Checksum      string        `json:"checksum,omitempty"`
	Output        jobOutput     `json:"output"`
	ExitCode      int           `json:"exit_code,omitempty"`
}

type jobOutput struct {
	Checksum string `json:"checksum,omitempty"`
	ByteSize int64  `json:"bytesize,omitempty"`
}

// UpdateJob reports a job's state. A failure reason that the coordinator does not know goes out as the nearest that it does. The error
// is not nil exactly when the state is ReplyFailed; errors.Is(err, ErrConflict) means that the job is not this runner's to accept.
func (c *Client) UpdateJob(ctx context.Context, job *Job, update Update) (UpdateResult, error) {
	body := jobUpdate{
		Info: c.o.Info.wire(), Token: job.Token.Reveal(), State: update.State, Checksum: update.Checksum,
		Output: jobOutput{Checksum: update.Checksum, ByteSize: update.ByteSize}, ExitCode: update.ExitCode,
	}
	if update.State == JobFailed {
		body.FailureReason = job.Features.Accepted(update.FailureReason)
	}
	op := fmt.Sprintf("report job %d as %s", job.ID, update.State)
	k, err := c.jsonCall(http.MethodPut, fmt.Sprintf("jobs/%d", job.ID), "JOB-TOKEN", job.Token, body)
	if err != nil {
		return UpdateResult{State: ReplyFailed}, err
	}
	k.op, k.endpoint, k.timeout = op, "update_job", reportTimeout
	r, err := c.do(ctx, k)
	if err != nil {
		return UpdateResult{State: ReplyFailed}, err
	}
	c.remember(r.header)
	res := UpdateResult{Interval: interval(r.header)}
	over, canceling := jobStatus(r)
	res.Canceling = canceling
	switch {
	case over || r.status == http.StatusNotFound:
		res.State = ReplyAbort
	case r.status == http.StatusOK:
		if canceling && (update.State == JobRunning || update.State == JobPending) {
			res.State = ReplyCancel
		}
	case r.status == http.StatusAccepted:
		res.State = ReplyAccepted
	case r.status == http.StatusPreconditionFailed:
		res.State = ReplyTraceInvalid
	default:
		res.State = ReplyFailed
		return res, c.refusal(op, r, nil)
	}
	return res, nil
}

// Accepted returns the reason as the coordinator takes it: itself where it is known there, else the nearest that always is. "" counts as
// script_failure. Source: GitLab's runner API, features.failure_reasons.
func (f Features) Accepted(r FailureReason) FailureReason {
	switch r {
	case "":
		return ScriptFailure
	case ScriptFailure, RunnerSystemFailure, JobExecutionTimeout:
		return r
	}
	if slices.Contains(f.FailureReasons, string(r)) {
		return r
	}
	switch r {
	case ImagePullFailure, ExternalDependencyFailure:
		return RunnerSystemFailure
	case ConfigurationError:
		return ScriptFailure
	}
	return unknownFailure
}

// unknownFailure is what every coordinator takes for a reason that it has no word for.
const unknownFailure FailureReason = "unknown_failure"

// jobStatus reads Job-Status. over means that nothing more is to be done for the job.
func jobStatus(r reply) (over, canceling bool) {
	switch r.header.Get("Job-Status") {
	case "canceled", "failed":
		return true, false
	case "canceling":
		canceling = true
	}
	return r.status == http.StatusForbidden, canceling
}

func interval(h http.Header) time.Duration {
	s, err := strconv.Atoi(h.Get("X-GitLab-Trace-Update-Interval"))
	if err != nil || s <= 0 {
		return 0
	}
	return time.Duration(min(s, int(maxUpdateInterval/time.Second))) * time.Second
}

// rangeEnd reads the size out of Range: 0-<size>; 0 when it is unreadable.
func rangeEnd(h http.Header) int64 {
	_, size, _ := strings.Cut(h.Get("Range"), "-")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
