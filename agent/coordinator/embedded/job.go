package embedded

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// job is one job; the server's mutex guards it.
type job struct {
	status JobStatus
	token  string
	def    *ciyaml.Job      // of a pipeline's job
	raw    *coordinator.Job // of an enqueued job
	slot   *slot            // its place in the pipeline; nil for an enqueued job

	runner   *runner
	graceful bool           // the runner can cancel gracefully
	mayFetch map[int64]bool // ids of jobs whose artifacts it may take
	lastSeen time.Time      // the last sign of life since it was handed out

	size     int64 // of the trace
	checksum uint32

	finalSince time.Time            // the first final update that was put off
	finalTries int                  // updates put off since
	resets     int                  // times that the trace was asked for anew
	sentState  coordinator.JobState // the final state that the runner reported
	told       bool                 // the runner knows that the job is over

	updates   []UpdateRecord
	artifacts []*artifact
	dotenv    []coordinator.Variable
	done      chan struct{} // closed at the end
}

// runner is one runner that may ask for jobs.
type runner struct {
	id          int64
	token       string
	description string
	expiresAt   time.Time // of the token; zero: never
	record      Runner    // what else is kept of it; not the four above
}

var unsafeInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// newJob makes a job in the state created. The caller holds mu.
func (s *Server) newJob(name, stage string) *job {
	s.nextID++
	j := &job{
		status: JobStatus{ID: s.nextID, Name: name, Stage: stage, State: Created, Try: 1},
		token:  "glcbt-" + randomToken(),
		done:   make(chan struct{}),
	}
	file := fmt.Sprintf("%d-%.60s.log", j.status.ID, unsafeInName.ReplaceAllString(name, "_"))
	j.status.TraceFile = filepath.Join(s.dir, "jobs", file)
	os.Remove(j.status.TraceFile) // of a server before this one in the same folder
	s.jobs[j.status.ID] = j
	s.order = append(s.order, j)
	return j
}

// move puts a job into a state and tells of it. The caller holds mu and calls schedule when the job has ended.
func (s *Server) move(j *job, to State) {
	now := time.Now()
	j.status.State = to
	switch {
	case to == Queued:
		j.status.Queued = now
		s.queue = append(s.queue, j)
		s.bumpQueue()
	case to == Pending:
		j.status.Pending, j.lastSeen = now, now
	case to == Running:
		j.status.Started, j.lastSeen = now, now
	case to.Final():
		j.status.Finished = now
		s.queue = slices.DeleteFunc(s.queue, func(q *job) bool { return q == j })
		close(j.done)
	}
	s.emit(Event{Time: now, Job: j.status})
}

// end ends a job in one step. The caller holds mu.
func (s *Server) end(j *job, to State, reason coordinator.FailureReason, exitCode int, why string) {
	j.status.FailureReason, j.status.ExitCode, j.status.Why = reason, exitCode, why
	if j.slot != nil {
		s.settle(j, to)
	}
	s.move(j, to)
	s.schedule()
}

// appendTrace adds bytes to the trace. It runs under mu: the write is to a local file and bounded by the size of a request.
func (s *Server) appendTrace(j *job, content []byte) error {
	f, err := os.OpenFile(j.status.TraceFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = cmp.Or(err, f.Close()); err != nil {
		return err
	}
	j.size += int64(len(content))
	j.checksum = crc32.Update(j.checksum, crc32.IEEETable, content)
	return nil
}

// resetTrace forgets the trace, so that the runner sends all of it again.
func (s *Server) resetTrace(j *job) error {
	j.size, j.checksum = 0, 0
	j.resets++
	return os.WriteFile(j.status.TraceFile, nil, 0o600)
}

func (j *job) result() JobResult {
	r := JobResult{JobStatus: j.status, Updates: slices.Clone(j.updates), DotEnv: slices.Clone(j.dotenv)}
	for _, a := range j.artifacts {
		r.Artifacts = append(r.Artifacts, a.ArtifactFile)
	}
	return r
}

// active tells whether the job's token opens doors.
func (j *job) active() bool {
	return j.status.State == Running || j.status.State == Canceling
}
