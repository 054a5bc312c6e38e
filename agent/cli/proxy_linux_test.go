package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/drivertest/fakegce"
)

// guarded is a network that can be left by a proxy alone, and whose every host has a certificate of the network's own authority.
type guarded struct {
	t         *testing.T
	proxy     string // its URL
	authority string // the file
	key       *ecdsa.PrivateKey
	root      *x509.Certificate

	mu   sync.Mutex // guards seen
	seen []string   // hosts that were spoken to through the proxy, over TLS
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{t: t, authority: filepath.Join(t.TempDir(), "ca.pem")}
	var err error
	if g.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the network's own"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	g.root = g.sign(own, own)
	if err := os.WriteFile(g.authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.root.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	hosts := httptest.NewUnstartedServer(http.HandlerFunc(g.answer))
	hosts.TLS = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		leaf := g.sign(&x509.Certificate{
			SerialNumber: big.NewInt(2), DNSNames: []string{hello.ServerName}, NotBefore: g.root.NotBefore, NotAfter: g.root.NotAfter,
		}, g.root)
		return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: g.key}, nil
	}}
	hosts.StartTLS()
	t.Cleanup(hosts.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tunnel(w, r, hosts.Listener.Addr().String()) }))
	t.Cleanup(proxy.Close)
	g.proxy = proxy.URL
	return g
}

// sign returns a certificate for the one key that there is.
func (g *guarded) sign(c, by *x509.Certificate) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, c, by, g.key.Public(), g.key)
	if err != nil {
		g.t.Error(err)
		return c
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		g.t.Error(err)
	}
	return made
}

// tunnel connects whoever asks for it to an address, wherever he wanted to go.
func tunnel(w http.ResponseWriter, r *http.Request, address string) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this proxy makes tunnels", http.StatusBadRequest)
		return
	}
	there, err := net.Dial("tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(there, buffered)
		_ = there.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(here, there)
}

// answer lets everybody sign in, and has nothing else.
func (g *guarded) answer(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.seen = append(g.seen, r.Host)
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	const login = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555"
	switch {
	case strings.HasSuffix(r.URL.Path, "/token"):
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "of-the-agent", "token_type": "Bearer", "expires_in": 3600})
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": login + "/v2.0", "token_endpoint": login + "/token", "authorization_endpoint": login + "/authorize"})
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		_ = json.NewEncoder(w).Encode(map[string]any{"tenant_discovery_endpoint": login + "/openid-configuration", "metadata": []any{}})
	case strings.HasPrefix(r.Host, "cloudresourcemanager."): // then Compute Engine itself is asked
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":{"code":403,"errors":[{"reason":"accessNotConfigured"}]}}`)
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "{}")
	}
}

func (g *guarded) hosts() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.seen)
}

// TestProxyAndAuthority has each driver of a cloud reach its API, and what it signs in at, through a proxy and by an authority of one's own; then at a
// private endpoint.
func TestProxyAndAuthority(t *testing.T) {
	t.Parallel()
	binary, state := millwright(t), stateDir(t)
	for name, tc := range map[string]struct {
		options []string
		hosts   []string // that must be reached
		api     string   // the one of them that a private endpoint stands for
		private string   // the option that says so; "" is endpoint of millwright.toml
	}{
		"google": {[]string{"google-project=project-1"}, []string{"oauth2.googleapis.com", "compute.googleapis.com"}, "compute.googleapis.com", ""},
		"amazonec2": {[]string{"amazonec2-access-key=AKIAOFTHEAGENT", "amazonec2-secret-key=secret-of-the-agent"}, []string{"ec2.us-east-1.amazonaws.com"},
			"ec2.us-east-1.amazonaws.com", "amazonec2-endpoint"},
		"azure": {[]string{
			"azure-subscription-id=11111111-2222-3333-4444-555555555555", "azure-tenant-id=11111111-2222-3333-4444-555555555555", "azure-client-id=app",
			"azure-client-secret=secret-of-the-agent",
		}, []string{"login.microsoftonline.com", "management.azure.com"}, "management.azure.com", ""},
		"docker":       {[]string{"docker-host=https://engine.example.com:2376"}, []string{"engine.example.com:2376"}, "", ""}, // which is private by itself
		"digitalocean": {[]string{"digitalocean-access-token=token-of-the-agent"}, []string{"api.digitalocean.com"}, "api.digitalocean.com", ""},
		"hetzner":      {[]string{"hetzner-api-token=token-of-the-agent"}, []string{"api.hetzner.cloud"}, "api.hetzner.cloud", ""},
	} {
		for where, private := range map[string]bool{"at home": false, "at a private endpoint": true} {
			if private && tc.api == "" {
				continue
			}
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				g, dir := newGuarded(t), t.TempDir()
				hosts, options := slices.Clone(tc.hosts), slices.Clone(tc.options)
				operator := ""
				if private {
					const endpoint = "https://cloud.example.com"
					hosts[slices.Index(hosts, tc.api)] = "cloud.example.com"
					if tc.private != "" {
						options = append(options, tc.private+"="+endpoint)
					} else {
						operator = "[drivers." + name + "]\nendpoint = \"" + endpoint + "\"\n"
					}
				}
				if err := os.WriteFile(filepath.Join(dir, "millwright.toml"), []byte(operator), 0o600); err != nil {
					t.Fatal(err)
				}
				account, err := fakegce.AccountFile(dir, "https://oauth2.googleapis.com/token")
				if err != nil {
					t.Fatal(err)
				}
				args := []string{"driver", "check", "--driver", name, "--config", filepath.Join(dir, "config.toml"), "--state-dir", state}
				for _, o := range options {
					args = append(args, "--option", o)
				}
				cmd := exec.CommandContext(t.Context(), binary, args...)
				cmd.Env = []string{
					"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "HTTPS_PROXY=" + g.proxy, "SSL_CERT_FILE=" + g.authority, "SSL_CERT_DIR=" + dir,
					"GOOGLE_APPLICATION_CREDENTIALS=" + account,
					"DOCKER_CERT_PATH=" + g.dockerCerts(dir),
				}
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				_ = cmd.Run() // nothing is allowed there
				seen := g.hosts()
				for _, host := range hosts {
					if !slices.Contains(seen, host) {
						t.Errorf("%s was not reached through the proxy, only %v were:\n%s", host, seen, out.String())
					}
				}
			})
		}
	}
}

// dockerCerts writes what Docker's own client shows an engine, into a folder below dir.
func (g *guarded) dockerCerts(dir string) string {
	g.t.Helper()
	folder := filepath.Join(dir, "engine")
	key, err := x509.MarshalPKCS8PrivateKey(g.key)
	if err == nil {
		err = os.Mkdir(folder, 0o700)
	}
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.root.Raw})
	for name, data := range map[string][]byte{"ca.pem": own, "cert.pem": own, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), data, 0o600)
		}
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return folder
}
