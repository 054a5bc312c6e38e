package legacytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Engine is the Docker engine of a machine that docker-machine made, as far as it is asked which containers run. It speaks TLS with
// certificates of the store's CA, on loopback.
type Engine struct {
	server *httptest.Server
	port   int

	mu   sync.Mutex // guards what follows
	job  string     // that runs on it; "" for none
	late bool       // it runs from the second look on
	asks int
}

// NewEngine takes a port. It serves from Serve on.
func NewEngine(t testing.TB) *Engine {
	t.Helper()
	e := &Engine{}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(e.answer))
	e.port = e.server.Listener.Addr().(*net.TCPAddr).Port
	t.Cleanup(e.server.Close)
	return e
}

// URL is the engine's, as docker-machine has it.
func (e *Engine) URL() string { return "tcp://127.0.0.1:" + strconv.Itoa(e.port) }

// Port is where it listens.
func (e *Engine) Port() int { return e.port }

// Run has a job of gitlab-runner's run on the engine; late: from the second look at its containers on.
func (e *Engine) Run(job string, late bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.job, e.late = job, late
}

func (e *Engine) answer(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Api-Version", "1.41")
	var answer any = map[string]any{}
	if strings.HasSuffix(r.URL.Path, "/containers/json") {
		containers := []any{}
		if e.asks++; e.job != "" && (!e.late || e.asks > 1) {
			containers = append(containers, map[string]any{"Id": "c1", "Labels": map[string]string{
				"com.gitlab.gitlab-runner.managed": "true", "com.gitlab.gitlab-runner.job.id": e.job,
			}})
		}
		answer = containers
	}
	_ = json.NewEncoder(w).Encode(answer) // whoever went away wants none
}

// Serve begins to serve. certs is the store's folder with its CA.
func (e *Engine) Serve(t testing.TB, certs string) {
	t.Helper()
	ca, err := tls.LoadX509KeyPair(filepath.Join(certs, "ca.pem"), filepath.Join(certs, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(ca.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, issuer, key.Public(), ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(issuer)
	e.server.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	e.server.StartTLS()
}
