package jobtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Call is a request that reached a bench's coordinator, of the agent, of a helper or of git, with its answer.
type Call struct {
	Time   time.Time // when it came
	Method string
	Path   string
	Range  string // Content-Range of a piece of trace
	State  string // what an update says of the job
	Status int    // of the answer; 0 when the connection broke
	Job    string // Job-Status of the answer
	Sent   int64  // bytes of the answer
}

// Calls are the requests of that method (any for "") to paths that end so, in the order in which they were answered.
func (b *Bench) Calls(method, suffix string) []Call {
	b.door.mu.Lock()
	defer b.door.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.door.calls), func(c Call) bool {
		return method != "" && c.Method != method || len(c.Path) < len(suffix) || c.Path[len(c.Path)-len(suffix):] != suffix
	})
}

// door stands before a coordinator and keeps what passes.
type door struct {
	next http.Handler

	mu    sync.Mutex // guards calls
	calls []Call
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := Call{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Range: r.Header.Get("Content-Range")}
	if r.Method == http.MethodPut {
		body, _ := io.ReadAll(r.Body) // what is cut off will not be understood
		r.Body = io.NopCloser(bytes.NewReader(body))
		var update struct{ State string }
		_ = json.Unmarshal(body, &update)
		c.State = update.State
	}
	answer := &watched{ResponseWriter: w}
	defer func() { // also when the handler breaks the connection
		c.Status, c.Job, c.Sent = answer.status, w.Header().Get("Job-Status"), answer.sent
		d.mu.Lock()
		defer d.mu.Unlock()
		d.calls = append(d.calls, c)
	}()
	d.next.ServeHTTP(answer, r)
}

// watched is an answer whose status and size are kept.
type watched struct {
	http.ResponseWriter
	status int
	sent   int64
}

func (w *watched) WriteHeader(status int) {
	if status >= 200 { // 100 Continue comes before the answer
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// Unwrap gives http.ResponseController what it looks for.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Serve answers requests at an address that containers reach, until the test ends.
func (s *Site) Serve(t *testing.T, handler http.Handler) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(s.Gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// Signal is an address that a script calls to say that it has got somewhere.
func (s *Site) Signal(t *testing.T, then func()) (url string) {
	t.Helper()
	return s.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { then() }))
}

// Last is the job that was handed out last.
func (b *Bench) Last() int64 {
	jobs := b.Server.Jobs()
	return jobs[len(jobs)-1].ID
}
