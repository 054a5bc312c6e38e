package fakerest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Dialect is what is special to a cloud's API.
type Dialect struct {
	Token  string // callers must bear it; "" is nothing
	Routes []Route
	// Refusal writes the body of a refusal.
	Refusal func(*Refusal) any
	// Codes are the cloud's own for the faults that every call can have.
	Codes map[int]string // by status: 401, 403, 429, 503, 404, 400
	Limit int            // requests an hour, for the headers; 0 says nothing of it
	// Create is the pattern of the route that makes a machine: its answers are the ones that get lost.
	Create string
}

// Route is one call of an API.
type Route struct {
	Pattern string   // of http.ServeMux, with its method
	Query   []string // the parameters that it takes
	Scope   string   // the right that it takes
	Status  int      // of its success; 0 is 200
	// Handle carries it out, with Server.Mu held, and returns the body; nil is none.
	Handle func(*Request) (any, error)
}

// Request is a call on its way.
type Request struct {
	*http.Request
	Query url.Values
	body  []byte
}

// Read reads the body into a type of the cloud's own library. What that does not know is refused, and noted as wrong.
func (r *Request) Read(into any) error {
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &Refusal{Status: http.StatusBadRequest, Message: err.Error(), Wrong: true}
	}
	return nil
}

// Number returns a number of the path, 0 when it is none.
func (r *Request) Number(name string) int64 {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Refusal is an answer of 400 or more.
type Refusal struct {
	Status  int
	Code    string // "": the dialect's for the status
	Message string
	Retry   int  // seconds
	Wrong   bool // the request is one that no client of the cloud's would send
}

func (r *Refusal) Error() string { return r.Message }

// Refuse makes a refusal.
func Refuse(status int, code, format string, args ...any) error {
	return &Refusal{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Server serves a dialect until Close. What the cloud holds is guarded by Mu.
type Server struct {
	dialect Dialect
	http    *http.Server
	url     string
	serving sync.WaitGroup

	Mu     sync.Mutex // guards what follows, and the cloud's own state
	calls  map[string]int
	bodies map[string]json.RawMessage // the last by pattern
	scopes map[string]bool
	wrong  []string
	fault  string
	denied map[string]bool
	used   int // of the hour's requests, beside those that were counted
	total  int
}

// Start serves a dialect on an address of loopback's.
func Start(d Dialect) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{dialect: d, url: "http://" + l.Addr().String(), calls: map[string]int{}, bodies: map[string]json.RawMessage{}, scopes: map[string]bool{}, denied: map[string]bool{}}
	mux := http.NewServeMux()
	for _, route := range d.Routes {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, route) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.note(r, "there is no such call")
		s.reply(w, http.StatusNotFound, nil, Refuse(http.StatusNotFound, "", "not found"))
	})
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	s.serving.Go(func() { _ = s.http.Serve(l) }) // ends with Close
	return s, nil
}

// URL is the endpoint, http://host:port.
func (s *Server) URL() string { return s.url }

// Close ends the server.
func (s *Server) Close() error {
	err := s.http.Close()
	s.serving.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// maxBody is how many bytes of a request are read.
const maxBody = 4 << 20

// silence is how long a silent cloud takes at most.
const silence = time.Minute

func (s *Server) serve(w http.ResponseWriter, hr *http.Request, route Route) {
	body, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, maxBody))
	if err != nil {
		return // the caller is gone
	}
	fault := s.Fault()
	switch fault {
	case Junk:
		_, _ = io.WriteString(w, `{"droplets":[{"id":1,`) // whoever went away wants no answer
		return
	case OtherBody:
		_, _ = io.WriteString(w, `{"status":"ok"}`)
		return
	case ProxyPage:
		_, _ = io.WriteString(w, "<html><body>Sign in to the network</body></html>")
		return
	}
	answer, err := s.take(&Request{Request: hr, Query: hr.URL.Query(), body: body}, route)
	switch {
	case fault == Silent:
		select {
		case <-hr.Context().Done():
		case <-time.After(silence):
		}
		return
	case err != nil:
	case fault == LostCreate && route.Pattern == s.dialect.Create, fault == LostRemove && hr.Method == http.MethodDelete:
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}
	s.reply(w, route.Status, answer, err)
}

// take admits a request and carries it out.
func (s *Server) take(r *Request, route Route) (any, error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.calls[route.Pattern]++
	s.total++
	if len(r.body) > 0 {
		s.bodies[route.Pattern] = r.body
	}
	if err := s.admit(r, route); err != nil {
		return nil, err
	}
	for name := range r.Query {
		if !slices.Contains(route.Query, name) {
			return nil, s.refuseWrong(r, "it has no parameter "+name)
		}
	}
	s.scopes[route.Scope] = true
	answer, err := route.Handle(r)
	var no *Refusal
	if errors.As(err, &no) && no.Wrong {
		return nil, s.refuseWrong(r, no.Message)
	}
	return answer, err
}

// refuseWrong is called with Mu held.
func (s *Server) refuseWrong(r *Request, why string) error {
	s.wrong = append(s.wrong, r.Method+" "+r.URL.RequestURI()+": "+why)
	return Refuse(http.StatusBadRequest, "", "%s", why)
}

func (s *Server) note(r *http.Request, why string) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.wrong = append(s.wrong, r.Method+" "+r.URL.RequestURI()+": "+why)
}

func (s *Server) reply(w http.ResponseWriter, status int, answer any, err error) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	s.limits(w.Header())
	var no *Refusal
	if errors.As(err, &no) {
		if no.Code == "" {
			no.Code = s.dialect.Codes[no.Status]
		}
		if no.Retry > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(no.Retry))
		}
		status, answer = no.Status, s.dialect.Refusal(no)
	}
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(max(status, http.StatusOK))
	_ = json.NewEncoder(w).Encode(answer) // whoever went away wants no answer
}

func (s *Server) limits(h http.Header) {
	if s.dialect.Limit == 0 {
		return
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	h.Set("Ratelimit-Limit", strconv.Itoa(s.dialect.Limit))
	h.Set("Ratelimit-Remaining", strconv.Itoa(max(s.dialect.Limit-s.used-s.total, 0)))
	h.Set("Ratelimit-Reset", strconv.FormatInt(time.Now().Unix()+3, 10))
}
