package embedded

import (
	"io"
	"net/http"
	"slices"
	"time"
)

// Endpoint names a call for faults.
type Endpoint string

// The endpoints.
const (
	EndpointRegister   Endpoint = "register"
	EndpointUnregister Endpoint = "unregister" // of a runner or of one manager
	EndpointReset      Endpoint = "reset"      // of a runner's token
	EndpointVerify     Endpoint = "verify"
	EndpointRequest    Endpoint = "request"
	EndpointUpdate     Endpoint = "update" // every PUT of a job
	EndpointFinal      Endpoint = "final"  // only those with a final state
	EndpointTrace      Endpoint = "trace"
	EndpointUpload     Endpoint = "upload"
	EndpointDownload   Endpoint = "download"
	EndpointGit        Endpoint = "git"
)

// Fault makes a call go wrong.
type Fault struct {
	Endpoint Endpoint
	JobID    int64 // 0 = any
	Times    int   // 0 = once, negative = always

	Delay time.Duration // waits first
	// Status is answered and nothing is done; 0 = the call is handled. 412 to a final update forgets the trace, as its meaning is.
	Status int
	Header http.Header
	// DropAfter, when positive, breaks the connection after that many bytes of the body; nothing is done.
	DropAfter int64
	// DropReply does what is asked and breaks the connection before the answer.
	DropReply bool
}

// Fail lets the next calls of an endpoint fail with a status.
func (s *Server) Fail(endpoint Endpoint, status, times int) {
	s.AddFault(Fault{Endpoint: endpoint, Status: status, Times: times})
}

// AddFault adds a fault behind those that wait already; one call meets one fault.
func (s *Server) AddFault(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// takeFault finds the fault for a call. The caller does not hold mu.
func (s *Server) takeFault(endpoint Endpoint, jobID int64) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Endpoint != endpoint || f.JobID != 0 && f.JobID != jobID {
			continue
		}
		if f.Times--; f.Times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return *f, true
	}
	return Fault{}, false
}

// withFault handles a call, with the fault that waits for it if there is one.
func (s *Server) withFault(endpoint Endpoint, jobID int64, w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
	f, ok := s.takeFault(endpoint, jobID)
	if !ok {
		handle(w, r)
		return
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case f.DropAfter > 0:
		io.CopyN(io.Discard, r.Body, f.DropAfter)
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	case f.DropReply:
		handle(&noReply{header: http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		if endpoint == EndpointFinal && f.Status == http.StatusPreconditionFailed {
			s.forgetTrace(jobID)
		}
		for key, values := range f.Header {
			w.Header()[key] = values
		}
		message(w, f.Status, http.StatusText(f.Status))
	default:
		handle(w, r)
	}
}

func (s *Server) forgetTrace(jobID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[jobID]; j != nil {
		if err := s.resetTrace(j); err != nil {
			s.o.Log.Error("the trace can't be reset", "job", jobID, "err", err)
		}
	}
}

// noReply takes an answer that nobody will get.
type noReply struct{ header http.Header }

func (n *noReply) Header() http.Header         { return n.header }
func (n *noReply) Write(p []byte) (int, error) { return len(p), nil }
func (n *noReply) WriteHeader(int)             {}
