package credentials_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millwright-ci/millwright/hostfuncs/credentials"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// clouds is the internet of a test: whatever name or address is asked for, over http or https, the same mux answers. A pattern begins with the
// host.
type clouds struct {
	*http.ServeMux
	store *credentials.Store
	log   *lockedBuffer
	now   *clock

	mu    sync.Mutex // guards calls
	calls map[string]int
	plain string // address of the http server, which can also be reached as itself
}

// newClouds returns an internet and a store whose sign-ins go there, without any credentials of the machine that the test runs on.
func newClouds(t *testing.T) *clouds {
	t.Helper()
	home := t.TempDir()
	for _, name := range os.Environ() {
		name, _, _ = strings.Cut(name, "=")
		for _, prefix := range []string{"AWS_", "AZURE_", "GOOGLE_", "GCE_", "IDENTITY_", "MSI_", "CLOUDSDK_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, "")
				os.Unsetenv(name)
			}
		}
	}
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("APPDATA", home)
	c := &clouds{ServeMux: http.NewServeMux(), log: &lockedBuffer{}, now: &clock{}, calls: map[string]int{}}
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := c.Handler(r)
		c.mu.Lock()
		c.calls[pattern]++
		c.mu.Unlock()
		if pattern == "" {
			t.Logf("nobody serves %s %s%s", r.Method, r.Host, r.URL)
		}
		c.ServeHTTP(w, r)
	})
	plain, secure := httptest.NewServer(counted), httptest.NewTLSServer(counted)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	c.plain = plain.Listener.Addr().String()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(address)
			switch {
			case strings.HasPrefix(address, "127.0.0.1:"):
			case port == "443":
				address = secure.Listener.Addr().String()
			default:
				address = c.plain
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	c.store = credentials.NewStore(credentials.Options{HTTP: client, Now: c.now.Now, Logger: slog.New(slog.NewTextHandler(c.log, nil))})
	t.Cleanup(c.store.Close)
	return c
}

func (c *clouds) count(pattern string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[pattern]
}

// sign signs an empty GET with the only credential that there is.
func (c *clouds) sign(t *testing.T, config credentials.Config, g credentials.Grant, params map[string]string) (http.Header, []string, error) {
	t.Helper()
	c.store.Set(map[string]credentials.Config{"it": config})
	r := httptest.NewRequest(http.MethodGet, "https://api.example.com/v1", nil)
	r.RequestURI = ""
	secrets, err := c.store.Signer("it", g).Sign(t.Context(), r, nil, params)
	return r.Header, secrets, err
}

// want signs twice and checks what is attached, and that it counts as secret.
func (c *clouds) want(t *testing.T, config credentials.Config, g credentials.Grant, header, value string) {
	t.Helper()
	for range 2 {
		h, secrets, err := c.sign(t, config, g, nil)
		if err != nil {
			t.Fatalf("%v; the log says %s", err, c.log)
		}
		if h.Get(header) != value {
			t.Errorf("%s is %q, want %q", header, h.Get(header), value)
		}
		token := value[strings.LastIndex(value, " ")+1:]
		if !strings.Contains(strings.Join(secrets, "\n"), token) {
			t.Error("what is attached does not count as secret")
		}
	}
}

// clock is the real time, and what a test adds: the clouds' libraries know only the real one.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

type object = map[string]any

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rsaKey returns a new private key in PEM and its public half.
func rsaKey(t *testing.T) (string, *rsa.PublicKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), &key.PublicKey
}

func mustRead(r io.Reader) string {
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Sprint("unreadable: ", err)
	}
	return string(data)
}
