package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/executor"
)

// Result is how a job ended.
type Result struct {
	State  coordinator.JobState      // success or failed
	Reason coordinator.FailureReason // as the runner sees it; "" after a success
	Sent   coordinator.FailureReason // as the coordinator was told: Reason, mapped to what it understands
	Code   int                       // the script's exit code; 0 when there is none
	Err    error                     // what failed; nil after a success
	// Dropped tells that the coordinator gave the job up before it ran or while it did: nobody waits for the rest.
	Dropped bool
	// Broken tells that the engine failed and should not be used again.
	Broken bool
	// Left tells that the job goes on without this agent, which hands its jobs over: nothing has been reported or cleared.
	Left bool
	// Unsent is why the end could not be reported; nil when it was.
	Unsent   error
	Duration time.Duration // from the acceptance to the final state
}

// Causes of an early end. A context that ends with one of them stops what runs.
var (
	errCanceled = errors.New("canceled")
	errAborted  = errors.New("aborted by the coordinator")
)

// timeoutError is a time-out of section 14.1 of GitLab's life of a job: the job's, or one of a part of it.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string { return e.text }

func timeoutf(format string, args ...any) error {
	return &timeoutError{fmt.Sprintf(format, args...)}
}

// interruptedError is the agent told to stop.
type interruptedError struct{ cause error }

func (e *interruptedError) Error() string { return "aborted: " + e.cause.Error() }

func (e *interruptedError) Unwrap() error { return e.cause }

// failure is an error with a reason that its kind does not tell.
type failure struct {
	reason coordinator.FailureReason
	code   int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

func configurationError(format string, args ...any) error {
	return &failure{reason: coordinator.ConfigurationError, err: fmt.Errorf(format, args...)}
}

// classify finds reason and exit code of an error, and whether it has a reason of its own: what has none is not certain to
// fail again.
func classify(err error) (reason coordinator.FailureReason, code int, classified bool) {
	var (
		exit        *executor.ExitError
		own         *failure
		timeout     *timeoutError
		interrupted *interruptedError
		kind        *executor.Error
	)
	switch {
	case errors.As(err, &own):
		return own.reason, own.code, true
	case errors.As(err, &exit):
		return coordinator.ScriptFailure, exit.Code, true
	case errors.As(err, &timeout):
		return coordinator.JobExecutionTimeout, 0, true
	case errors.As(err, &interrupted):
		return coordinator.RunnerInterrupted, 0, true
	case errors.Is(err, errCanceled), errors.Is(err, errAborted):
		return coordinator.JobCanceled, 0, true
	case errors.As(err, &kind):
		switch kind.Kind {
		case executor.Configuration:
			return coordinator.ConfigurationError, 0, true
		case executor.External:
			return coordinator.ExternalDependencyFailure, 0, true
		case executor.ImagePull:
			return coordinator.ImagePullFailure, 0, true
		}
	}
	return coordinator.RunnerSystemFailure, 0, false
}

// verdict is the trace's last line for a failed job.
func verdict(reason coordinator.FailureReason, classified bool, err error) string {
	if !classified || reason == coordinator.RunnerSystemFailure {
		return fmt.Sprintf("Job failed (system failure): %v", err)
	}
	return fmt.Sprintf("Job failed: %v", err)
}

// ended returns why ctx ended, as an error of this package.
func ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	var timeout *timeoutError
	var interrupted *interruptedError
	if cause == nil || errors.Is(cause, errCanceled) || errors.Is(cause, errAborted) || errors.As(cause, &timeout) || errors.As(cause, &interrupted) {
		return cause
	}
	return &interruptedError{cause}
}
