package dockermachine

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// account is a provider in memory, whose machines all have the same engine. It is safe for concurrent use.
type account struct {
	port int

	mu        sync.Mutex // guards what follows
	instances map[string]abi.Instance
	lists     int
	silent    bool // list never answers
	err       error

	switching bool // it can, but for restarts
	stopping  bool
	turns     []string

	console    string
	consoleErr error // beside err
}

func (a *account) Create(_ context.Context, req abi.CreateRequest) (abi.Instance, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return abi.Instance{}, a.err
	}
	i := abi.Instance{Name: req.Name, ID: "i-" + req.Name, Status: abi.StatusRunning, Address: "127.0.0.1", EnginePort: a.port}
	a.instances[req.Name] = i
	return i, nil
}

func (a *account) List(ctx context.Context, _ abi.ListRequest) (abi.ListResult, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lists++
	if a.silent {
		<-ctx.Done()
		return abi.ListResult{}, ctx.Err()
	}
	res := abi.ListResult{Complete: true}
	for _, i := range a.instances {
		res.Instances = append(res.Instances, i)
	}
	return res, a.err
}

func (a *account) Remove(_ context.Context, req abi.RemoveRequest) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		delete(a.instances, req.Name)
	}
	return a.err
}

// set gives a machine a status at the provider.
func (a *account) set(name string, s abi.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.instances[name]
	i.Name, i.Status = name, s
	a.instances[name] = i
}

// turn switches a machine, if the account can. A machine that was stopped is stopping for one more call, and gets another address with its start.
func (a *account) turn(op, name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turns = append(a.turns, op)
	i := a.instances[name]
	switch {
	case !a.switching, op == "restart":
		return driver.ErrNoSwitch
	case op == "start" && a.stopping:
		a.stopping = false
		return &driver.Error{Driver: "cloud", Op: op, Info: abi.Error{Kind: abi.Conflict, Message: "it is still at it"}}
	case op == "start":
		i.Status, i.Address = abi.StatusRunning, "127.0.0.2"
	default:
		i.Status, a.stopping = abi.StatusStopped, true
	}
	a.instances[name] = i
	return nil
}

func (a *account) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

// accounts gives the account by any name. It implements Drivers.
type accounts struct{ *account }

func (accounts) Names() []string { return []string{"cloud"} }
func (accounts) Describe(name string) (abi.Describe, error) {
	return abi.Describe{Name: name, Options: []abi.Option{{Name: "cloud-zone", Type: abi.OptionString}}}, nil
}
func (accounts) Read(context.Context, string, []string) (abi.Options, Secrets, []abi.Problem, error) {
	return abi.Options{"cloud-zone": {"a"}}, Secrets{}, nil, nil
}
func (a accounts) For(string, Secrets) driver.Driver                 { return a.account }
func (accounts) Login(fleet.Machine) (l provision.Login, known bool) { return l, false }
func (a accounts) Switch(_ context.Context, op string, m fleet.Machine, _ abi.Owner, _ Secrets) error {
	return a.turn(op, m.Name)
}
func (a accounts) Logs(context.Context, fleet.Machine, abi.Owner, Secrets) (string, error) {
	return a.console, cmp.Or(a.err, a.consoleErr)
}

// world is a store, an account and an engine.
type world struct {
	*account
	store    *journal.Hand
	certs    string // folder with the client's files
	out, err bytes.Buffer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	store, err := journal.OpenHand(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{store: store, certs: t.TempDir()}
	w.account = &account{port: serveEngine(t, w.certs), instances: map[string]abi.Instance{}}
	return w
}

func (w *world) machines() *Machines {
	w.out.Reset()
	w.err.Reset()
	return New(Options{
		Store: w.store, Command: "docker-machine", Line: []string{"docker-machine", "env", "m"}, In: strings.NewReader(""), Out: &w.out, Err: &w.err,
		Drivers: func() (Drivers, error) { return accounts{w.account}, nil },
	})
}

// add puts a machine into the store and the account, as a creation leaves it.
func (w *world) add(t testing.TB, name string) {
	t.Helper()
	owner, err := w.store.Owner()
	if err != nil {
		t.Fatal(err)
	}
	i, err := w.Create(t.Context(), abi.CreateRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	err = w.store.Add(journal.Entry{Owner: owner, Machine: fleet.Machine{
		Name: name, Driver: "cloud", Options: abi.Options{"cloud-zone": {"a"}, "engine-label": {"tier=ci"}}, State: fleet.Idle, CreatedAt: time.Now().UTC(), Instance: i,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := copyCerts(w.certs, w.store.Dir(name)); err != nil {
		t.Fatal(err)
	}
}

// copies makes more machines of one, without waiting for the disk.
func (w *world) copies(t testing.TB, of string, names []string) {
	t.Helper()
	files, err := os.ReadDir(w.store.Dir(of))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Mkdir(w.store.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(filepath.Join(w.store.Dir(of), f.Name()))
			if err == nil {
				err = os.WriteFile(filepath.Join(w.store.Dir(name), f.Name()), bytes.ReplaceAll(data, []byte(of), []byte(name)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Create(t.Context(), abi.CreateRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
}

// serveEngine answers as an engine does to /version, over TLS on both sides, and puts the client's files into dir.
func serveEngine(t testing.TB, dir string) (port int) {
	t.Helper()
	ca, caKey := certificate(t, nil, nil, x509.ExtKeyUsageAny)
	server, serverKey := certificate(t, ca, caKey, x509.ExtKeyUsageServerAuth)
	client, clientKey := certificate(t, ca, caKey, x509.ExtKeyUsageClientAuth)
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: ca.Raw}, "cert.pem": {Type: "CERTIFICATE", Bytes: client.Raw}, "key.pem": keyBlock(t, clientKey),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(ca)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/version" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"Version":"24.0.7","ApiVersion":"1.43"}`)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

func certificate(t testing.TB, parent *x509.Certificate, by *ecdsa.PrivateKey, use x509.ExtKeyUsage) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{use}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
	}
	if parent == nil {
		parent, by, c.IsCA, c.KeyUsage = c, key, true, x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func keyBlock(t testing.TB, key *ecdsa.PrivateKey) *pem.Block {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}
}
