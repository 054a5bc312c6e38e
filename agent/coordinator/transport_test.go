package coordinator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	a.pem, _, a.cert, a.key = a.sign(name, true)
	return a
}

// sign issues a certificate and returns it and its key in PEM; the authority's own when it has none yet.
func (a *authority) sign(name string, ca bool) (certPEM, keyPEM string, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if ca {
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})), cert, key
}

// serve starts a TLS server of that authority that hands out a job for each request. With clients it wants their certificates.
func (a *authority) serve(clients bool) *httptest.Server {
	a.t.Helper()
	certPEM, keyPEM, _, _ := a.sign("gitlab", false)
	pair, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		a.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(&recorder{reply: func(_ int, w http.ResponseWriter, r *http.Request) {
		write(w, http.StatusCreated, `{"id": 1, "token": "t"}`, isJSON)
	}})
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.Config.ErrorLog = nil
	s.EnableHTTP2 = true
	if clients {
		s.TLS.ClientCAs = x509.NewCertPool()
		s.TLS.ClientCAs.AddCert(a.cert)
		s.TLS.ClientAuth = tls.RequireAndVerifyClientCert
	}
	s.StartTLS()
	a.t.Cleanup(s.Close)
	return s
}

func put(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	server := ca.serve(false)
	t.Run("an unknown authority", func(t *testing.T) {
		if _, err := newClient(t, Options{URL: server.URL}).RequestJob(t.Context()); err == nil || errors.Is(err, ErrClient) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("tls-ca-file", func(t *testing.T) {
		path := put(t, filepath.Join(t.TempDir(), "ca.pem"), ca.pem)
		job, err := newClient(t, Options{URL: server.URL, TLS: TLSFiles{CA: path}}).RequestJob(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if job.TLS != (TLSData{CA: ca.pem}) {
			t.Errorf("TLS data %+v", job.TLS)
		}
	})
	t.Run("a file named for the host", func(t *testing.T) {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "127.0.0.1.crt"), ca.pem)
		if _, err := newClient(t, Options{URL: server.URL, TLS: TLSFiles{Dir: dir}}).RequestJob(t.Context()); err != nil {
			t.Error(err)
		}
	})
	for name, content := range map[string]string{"no such file": "", "no certificate": "hello"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ca.pem")
			if content != "" {
				put(t, path, content)
			}
			_, err := newClient(t, Options{URL: server.URL, TLS: TLSFiles{CA: path}}).RequestJob(t.Context())
			if !errors.Is(err, ErrClient) || !strings.Contains(err.Error(), "tls-ca-file") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestClientCertificate(t *testing.T) {
	ca := newAuthority(t, "ca")
	server := ca.serve(true)
	dir := t.TempDir()
	cert, key, _, _ := ca.sign("runner", false)
	files := TLSFiles{
		CA:   put(t, filepath.Join(dir, "ca.pem"), ca.pem),
		Cert: put(t, filepath.Join(dir, "cert.pem"), cert), Key: put(t, filepath.Join(dir, "key.pem"), key),
	}
	job, err := newClient(t, Options{URL: server.URL, TLS: files}).RequestJob(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if job.TLS.CA != ca.pem || job.TLS.Cert != cert || job.TLS.Key.Reveal() != key {
		t.Errorf("TLS data %+v", job.TLS)
	}
	files.Key = ""
	if _, err := newClient(t, Options{URL: server.URL, TLS: files}).RequestJob(t.Context()); err == nil {
		t.Error("a certificate without its key served")
	}
}

// TestRenewal changes the CA file while the client lives: a new one is taken at once, a broken one is not.
func TestRenewal(t *testing.T) {
	old, renewed := newAuthority(t, "old"), newAuthority(t, "new")
	before, after := old.serve(false), renewed.serve(false)
	path := put(t, filepath.Join(t.TempDir(), "ca.pem"), old.pem)
	c := newClient(t, Options{URL: before.URL, TLS: TLSFiles{CA: path}})
	ask := func() error {
		_, err := c.RequestJob(t.Context())
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	put(t, path, "half a fi")
	if err := ask(); err != nil {
		t.Errorf("with a broken file: %v", err)
	}
	moved, err := apiRoot(after.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.root = moved
	if err := ask(); err == nil {
		t.Error("the new authority is trusted already")
	}
	put(t, path, renewed.pem)
	if err := ask(); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
}

// TestChain takes the verified chain where there is no CA file.
func TestChain(t *testing.T) {
	ca := newAuthority(t, "ca")
	_, _, leaf, _ := ca.sign("gitlab", false)
	got := tlsData(reply{tls: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf, ca.cert}, {leaf, ca.cert}}}}).CA
	first, rest := pem.Decode([]byte(got))
	second, rest := pem.Decode(rest)
	if string(first.Bytes) != string(leaf.Raw) || string(second.Bytes) != string(ca.cert.Raw) || len(rest) > 0 {
		t.Errorf("chain %s", got)
	}
}
