package embedded

import (
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// State is the state of a job as the coordinator sees it.
type State string

// The states of a job. GitLab calls both queued and pending "pending": here pending is a job that a runner has got and has not
// begun.
const (
	Created   State = "created" // waits for other jobs
	Queued    State = "queued"
	Pending   State = "pending"
	Running   State = "running"
	Canceling State = "canceling"
	Success   State = "success"
	Failed    State = "failed"
	Canceled  State = "canceled"
	Skipped   State = "skipped"
)

// Final tells whether a job in that state has ended.
func (s State) Final() bool {
	return s == Success || s == Failed || s == Canceled || s == Skipped
}

// wire is the state in GitLab's words, for Job-Status.
func (s State) wire() string {
	if s == Queued {
		return "pending"
	}
	return string(s)
}

// Failure reasons that only a coordinator gives.
const (
	RunnerUnsupported   coordinator.FailureReason = "runner_unsupported"
	ProvisioningTimeout coordinator.FailureReason = "runner_provisioning_timeout"
	StuckOrTimeout      coordinator.FailureReason = "stuck_or_timeout_failure"
	TraceSizeExceeded   coordinator.FailureReason = "trace_size_exceeded"
	UnknownFailure      coordinator.FailureReason = "unknown_failure"
)

// JobStatus is what is known of one job, as a value. Times that have not come are zero.
type JobStatus struct {
	ID            int64
	Name          string
	Stage         string
	State         State
	Try           int    // 1, and more for retries, which are jobs of their own with an id of their own
	Why           string // of a job that was skipped or dropped, in words
	FailureReason coordinator.FailureReason
	ExitCode      int
	AllowFailure  bool // it failed and the pipeline goes on
	Retried       bool // it failed and another try takes its place
	Runner        string
	Queued        time.Time
	Pending       time.Time // a runner got it
	Started       time.Time
	Finished      time.Time
	TraceFile     string // raw as received; DecodeTrace makes it readable
}

// Event is a change: of a job, or of the whole pipeline when Pipeline is set.
type Event struct {
	Time     time.Time
	Job      JobStatus
	Pipeline *Summary
}

// Summary is a pipeline at a moment.
type Summary struct {
	ID       int64
	State    State // running, success, failed or canceled
	Started  time.Time
	Finished time.Time
	Jobs     []JobStatus // in the order of the file; tries that were retried come before the one that took their place
}

// UpdateRecord is one PUT of a job as it came, for tests.
type UpdateRecord struct {
	Time          time.Time
	State         coordinator.JobState
	FailureReason coordinator.FailureReason
	ExitCode      int
	Checksum      string
	ByteSize      int64
	Status        int // the answer
}

// ArtifactFile is one upload that was accepted.
type ArtifactFile struct {
	Type, Format, Filename string
	Size                   int64
	Path                   string // where it lies
	ExpireIn               string
}

// JobResult is a job with what it left.
type JobResult struct {
	JobStatus
	Updates   []UpdateRecord
	Artifacts []ArtifactFile // in the order of their arrival
	DotEnv    []coordinator.Variable
}
