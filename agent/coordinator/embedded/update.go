package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// updateBody is the body of PUT /jobs/:id.
type updateBody struct {
	Info          json.RawMessage           `json:"info"`
	Token         string                    `json:"token"`
	State         coordinator.JobState      `json:"state"`
	FailureReason coordinator.FailureReason `json:"failure_reason"`
	Checksum      string                    `json:"checksum"`
	ExitCode      int                       `json:"exit_code"`
	Output        struct {
		Checksum string `json:"checksum"`
		ByteSize int64  `json:"bytesize"`
	} `json:"output"`
}

func (u updateBody) final() bool {
	return u.State == coordinator.JobSuccess || u.State == coordinator.JobFailed
}

// maxResets bounds how often the trace is asked for anew; then the coordinator takes what it has.
const maxResets = 5

// update is PUT /jobs/:id.
func (s *Server) update(w http.ResponseWriter, r *http.Request) {
	var body updateBody
	if !s.readJSON(w, r, maxUpdateBody, &body) {
		return
	}
	if body.Output.Checksum == "" {
		body.Output.Checksum = body.Checksum
	}
	if body.final() {
		s.withFault(EndpointFinal, pathID(r), w, r, func(w http.ResponseWriter, r *http.Request) { s.take(w, r, body) })
		return
	}
	s.take(w, r, body)
}

// take answers an update and keeps a record of it.
func (s *Server) take(w http.ResponseWriter, r *http.Request, body updateBody) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[pathID(r)]
	if !ok {
		message(w, http.StatusNotFound, "404 Not found")
		return
	}
	id := j.status.ID
	switch {
	case body.Token == "":
		s.note(r, id, "token", "the body has no token")
		answer(w, http.StatusBadRequest, map[string]string{"error": "token is missing"})
		return
	case !same(j.token, body.Token):
		s.note(r, id, "token", "the job token is wrong")
		message(w, http.StatusForbidden, "403 Forbidden")
		return
	case !same(j.token, r.Header.Get("JOB-TOKEN")):
		s.note(r, id, "token", "the header JOB-TOKEN does not hold the token")
	}
	s.checkInfo(r, id, body.Info)
	status, text := s.change(r, j, body)
	j.updates = append(j.updates, UpdateRecord{
		Time: time.Now(), State: body.State, FailureReason: body.FailureReason, ExitCode: body.ExitCode,
		Checksum: body.Output.Checksum, ByteSize: body.Output.ByteSize, Status: status,
	})
	s.jobHeaders(w, j)
	if status == http.StatusAccepted {
		// 1, 1, 2, 4 and so on up to 64 seconds, as Rails spaces the tries.
		wait := 1 << min(max(j.finalTries-2, 0), 6)
		w.Header().Set("X-GitLab-Trace-Update-Interval", strconv.Itoa(wait))
	}
	message(w, status, text)
}

// jobHeaders tells the job's state and the pace. A state that is final is known to the runner from then on.
func (s *Server) jobHeaders(w http.ResponseWriter, j *job) {
	w.Header().Set("Job-Status", j.status.State.wire())
	w.Header().Set("X-GitLab-Trace-Update-Interval", strconv.Itoa(max(1, int(s.o.TraceInterval.Seconds()))))
	j.told = j.told || j.status.State.Final()
}

// change does what an update asks of a job, by the job's state. The caller holds mu.
func (s *Server) change(r *http.Request, j *job, body updateBody) (status int, text string) {
	id := j.status.ID
	if !slices.Contains([]coordinator.JobState{coordinator.JobPending, coordinator.JobRunning, coordinator.JobSuccess, coordinator.JobFailed}, body.State) {
		s.note(r, id, "state", "%q is no state", body.State)
		return http.StatusBadRequest, "400 Bad request - unknown state"
	}
	switch j.status.State {
	case Pending:
		j.lastSeen = time.Now()
		switch body.State {
		case coordinator.JobPending:
			return http.StatusOK, "200 OK"
		case coordinator.JobRunning:
			s.move(j, Running)
			return http.StatusOK, "200 OK"
		}
		s.note(r, id, "state", "%s before running", body.State)
		return http.StatusBadRequest, "400 Bad request - the job is not running"
	case Running, Canceling:
		j.lastSeen = time.Now()
		switch {
		case body.State == coordinator.JobPending:
			s.note(r, id, "state", "pending after running")
			return http.StatusBadRequest, "400 Bad request - the job is running"
		case body.State == coordinator.JobRunning:
			return http.StatusOK, "200 OK"
		}
		return s.final(r, j, body)
	case Created, Queued:
		return http.StatusConflict, "409 Conflict - the job is not assigned to this runner"
	}
	return s.late(r, j, body)
}

// late answers an update of a job that has ended.
func (s *Server) late(r *http.Request, j *job, body updateBody) (int, string) {
	switch {
	case j.sentState != "" && body.State == j.sentState:
		return http.StatusOK, "200 OK" // the answer to the first one was lost
	case j.status.FailureReason == ProvisioningTimeout && !body.final():
		return http.StatusConflict, "409 Conflict - the job is not assigned to this runner"
	}
	if j.told {
		s.note(r, j.status.ID, "after-end", "state %q after the job has ended as %s", body.State, j.status.State)
	}
	return http.StatusForbidden, "403 Forbidden - Job is not processing on runner"
}

// final takes a final state when the trace is whole: 202 while bytes are missing, 412 when they are others.
func (s *Server) final(r *http.Request, j *job, body updateBody) (int, string) {
	id, output := j.status.ID, body.Output
	mine := fmt.Sprintf("crc32:%08x", j.checksum)
	switch {
	case output.ByteSize > j.size:
		if j.finalSince.IsZero() {
			j.finalSince = time.Now()
		}
		if j.finalTries++; time.Since(j.finalSince) < s.o.AcceptTimeout {
			return http.StatusAccepted, "202 Accepted"
		}
		s.note(r, id, "trace", "%d bytes of the trace never came", output.ByteSize-j.size)
	case output.ByteSize > 0 && output.ByteSize < j.size, output.Checksum != "" && j.size > 0 && output.Checksum != mine:
		if j.resets < maxResets {
			if err := s.resetTrace(j); err != nil {
				return http.StatusInternalServerError, err.Error()
			}
			return http.StatusPreconditionFailed, "412 Precondition Failed"
		}
		s.note(r, id, "trace", "the trace differs after %d resets: %d bytes %s, the runner says %d bytes %s", j.resets, j.size, mine, output.ByteSize, output.Checksum)
	case j.size > 0 && output.Checksum == "" && output.ByteSize == 0: // a runner that took a job up may know the size alone
		s.note(r, id, "trace", "a final state without the checksum of %d bytes", j.size)
	}
	reason := body.FailureReason
	switch {
	case body.State == coordinator.JobSuccess:
		reason = ""
	case reason == "":
		reason = UnknownFailure
	case !slices.Contains(failureReasons, string(reason)):
		s.note(r, id, "failure-reason", "%q is not in features.failure_reasons", reason)
		reason = UnknownFailure
	}
	j.sentState, j.told = body.State, true
	to := State(body.State)
	if j.status.State == Canceling {
		to, reason = Canceled, ""
	}
	s.end(j, to, reason, body.ExitCode, "")
	return http.StatusOK, "200 OK"
}
