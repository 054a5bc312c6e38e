package embedded

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
)

// Limits of bodies, in bytes. Workhorse refuses a job request of more than 32 KiB.
const (
	maxRequestBody = 32 << 10
	maxUpdateBody  = 1 << 20
	maxTraceBody   = 16 << 20
	maxPatch       = 1 << 20 // what a runner may send at once
)

// routes is the whole surface.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, endpoint Endpoint, handle http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.withFault(endpoint, pathID(r), w, r, handle)
		})
	}
	route("POST /api/v4/runners", EndpointRegister, s.register)
	route("DELETE /api/v4/runners", EndpointUnregister, s.unregister)
	route("DELETE /api/v4/runners/managers", EndpointUnregister, s.unregisterManager)
	route("POST /api/v4/runners/reset_authentication_token", EndpointReset, s.resetToken)
	route("POST /api/v4/runners/{id}/reset_authentication_token", EndpointReset, s.resetTokenOf)
	route("POST /api/v4/runners/verify", EndpointVerify, s.verify)
	route("POST /api/v4/jobs/request", EndpointRequest, s.request)
	route("PUT /api/v4/jobs/{id}", EndpointUpdate, s.update)
	route("PATCH /api/v4/jobs/{id}/trace", EndpointTrace, s.trace)
	route("POST /api/v4/jobs/{id}/artifacts", EndpointUpload, s.upload)
	route("GET /api/v4/jobs/{id}/artifacts", EndpointDownload, s.download)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) { message(w, http.StatusNotFound, "404 Not Found") })
	route("/", EndpointGit, s.serveGit)
	return s.counted(mux)
}

// counted lets Close wait for the requests under way, and names each answer.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.closing {
			s.mu.Unlock()
			message(w, http.StatusServiceUnavailable, "closing")
			return
		}
		s.active.Add(1)
		s.mu.Unlock()
		defer s.active.Done()
		id := r.Header.Get("X-Request-Id")
		if id == "" || len(id) > 255 {
			id = randomToken()
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r)
	})
}

// pathID is the job's id in the path; 0 when it is none.
func pathID(r *http.Request) int64 {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// message answers with GitLab's form of a text.
func message(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"message": text})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		json.NewEncoder(w).Encode(body)
	}
}

// readJSON reads a JSON body of at most limit bytes into out, or answers why not.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, limit int64, out any) bool {
	jobID := pathID(r)
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		s.violate(r, jobID, "content-type", "%q is not application/json", r.Header.Get("Content-Type"))
		message(w, http.StatusUnsupportedMediaType, "The provided content-type is not supported.")
		return false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		s.violate(r, jobID, "size", "the body has more than %d bytes", limit)
		message(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return false
	case err != nil:
		message(w, http.StatusBadRequest, "400 Bad request - the body ends early")
		return false
	}
	if err := json.Unmarshal(body, out); err != nil {
		s.violate(r, jobID, "json", "the body is not understood: %v", err)
		message(w, http.StatusBadRequest, "400 Bad request - invalid JSON")
		return false
	}
	return true
}

// same compares tokens in a time that does not depend on where they differ.
func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// runnerOf finds a runner by its token. The caller holds mu.
func (s *Server) runnerOf(token string) *runner {
	for _, r := range s.runners {
		if same(r.token, token) && (r.expiresAt.IsZero() || time.Now().Before(r.expiresAt)) {
			return r
		}
	}
	return nil
}

// runningJob finds a job by its token while that is valid. The caller holds mu.
func (s *Server) runningJob(token string) *job {
	for _, j := range s.order {
		if same(j.token, token) && j.active() {
			return j
		}
	}
	return nil
}

// runnerBody is what verify and job request have in common.
type runnerBody struct {
	Info       json.RawMessage `json:"info"`
	Token      string          `json:"token"`
	SystemID   string          `json:"system_id"`
	LastUpdate string          `json:"last_update"`
}

// authenticate reads the body of a runner's call and finds the runner, or answers why not.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (*runner, runnerBody, info) {
	var body runnerBody
	if !s.readJSON(w, r, maxRequestBody, &body) {
		return nil, body, info{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if body.Token == "" {
		s.note(r, 0, "token", "the body has no token")
		answer(w, http.StatusBadRequest, map[string]string{"error": "token is missing"})
		return nil, body, info{}
	}
	found := s.runnerOf(body.Token)
	if found == nil {
		s.note(r, 0, "token", "the runner token is wrong")
		message(w, http.StatusForbidden, "403 Forbidden")
		return nil, body, info{}
	}
	s.checkHeader(r, found.token)
	if body.SystemID == "" {
		s.note(r, 0, "system-id", "the body has no system_id")
	}
	found.seen(body.SystemID)
	return found, body, s.checkInfo(r, 0, body.Info)
}

// verify is POST /runners/verify.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	if found, body, _ := s.authenticate(w, r); found != nil {
		s.mu.Lock()
		expires := found.expiry()
		s.mu.Unlock()
		answer(w, http.StatusOK, map[string]any{"id": found.id, "token": body.Token, "token_expires_at": expires})
	}
}

// request is POST /jobs/request. With a last_update that still holds it waits as Workhorse does: the answer is 204 even when the
// queue moves, and the next request looks into it.
func (s *Server) request(w http.ResponseWriter, r *http.Request) {
	found, body, in := s.authenticate(w, r)
	if found == nil {
		return
	}
	s.mu.Lock()
	value, moved := s.queueValue, s.queueMoved
	s.mu.Unlock()
	if body.LastUpdate == value {
		if s.o.LongPoll < 0 {
			w.Header().Set("X-GitLab-Last-Update", value)
			answer(w, http.StatusNoContent, nil)
			return
		}
		timer := time.NewTimer(s.o.LongPoll)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-moved:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Gitlab-Ci-Builds-Polling", "yes")
		answer(w, http.StatusNoContent, nil)
		return
	}
	payload, err := s.pick(found, in)
	switch {
	case err != nil:
		s.o.Log.Error("a job can't be written", "err", err)
		message(w, http.StatusInternalServerError, "500 Internal Server Error")
	case payload == nil:
		w.Header().Set("X-GitLab-Last-Update", value)
		answer(w, http.StatusNoContent, nil)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		w.Write(payload)
	}
}

// pick hands out the first job of the queue that the runner can run, and drops those before that it can't.
func (s *Server) pick(found *runner, in info) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		j := s.queue[0]
		j.runner, j.status.Runner, j.graceful = found, found.description, in.Features["cancel_gracefully"]
		j.status.Pending = time.Now()
		payload := s.payload(j)
		var missing []string
		for _, f := range needed(&payload, j.def) {
			if !in.Features[f] && !slices.Contains(missing, f) {
				missing = append(missing, f)
			}
		}
		if len(missing) > 0 {
			s.end(j, Failed, RunnerUnsupported, 0, "the runner lacks "+strings.Join(missing, ", "))
			continue
		}
		body, err := marshalJob(payload)
		if err != nil {
			s.end(j, Failed, coordinator.RunnerSystemFailure, 0, err.Error())
			return nil, err
		}
		s.queue = s.queue[1:]
		s.move(j, Pending)
		if !in.Features["two_phase_job_commit"] {
			s.move(j, Running)
		}
		return body, nil
	}
	return nil, nil
}
