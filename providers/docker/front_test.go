package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millwright-ci/millwright/agent/driver/drivertest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// front stands before the engine as a proxy does: it counts what is asked of it, and fails on demand. It is safe for concurrent use.
type front struct {
	*httptest.Server
	world  *world
	engine http.Handler
	ended  chan struct{}

	mu    sync.Mutex // guards what follows
	fault drivertest.Fault
	calls int
	asked map[string]bool // METHOD /path, with {id} for ids and names
}

// newFront opens a front of the world's engine, which ends with the test. start is (*httptest.Server).Start, or what makes it speak TLS.
func (w *world) newFront(t *testing.T, start func(*httptest.Server)) *front {
	t.Helper()
	target, err := url.Parse("http://engine")
	if w.base != "" {
		target, err = url.Parse(w.base)
	}
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	if w.socket != "" {
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", w.socket)
		}}
		t.Cleanup(transport.CloseIdleConnections)
		proxy.Transport = transport
	}
	f := &front{world: w, engine: proxy, ended: make(chan struct{}), asked: map[string]bool{}}
	f.Server = httptest.NewUnstartedServer(f)
	start(f.Server)
	t.Cleanup(func() {
		close(f.ended)
		f.Close()
	})
	return f
}

// asks is what a request asks for, as the engine's documentation names it: with {id} for ids and names, and without the version.
func asks(r *http.Request) string {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if strings.HasPrefix(parts[0], "v1.") {
		parts = parts[1:]
	}
	if len(parts) > 1 && parts[1] != "create" && parts[1] != "json" {
		parts[1] = "{id}"
	}
	return r.Method + " /" + strings.Join(parts, "/")
}

// Calls counts the requests so far.
func (f *front) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Asked lists what was asked for so far, sorted, and forgets it.
func (f *front) Asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := slices.Sorted(maps.Keys(f.asked))
	clear(f.asked)
	return asked
}

// Fail lets the engine fail from now on.
func (f *front) Fail(fault drivertest.Fault) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
	return nil
}

// Put lets a machine be in a state on the engine itself.
func (f *front) Put(name string, status abi.Status) error {
	switch status {
	case abi.StatusStopped:
		return f.world.call("POST", "/containers/"+name+"/kill", nil, nil, nil)
	case abi.StatusGone:
		if err := f.world.call("DELETE", "/containers/"+name, url.Values{"force": {"1"}}, nil, nil); err != nil {
			return err
		}
		return f.world.call("DELETE", "/volumes/"+volumeName(name), nil, nil, nil)
	}
	return fmt.Errorf("a container is never %s", status)
}

// failures are the answers of faults, to all requests or to one kind of them. Sources: the engine's own words, and those of proxies before it.
var failures = map[drivertest.Fault]struct {
	to      string
	status  int
	message string
}{
	drivertest.StockOut:    {"POST /containers/create", http.StatusInternalServerError, "write /var/lib/docker/overlay2/x: no space left on device"},
	drivertest.OverQuota:   {"POST /networks/create", http.StatusBadRequest, "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"},
	drivertest.RateLimited: {"", http.StatusTooManyRequests, "slow down"},
	drivertest.Denied:      {"", http.StatusForbidden, "authorization denied by plugin opa: no"},
	drivertest.Broken:      {"", http.StatusInternalServerError, "database is locked"},
	drivertest.PartialList: {"GET /volumes", http.StatusInternalServerError, "context deadline exceeded"},
	drivertest.HalfMade:    {"POST /containers/{id}/start", http.StatusInternalServerError, "failed to create task for container"},
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := asks(r)
	f.mu.Lock()
	fault := f.fault
	f.calls++
	f.asked[what] = true
	f.mu.Unlock()
	if no, ok := failures[fault]; ok && (no.to == "" || no.to == what) {
		w.Header().Set("Retry-After", fmt.Sprint(drivertest.RetryAfterS))
		w.WriteHeader(no.status)
		fmt.Fprintf(w, `{"message":%q}`, no.message)
		return
	}
	switch {
	case fault == drivertest.Junk:
		_, _ = io.WriteString(w, `{"Id":`)
	case fault == drivertest.Silent:
		select {
		case <-r.Context().Done():
		case <-f.ended:
		}
	case fault == drivertest.LostCreate && what == "POST /containers/create", fault == drivertest.LostRemove && what == "DELETE /containers/{id}":
		f.engine.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	default:
		f.engine.ServeHTTP(w, r)
	}
}
