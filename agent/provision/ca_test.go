package provision

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// hammer makes the certificates of n machines at once, with a provisioner of its own.
func hammer(dir, prefix string, n int) error {
	p, err := New(Options{StoreDir: dir})
	if err != nil {
		return err
	}
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			m := machineAt(fmt.Sprintf("%s%d", prefix, i), "10.0.0.1", nil)
			_, _, err := p.machineCerts(context.Background(), m, nil)
			return err
		})
	}
	return g.Wait()
}

// Two further processes and a hundred goroutines meet in an empty store. docker-machine ends up with certificates of several CAs here.
func TestOneCAHammer(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), hammerEnv+"="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("second process: %v\n%s", err, out)
			}
		})
	}
	for i := range 2 { // two provisioners, as two agents in one process would be
		wg.Go(func() {
			if err := hammer(dir, fmt.Sprintf("here%d-", i), 50); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	s := store{dir}
	ca, err := loadPair(filepath.Join(s.certs(), caFile), filepath.Join(s.certs(), caKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	client, err := loadPair(filepath.Join(s.certs(), certFile), filepath.Join(s.certs(), keyFile))
	if err != nil {
		t.Fatal(err)
	}
	machines, err := os.ReadDir(filepath.Join(dir, "machines"))
	if err != nil {
		t.Fatal(err)
	}
	if len(machines) != 200 {
		t.Errorf("%d machines, want 200", len(machines))
	}
	for _, m := range machines {
		checkMachineCerts(t, s.machine(m.Name()), ca, client)
	}
	checkModes(t, dir)
}

func checkMachineCerts(t *testing.T, dir string, ca, client *pair) {
	t.Helper()
	for _, f := range []struct {
		name string
		want []byte
	}{{caFile, ca.certPEM}, {certFile, client.certPEM}, {keyFile, client.keyPEM}} {
		if got, err := os.ReadFile(filepath.Join(dir, f.name)); err != nil || !bytes.Equal(got, f.want) {
			t.Errorf("%s/%s is not the store's (%v)", dir, f.name, err)
		}
	}
	server, err := loadPair(filepath.Join(dir, serverFile), filepath.Join(dir, serverKeyFile))
	if err != nil {
		t.Error(err)
		return
	}
	hosts := []string{"10.0.0.1", "localhost", filepath.Base(dir)}
	if !goodLeaf(server.cert, ca.cert, x509.ExtKeyUsageServerAuth, hosts, time.Now()) {
		t.Errorf("%s: server certificate does not verify", dir)
	}
	if !goodLeaf(client.cert, ca.cert, x509.ExtKeyUsageClientAuth, nil, time.Now()) {
		t.Errorf("client certificate does not verify")
	}
}

func TestServerCertificateFollowsAddress(t *testing.T) {
	p := newTest(t, Options{})
	ctx := context.Background()
	m := machineAt("ci-1", "10.0.0.7", nil)
	certs := func(m fleet.Machine, sans ...string) *x509.Certificate {
		t.Helper()
		_, server, err := p.machineCerts(ctx, m, sans)
		if err != nil {
			t.Fatal(err)
		}
		return server.cert
	}
	first := certs(m, "docker.example.com", "192.168.3.4")
	if again := certs(m, "docker.example.com"); !again.Equal(first) {
		t.Error("the same address got another certificate")
	}
	for _, h := range []string{"10.0.0.7", "localhost", "ci-1", "docker.example.com", "192.168.3.4"} {
		if err := first.VerifyHostname(h); err != nil {
			t.Error(err)
		}
	}
	m.Instance.Address = "2001:db8::7"
	moved := certs(m)
	if moved.Equal(first) || moved.VerifyHostname("2001:db8::7") != nil {
		t.Error("a new address did not get a certificate of its own")
	}
	if d := time.Until(first.NotAfter); d < leafValidity-time.Hour || d > leafValidity {
		t.Errorf("holds for %v", d)
	}
	if d := time.Since(first.NotBefore); d < skew || d > skew+time.Minute {
		t.Errorf("starts %v ago, want 5m", d)
	}
}

func TestAuthorityOnDisk(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, certs string)
		want  string // of the error; "" when all is well afterwards
		keeps bool   // the CA
	}{
		{name: "as it was", spoil: func(*testing.T, string) {}, keeps: true},
		{name: "client pair lost", keeps: true, spoil: func(t *testing.T, certs string) { os.Remove(filepath.Join(certs, certFile)) }},
		{name: "client of another CA", keeps: true, spoil: func(t *testing.T, certs string) {
			ca, _ := newPair(caTemplate(), nil, time.Now(), caValidity)
			client, _ := newPair(clientTemplate(), ca, time.Now(), leafValidity)
			savePair(client, filepath.Join(certs, certFile), filepath.Join(certs, keyFile))
		}},
		{name: "client near its end", keeps: true, spoil: func(t *testing.T, certs string) {
			ca, _ := loadPair(filepath.Join(certs, caFile), filepath.Join(certs, caKeyFile))
			client, _ := newPair(clientTemplate(), ca, time.Now(), time.Hour)
			savePair(client, filepath.Join(certs, certFile), filepath.Join(certs, keyFile))
		}},
		{name: "crash before the certificate", spoil: func(t *testing.T, certs string) { os.Remove(filepath.Join(certs, caFile)) }},
		{name: "key lost", want: "ca.pem has no key", spoil: func(t *testing.T, certs string) { os.Remove(filepath.Join(certs, caKeyFile)) }},
		{name: "key of another", want: "do not belong together", spoil: func(t *testing.T, certs string) {
			ca, _ := newPair(caTemplate(), nil, time.Now(), caValidity)
			os.WriteFile(filepath.Join(certs, caKeyFile), ca.keyPEM, 0o600)
		}},
		{name: "junk", want: "no PEM block", spoil: func(t *testing.T, certs string) {
			os.WriteFile(filepath.Join(certs, caFile), []byte("junk"), 0o600)
		}},
		{name: "expired", spoil: func(t *testing.T, certs string) {
			ca, _ := newPair(caTemplate(), nil, time.Now().Add(-2*time.Hour), time.Hour)
			savePair(ca, filepath.Join(certs, caFile), filepath.Join(certs, caKeyFile))
		}},
		{name: "near its end", spoil: func(t *testing.T, certs string) {
			ca, _ := newPair(caTemplate(), nil, time.Now(), rotateBefore-time.Hour)
			savePair(ca, filepath.Join(certs, caFile), filepath.Join(certs, caKeyFile))
		}},
		{name: "crash in mid-rotation", spoil: func(t *testing.T, certs string) {
			next := filepath.Join(certs, nextDir)
			os.MkdirAll(next, 0o700)
			ca, _ := newPair(caTemplate(), nil, time.Now(), caValidity)
			savePair(ca, filepath.Join(next, caFile), filepath.Join(next, caKeyFile))
			os.WriteFile(filepath.Join(certs, caKeyFile), ca.keyPEM, 0o600) // and the old certificate
		}},
		{name: "crash before a rotation", keeps: true, spoil: func(t *testing.T, certs string) {
			ca, _ := newPair(caTemplate(), nil, time.Now(), caValidity)
			os.MkdirAll(filepath.Join(certs, nextDir), 0o700)
			os.WriteFile(filepath.Join(certs, nextDir, caKeyFile), ca.keyPEM, 0o600) // without its certificate
		}},
		{name: "no CA", want: "not the certificate of a CA", spoil: func(t *testing.T, certs string) {
			leaf, _ := newPair(clientTemplate(), nil, time.Now(), time.Hour)
			savePair(leaf, filepath.Join(certs, caFile), filepath.Join(certs, caKeyFile))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newTest(t, Options{})
			before, err := p.authority(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, p.store.certs())
			after, err := newTest(t, Options{StoreDir: p.store.root}).authority(context.Background())
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("err = %v, want %q in it", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if after.ca.cert.Equal(before.ca.cert) != tt.keeps {
				t.Errorf("the same CA: %t, want %t", !tt.keeps, tt.keeps)
			}
			if !goodClient(after, time.Now()) {
				t.Error("the client certificate does not verify")
			}
		})
	}
}

// docker-machine's CAs are RSA with a PKCS#1 key.
func TestAuthorityOfDockerMachine(t *testing.T) {
	p := newTest(t, Options{})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := caTemplate()
	template.NotAfter = time.Now().Add(1080 * 24 * time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca := &pair{
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	}
	os.MkdirAll(p.store.certs(), 0o700)
	if err := savePair(ca, filepath.Join(p.store.certs(), caFile), filepath.Join(p.store.certs(), caKeyFile)); err != nil {
		t.Fatal(err)
	}
	got, _, err := p.machineCerts(context.Background(), machineAt("ci-1", "10.0.0.1", nil), nil)
	if err != nil || !bytes.Equal(got, ca.certPEM) {
		t.Errorf("err = %v, the same CA: %t", err, bytes.Equal(got, ca.certPEM))
	}
}

func TestLockIsCancellable(t *testing.T) {
	p := newTest(t, Options{})
	os.MkdirAll(p.store.certs(), 0o700)
	release, err := lock(context.Background(), filepath.Join(p.store.certs(), lockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.authority(ctx); err == nil {
		t.Error("went past somebody else's lock")
	}
}
