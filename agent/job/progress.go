package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
)

// progressVersion is the version of progress. An agent takes up jobs of its own version alone, and reports the others as lost.
const progressVersion = 1

// progress is how far a job is, as the trace's checkpoint holds it. With the job's Record it is what another agent needs to go on: it runs
// through the same stages once more, but takes the outcome of those that are done from here.
type progress struct {
	Version  int                  `json:"version"`
	Accepted bool                 `json:"accepted"`          // the coordinator knows that the job runs
	Machine  string               `json:"machine,omitempty"` // where the executor is; "" for an engine of the host's own
	Seat     int                  `json:"seat,omitempty"`    // the job's number there
	Handle   json.RawMessage      `json:"handle,omitempty"`  // of the executor
	Limits   map[string]time.Time `json:"limits,omitempty"`  // when each time limit began, by its name
	Ends     []ending             `json:"ends,omitempty"`
	Done     []done               `json:"done,omitempty"`
	Now      *current             `json:"now,omitempty"`
	Ending   bool                 `json:"ending,omitempty"` // the coordinator may know the end already
}

// ending is a cancel or a time-out, when it came.
type ending struct {
	After int    `json:"after"` // so many stages were done
	Name  string `json:"name"`  // of the limit, or cancelName
}

// cancelName stands for a cancel by the coordinator among the limits.
const cancelName = "cancel"

// done is one run of a stage's script, or the preparation, that has ended.
type done struct {
	Name  string          `json:"name"`
	Said  int             `json:"said"` // the trace's lines of the runner's own by then
	Kind  outcomeKind     `json:"kind,omitempty"`
	Code  int             `json:"code,omitempty"`  // exit code
	Class string          `json:"class,omitempty"` // executor.Kind, the failure reason, or the name of what ended it
	Text  string          `json:"text,omitempty"`
	Ready *executor.Ready `json:"ready,omitempty"` // of the preparation
}

// outcomeKind says which error a stage ended with.
type outcomeKind string

// The kinds of outcome.
const (
	outcomeOK          outcomeKind = ""
	outcomeExit        outcomeKind = "exit"
	outcomeExecutor    outcomeKind = "executor"
	outcomeFailure     outcomeKind = "failure"
	outcomeError       outcomeKind = "error"
	outcomeEnded       outcomeKind = "ended" // by a time limit or a cancel
	outcomeInterrupted outcomeKind = "interrupted"
	outcomeAborted     outcomeKind = "aborted"
)

// current is the stage that runs.
type current struct {
	Name string            `json:"name"`
	From executor.Start    `json:"from"` // zero before its container is known
	At   executor.Position `json:"at"`   // zero before it has been started
}

// outcome notes how a stage ended: limit names the time limit of which cause is the end, if it is one.
func (d *done) outcome(ctx context.Context, err error, limit func(cause error) string) {
	var (
		exit        *executor.ExitError
		kind        *executor.Error
		own         *failure
		interrupted *interruptedError
	)
	if ctx.Err() != nil {
		cause := ended(ctx)
		d.Kind, d.Class, d.Text = outcomeEnded, limit(cause), cause.Error()
		switch {
		case errors.Is(cause, errCanceled):
			d.Class = cancelName
		case errors.Is(cause, errAborted):
			d.Kind = outcomeAborted
		case errors.As(cause, &interrupted):
			d.Kind, d.Text = outcomeInterrupted, interrupted.cause.Error()
		case d.Class == "":
			d.Kind = outcomeError
		}
		return
	}
	switch {
	case err == nil:
	case errors.As(err, &own):
		d.Kind, d.Class, d.Code, d.Text = outcomeFailure, string(own.reason), own.code, own.Error()
	case errors.As(err, &exit):
		d.Kind, d.Code = outcomeExit, exit.Code
	case errors.As(err, &kind):
		d.Kind, d.Class, d.Text = outcomeExecutor, string(kind.Kind), err.Error()
	default:
		d.Kind, d.Text = outcomeError, err.Error()
	}
}

// err is the outcome as the error that it was, where no context's end came with it.
func (d *done) err() error {
	switch d.Kind {
	case outcomeOK:
		return nil
	case outcomeExit:
		return &executor.ExitError{Code: d.Code}
	case outcomeExecutor:
		return &executor.Error{Kind: executor.Kind(d.Class), Err: errors.New(d.Text)}
	case outcomeFailure:
		return &failure{reason: coordinator.FailureReason(d.Class), code: d.Code, err: errors.New(d.Text)}
	}
	return errors.New(d.Text)
}

// readProgress reads what a checkpoint holds.
func readProgress(data []byte) (progress, error) {
	var p progress
	if len(data) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("the state of the job: %w", err)
	}
	if p.Version != progressVersion {
		return p, fmt.Errorf("the state of the job has version %d, this agent reads %d", p.Version, progressVersion)
	}
	return p, nil
}
