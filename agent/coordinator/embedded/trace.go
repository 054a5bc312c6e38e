package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"time"
)

var contentRange = regexp.MustCompile(`^(\d{1,18})-(\d{1,18})$`)

// trace is PATCH /jobs/:id/trace.
func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTraceBody))
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		s.violate(r, pathID(r), "size", "a piece of more than %d bytes", maxTraceBody)
		message(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	if err != nil {
		message(w, http.StatusBadRequest, "400 Bad request - the body ends early")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[pathID(r)]
	if !ok {
		message(w, http.StatusNotFound, "404 Not found")
		return
	}
	id := j.status.ID
	if !same(j.token, r.Header.Get("JOB-TOKEN")) {
		s.note(r, id, "token", "the job token is wrong")
		message(w, http.StatusForbidden, "403 Forbidden")
		return
	}
	if !j.active() {
		switch {
		case j.told:
			s.note(r, id, "after-end", "a piece of trace after the job has ended as %s", j.status.State)
		case !j.status.State.Final():
			s.note(r, id, "state", "a piece of trace before running")
		}
		s.jobHeaders(w, j)
		message(w, http.StatusForbidden, "403 Forbidden - Job is not processing on runner")
		return
	}
	status, text := s.takePiece(r, j, content)
	if status == http.StatusAccepted || status == http.StatusRequestedRangeNotSatisfiable {
		w.Header().Set("Range", fmt.Sprintf("0-%d", j.size))
	}
	s.jobHeaders(w, j)
	message(w, status, text)
}

// takePiece checks a piece of trace against Content-Range and stores it. The caller holds mu.
func (s *Server) takePiece(r *http.Request, j *job, content []byte) (status int, text string) {
	id := j.status.ID
	m := contentRange.FindStringSubmatch(r.Header.Get("Content-Range"))
	if m == nil {
		s.note(r, id, "content-range", "%q is not <start>-<end>", r.Header.Get("Content-Range"))
		return http.StatusBadRequest, "400 Bad request - Content-Range is missing or malformed"
	}
	// Eighteen digits fit.
	start, _ := strconv.ParseInt(m[1], 10, 64)
	end, _ := strconv.ParseInt(m[2], 10, 64)
	if len(content) == 0 || end-start+1 != int64(len(content)) {
		s.note(r, id, "content-range", "%s with %d bytes", m[0], len(content))
		return http.StatusBadRequest, "400 Bad request - Content-Range does not fit the body"
	}
	if len(content) > maxPatch {
		s.note(r, id, "size", "a piece of %d bytes; send 1 MiB at most", len(content))
	}
	if start != j.size {
		if start > j.size {
			s.note(r, id, "content-range", "%s leaves a hole after %d", m[0], j.size)
		}
		return http.StatusRequestedRangeNotSatisfiable, "416 Range Not Satisfiable"
	}
	if j.size+int64(len(content)) > s.o.MaxTraceBytes {
		s.end(j, Failed, TraceSizeExceeded, 0, "the trace is too long")
		return http.StatusForbidden, "403 Forbidden - Job is not processing on runner"
	}
	if err := s.appendTrace(j, content); err != nil {
		s.o.Log.Error("the trace can't be stored", "job", id, "err", err)
		return http.StatusInternalServerError, "500 Internal Server Error"
	}
	j.lastSeen = time.Now()
	return http.StatusAccepted, "202 Accepted"
}

var lineStamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [0-9a-f]{2}[OE][ +]`)

// DecodeTrace takes the time stamps off a trace and joins the lines that go on (those marked with +). A trace without time stamps
// comes back as it is. Colours and section markers stay.
func DecodeTrace(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for line := range bytes.Lines(raw) {
		stamp := lineStamp.Find(line)
		if n := len(stamp); n > 0 && stamp[n-1] == '+' && len(out) > 0 && out[len(out)-1] == '\n' {
			out = out[:len(out)-1]
		}
		out = append(out, line[len(stamp):]...)
	}
	return out
}

// ReadTrace reads a trace file, as JobStatus names it, and decodes it. A file that is not there yet is empty.
func ReadTrace(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return DecodeTrace(raw), err
}
