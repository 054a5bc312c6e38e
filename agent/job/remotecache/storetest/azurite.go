package storetest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/internal/need"
)

// Azurite is an emulator of Azure Storage, which checks signatures itself.
type Azurite struct {
	Account, Key string
	Client       *http.Client // reaches it by whatever name
}

var listening = regexp.MustCompile(`listens on (https://\S+)`)

// AzureBlobs starts Azurite with a container.
func AzureBlobs(t testing.TB) *Azurite {
	t.Helper()
	node := need.Command(t, "node")
	folder := filepath.Join(servers(), "azurite")
	program := filepath.Join(folder, "node_modules", "azurite", "dist", "src", "blob", "main.js")
	need.NPM(t, folder, program)
	a := &Azurite{Account: "devcaches", Key: base64.StdEncoding.EncodeToString([]byte("a key that is known to this test alone"))}
	cert, key := certificate(t)
	cmd := exec.Command(node, program, "--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--oauth", "basic",
		"--cert", cert, "--key", key, "--skipApiVersionCheck", "--disableTelemetry")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+a.Account+":"+a.Key)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := ""
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			address = found[1]
		}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		t.Fatalf("Azurite listens at %q: %v", address, err)
	}
	go io.Copy(io.Discard, out) // ends with the process
	a.Client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if _, port, _ := net.SplitHostPort(to); port == "443" {
				to = u.Host
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
	}}
	a.makeContainer(t)
	return a
}

// Token is one that Azurite takes for an identity's.
func Token(t testing.TB) string {
	t.Helper()
	now := time.Now()
	const tenant = "11111111-2222-3333-4444-555555555555"
	claims, err := json.Marshal(map[string]any{
		"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/" + tenant + "/", "tid": tenant, "oid": "66666666-7777-8888-9999-000000000000",
		"nbf": now.Add(-time.Hour).Unix(), "iat": now.Add(-time.Hour).Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims) + "." + encode([]byte("unchecked"))
}

func (a *Azurite) makeContainer(t testing.TB) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, "https://"+a.Account+".blob.core.windows.net/"+Bucket+"?restype=container", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+Token(t))
	req.Header.Set("X-Ms-Version", "2021-08-06")
	resp, err := a.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("making a container: %s: %s", resp.Status, body)
	}
}

// certificate makes one for a server, and returns the files of it and of its key.
func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "azurite"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}
