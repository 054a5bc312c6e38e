package trace

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/coordinator"
	"github.com/millwright-ci/millwright/agent/internal/memnet"
)

// server is a small coordinator: it keeps one job's trace as GitLab does, checks what it gets, and answers otherwise on demand.
type server struct {
	t *testing.T

	mu    sync.Mutex
	trace []byte
	calls []received
	// onPatch and onPut may answer the call of that number, from 1 on, in the server's place by returning true.
	onPatch, onPut func(n int, w http.ResponseWriter, r *http.Request) bool
	patches, puts  int
	final          map[string]any // the last PUT of a final state
}

// received is one call as the server saw it.
type received struct {
	at   time.Time
	what string // PATCH 0-9, PUT running
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.Header.Get("JOB-TOKEN") != "job-token" {
		s.t.Errorf("%s without the job's token", r.Method)
	}
	switch r.Method {
	case http.MethodPatch:
		s.patches++
		s.calls = append(s.calls, received{time.Now(), "PATCH " + r.Header.Get("Content-Range")})
		if s.onPatch != nil && s.onPatch(s.patches, w, r) {
			return
		}
		s.patch(w, r, body)
	case http.MethodPut:
		s.puts++
		var update map[string]any
		if err := json.Unmarshal(body, &update); err != nil {
			s.t.Errorf("PUT: %v", err)
		}
		s.calls = append(s.calls, received{time.Now(), fmt.Sprint("PUT ", update["state"])})
		if update["state"] != "running" {
			s.final = update
		}
		if s.onPut != nil && s.onPut(s.puts, w, r) {
			return
		}
		w.WriteHeader(http.StatusOK)
	}
}

func (s *server) patch(w http.ResponseWriter, r *http.Request, body []byte) {
	var start, end int
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-%d", &start, &end); err != nil || end-start+1 != len(body) {
		s.t.Errorf("Content-Range %q with %d bytes", r.Header.Get("Content-Range"), len(body))
	}
	if len(body) > maxPiece {
		s.t.Errorf("a piece of %d bytes", len(body))
	}
	if start != len(s.trace) {
		w.Header().Set("Range", fmt.Sprintf("0-%d", len(s.trace)))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	s.trace = append(s.trace, body...)
	w.Header().Set("Range", fmt.Sprintf("0-%d", len(s.trace)))
	w.WriteHeader(http.StatusAccepted)
}

// seen lists the calls so far.
func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, c := range s.calls {
		list = append(list, c.what)
	}
	return list
}

func (s *server) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.trace)
}

// complete checks that the final update tells the size and the checksum of the trace that the server has.
func (s *server) complete(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.final == nil {
		t.Fatal("no final update came")
	}
	output, _ := s.final["output"].(map[string]any)
	want := fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(s.trace))
	if output["checksum"] != want || output["bytesize"] != float64(len(s.trace)) {
		t.Errorf("output %v, want %s and %d bytes", output, want, len(s.trace))
	}
}

// start makes a trace of job 7 whose coordinator is s. change may alter the options.
func start(t *testing.T, s *server, change func(*Options)) *Trace {
	t.Helper()
	return startWith(t, s, s, change)
}

// startWith is start with a handler before the coordinator.
func startWith(t *testing.T, front http.Handler, s *server, change func(*Options)) *Trace {
	t.Helper()
	s.t = t
	network := memnet.Serve(t, front)
	client, err := coordinator.New(coordinator.Options{URL: "http://gitlab.test", Token: "runner-token", Dial: network.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	o := Options{
		Job:    &coordinator.Job{ID: 7, Token: "job-token", Features: coordinator.Features{TraceSections: true}},
		Client: client, MaskAllTokens: true, Dir: t.TempDir(),
	}
	if change != nil {
		change(&o)
	}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	tr.Start(t.Context())
	return tr
}

// answer makes a hook that gives the n-th call one reply: a status and headers as "Name: value".
func answer(replies map[int][]string) func(int, http.ResponseWriter, *http.Request) bool {
	return func(n int, w http.ResponseWriter, _ *http.Request) bool {
		reply := replies[n]
		if reply == nil {
			return false
		}
		for _, h := range reply[1:] {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		var status int
		fmt.Sscan(reply[0], &status)
		w.WriteHeader(status)
		return true
	}
}
