package provision

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// engineOf serves over TLS as a machine's engine does, and counts the connections that are made.
func engineOf(t *testing.T, h http.Handler) (at fleet.Endpoint, server *httptest.Server, made *atomic.Int32) {
	t.Helper()
	now := time.Now()
	ca, err := newPair(caTemplate(), nil, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	own, err := newPair(serverTemplate("m", []string{"127.0.0.1"}), ca, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := newPair(clientTemplate(), ca, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{caFile: ca.certPEM, certFile: mine.certPEM, "key.pem": mine.keyPEM} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(own.certPEM, own.keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	made = &atomic.Int32{}
	server = httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			made.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return fleet.Endpoint{Host: "tcp://" + server.Listener.Addr().String(), CertPath: dir}, server, made
}

func TestPing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		serve http.HandlerFunc
		want  string // of the error; "" for none
		conns int32  // that three pings make
	}{
		{"alive", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("OK")) }, "", 1},
		{"one request a connection", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			_, _ = w.Write([]byte("OK"))
		}, "", 3},
		{"a long answer", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 2*maxPingReply)) }, "", 3},
		{"ill", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no space left", http.StatusInternalServerError)
		}, "no space left", 3},
		{"another path than the engine's", http.NewServeMux().ServeHTTP, "status 404", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at, _, made := engineOf(t, tc.serve)
			var e engines
			defer e.close()
			for range 3 {
				err := e.get(at).ping(t.Context(), at)
				if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
					t.Errorf("error %v, want %q", err, tc.want)
				}
			}
			if n := made.Load(); n != tc.conns {
				t.Errorf("%d connections, want %d", n, tc.conns)
			}
		})
	}
}

// An engine that was restarted, and has closed the connection with that, is asked over a new one; a line that ended keeps none.
func TestPingAgain(t *testing.T) {
	at, server, made := engineOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("OK")) }))
	var e engines
	defer e.close()
	l := e.get(at)
	for n := range int32(3) {
		if err := l.ping(t.Context(), at); err != nil || made.Load() != n+1 {
			t.Fatalf("%v, %d connections, want %d", err, made.Load(), n+1)
		}
		server.CloseClientConnections()
	}
	e.forget(at)
	if err := l.ping(t.Context(), at); err != nil || l.conn != nil {
		t.Errorf("a line that ended: %v, and keeps its connection", err)
	}
	if e.get(at) == l {
		t.Error("a line that ended is given out again")
	}
}

// A silent engine holds nobody longer than asked for.
func TestPingOfASilentEngine(t *testing.T) {
	release := make(chan struct{})
	at, _, _ := engineOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var e engines
	defer e.close()
	if err := e.get(at).ping(ctx, at); err == nil || ctx.Err() == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("error %v, want that of the deadline", err)
	}
}
