package dockertest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Gate stands before the local engine until the test ends, and returns its address, tcp://…. hold is called with each request before the engine
// gets it, and may take its time; calls overlap.
func Gate(t testing.TB, hold func(*http.Request)) (host string) {
	t.Helper()
	return gate(t, "tcp", "127.0.0.1:0", hold)
}

// SocketGate is Gate at a socket of this host, unix://….
func SocketGate(t testing.TB, hold func(*http.Request)) (host string) {
	t.Helper()
	return gate(t, "unix", filepath.Join(t.TempDir(), "engine.sock"), hold)
}

func gate(t testing.TB, kind, at string, hold func(*http.Request)) (host string) {
	t.Helper()
	listener, err := net.Listen(kind, at)
	if err != nil {
		t.Fatal(err)
	}
	network, address, _ := strings.Cut(need.Docker(t), "://")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	proxy.Transport, proxy.FlushInterval = transport, -1
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of whoever hangs up first
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hold(r)
		proxy.ServeHTTP(w, r)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return kind + "://" + listener.Addr().String()
}
