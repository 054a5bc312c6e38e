// Package storetest gives tests real object stores: processes that speak the API of S3 or of Google Cloud Storage, each behind a front
// that checks what those leave out, the signatures and their time.
package storetest

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Bucket is the one that every store has.
const Bucket = "caches"

// Request is one that a front let through, or refused.
type Request struct {
	Method, Path string
	Header       http.Header
	Status       int
}

// Front is a store with its front.
type Front struct {
	URL  string // without a path
	Host string // host and port

	mu       sync.Mutex // guards what follows
	requests []Request
	down     bool
}

// start puts a front at address (host:0) before the store at backend. refuse checks a request.
func start(t testing.TB, address, backend string, refuse func(*http.Request) error) *Front {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f := &Front{Host: listener.Addr().String()}
	f.URL = "http://" + f.Host
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: backend})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &status{ResponseWriter: w, code: http.StatusOK}
		header := r.Header.Clone()
		switch err := refuse(r); {
		case f.isDown():
			http.Error(seen, "down", http.StatusServiceUnavailable)
		case err != nil:
			http.Error(seen, err.Error(), http.StatusForbidden)
		default:
			proxy.ServeHTTP(seen, r)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.requests = append(f.requests, Request{r.Method, r.URL.Path, header, seen.code})
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return f
}

// Requests returns those so far.
func (f *Front) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Request(nil), f.requests...)
}

// Down makes the store answer nothing but 503, or lets it work again.
func (f *Front) Down(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *Front) isDown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// servers is the folder of the Go module with the stores.
func servers() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(filepath.Dir(file)), "testservers")
}

// backend starts one of them.
func backend(t testing.TB, pkg string, args ...string) string {
	t.Helper()
	return need.Server(t, servers(), pkg, append([]string{"127.0.0.1:0"}, args...)...)
}

var (
	errUnsigned  = errors.New("the request is not signed")
	errSignature = errors.New("the signature does not match")
	errExpired   = errors.New("the link has expired, or is of the future")
)
