package migrate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/legacy/legacytest"
	"github.com/millwright-ci/millwright/agent/journal"
)

func TestMain(m *testing.M) {
	code := m.Run()
	legacytest.Clean()
	os.Exit(code)
}

// theirs is a store that docker-machine itself has written, with engines of its CA.
type theirs struct {
	t      *testing.T
	binary string
	store  string
}

func newTheirs(t *testing.T) *theirs {
	t.Helper()
	return &theirs{t, legacytest.DockerMachine(t), t.TempDir()}
}

// run runs docker-machine and returns its stdout.
func (d *theirs) run(args ...string) (string, error) {
	d.t.Helper()
	c := exec.Command(d.binary, append([]string{"--bugsnag-api-token=no-report"}, args...)...)
	c.Env = append(os.Environ(), "MACHINE_STORAGE_PATH="+d.store, "PATH="+filepath.Dir(d.binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("docker-machine %s: %w: %s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out)), err
}

func (d *theirs) must(args ...string) string {
	d.t.Helper()
	out, err := d.run(args...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// engine is a Docker engine as far as import asks one: which containers run.
type testEngine struct {
	*httptest.Server
	port int
	job  atomic.Value // string: the job that runs on it, "" for none
	asks atomic.Int64
	on   func(ask int64) // called at each ask, before it is answered; nil: nothing
}

func newEngine(t *testing.T) *testEngine {
	t.Helper()
	e := &testEngine{}
	e.job.Store("")
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		containers := []any{}
		if strings.HasSuffix(r.URL.Path, "/containers/json") {
			if n := e.asks.Add(1); e.on != nil {
				e.on(n)
			}
			if job := e.job.Load().(string); job != "" {
				containers = append(containers, map[string]any{"Id": "c1", "Labels": map[string]string{
					"com.gitlab.gitlab-runner.managed": "true", "com.gitlab.gitlab-runner.job.id": job,
				}})
			}
		}
		_ = json.NewEncoder(w).Encode(containers)
	}))
	e.port = e.Listener.Addr().(*net.TCPAddr).Port
	t.Cleanup(e.Close)
	return e
}

// serve begins to serve, with a certificate of the store's CA.
func (e *testEngine) serve(t *testing.T, certs string) {
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
	e.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	e.StartTLS()
}

func (e *testEngine) url() string { return "tcp://127.0.0.1:" + strconv.Itoa(e.port) }

func openJournal(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// plan returns the rows as texts: name, whether it is taken, why.
func plan(t *testing.T, m interface {
	Plan(context.Context) ([]Row, error)
}) ([]Row, string) {
	t.Helper()
	rows, err := m.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("%s %t %s", r.Name, r.Take, r.Why))
	}
	return rows, strings.Join(lines, "\n")
}

// do does all rows that can be done.
func do(t *testing.T, rows []Row) {
	t.Helper()
	for _, r := range rows {
		if !r.Take {
			continue
		}
		if err := r.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
