package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/millwright-ci/millwright/agent/ciyaml"
	"github.com/millwright-ci/millwright/agent/coordinator"
)

// Enqueue puts one job into the queue as it is and returns its id. Filled in where empty: id and token (always the server's own),
// the features of the coordinator, and with a project what to check out.
func (s *Server) Enqueue(payload coordinator.Job) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.newJob(payload.Info.Name, payload.Info.Stage)
	j.raw = &payload
	s.move(j, Queued)
	return j.status.ID
}

// Jobs are all jobs so far, in the order of their making.
func (s *Server) Jobs() []JobStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]JobStatus, len(s.order))
	for i, j := range s.order {
		out[i] = j.status
	}
	return out
}

// Job is one job with what it has left so far.
func (s *Server) Job(id int64) (JobResult, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[id]
	if !ok {
		return JobResult{}, false
	}
	return j.result(), true
}

// Trace is a job's trace, raw as received; empty before the first byte.
func (s *Server) Trace(id int64) ([]byte, error) {
	r, ok := s.Job(id)
	if !ok {
		return nil, fmt.Errorf("coordinator: there is no job %d", id)
	}
	raw, err := os.ReadFile(r.TraceFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return raw, err
}

// WaitJob waits for a job's end. A job that is tried again has ended too: the new try has an id of its own.
func (s *Server) WaitJob(ctx context.Context, id int64) (JobResult, error) {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	if j == nil {
		return JobResult{}, fmt.Errorf("coordinator: there is no job %d", id)
	}
	select {
	case <-j.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return j.result(), nil
	case <-ctx.Done():
		return JobResult{}, ctx.Err()
	case <-s.ctx.Done():
		return JobResult{}, errClosed
	}
}

var errClosed = errors.New("coordinator: closed")

// StartPipeline begins a pipeline. only names the jobs that are wanted, by the names of the file; those whose result they need
// come along. Without names all jobs run, but manual ones. A server runs one pipeline.
func (s *Server) StartPipeline(p *ciyaml.Pipeline, only ...string) error {
	if s.project == nil {
		return errors.New("coordinator: a pipeline needs a project; set Options.Root")
	}
	jobs, err := s.resolve(p, only)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pipeline != nil {
		return errors.New("coordinator: a pipeline has been started already")
	}
	s.pipeline = s.newPipeline(p, jobs, only)
	s.emit(Event{Time: time.Now(), Pipeline: s.pipeline.summary()})
	s.schedule()
	return nil
}

// Wait waits for the pipeline's end.
func (s *Server) Wait(ctx context.Context) (Summary, error) {
	s.mu.Lock()
	line := s.pipeline
	s.mu.Unlock()
	if line == nil {
		return Summary{}, errors.New("coordinator: no pipeline has been started")
	}
	select {
	case <-line.done:
	case <-ctx.Done():
		return s.Summary(), ctx.Err()
	case <-s.ctx.Done():
		return s.Summary(), errClosed
	}
	return s.Summary(), nil
}

// Summary is the pipeline as it stands; the zero value without one.
func (s *Server) Summary() Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pipeline == nil {
		return Summary{}
	}
	return *s.pipeline.summary()
}

// Cancel cancels a job as a user does: a running one whose runner can run after_script first becomes canceling, others end at once.
// A canceling job stays so.
func (s *Server) Cancel(id int64) error { return s.cancel(id, false) }

// ForceCancel ends a job at once; the runner hears of it with its next call.
func (s *Server) ForceCancel(id int64) error { return s.cancel(id, true) }

func (s *Server) cancel(id int64, force bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[id]
	if !ok {
		return fmt.Errorf("coordinator: there is no job %d", id)
	}
	s.cancelJob(j, force)
	return nil
}

// cancelJob does nothing to a job that has ended. The caller holds mu.
func (s *Server) cancelJob(j *job, force bool) {
	switch {
	case j.status.State.Final():
	case !force && j.status.State == Running && j.graceful:
		s.move(j, Canceling)
	case !force && j.status.State == Canceling:
	default:
		s.end(j, Canceled, "", 0, "canceled")
	}
}

// CancelAll cancels every job that has not ended: gracefully the first time, by force the second.
func (s *Server) CancelAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	force := s.canceled
	s.canceled = true
	// Those that wait go first, so that none of them is started by the end of another.
	for _, waiting := range []bool{true, false} {
		for _, j := range slices.Clone(s.order) {
			if (j.status.State == Created || j.status.State == Queued) == waiting {
				s.cancelJob(j, force)
			}
		}
	}
}
