package provision

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// runningEngine serves as the engine of m does, with the certificates that the store has for m now and for as long as it runs, and returns m.
func runningEngine(t *testing.T, p *Provisioner, name string) fleet.Machine {
	t.Helper()
	m := machineAt(name, "127.0.0.1", nil)
	ca, server, err := p.machineCerts(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.X509KeyPair(server.certPEM, server.keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	s.StartTLS()
	t.Cleanup(s.Close)
	m.Instance.EnginePort = s.Listener.Addr().(*net.TCPAddr).Port
	return m
}

// TestRotation has machines that run while the CA is replaced, since it nears its end.
func TestRotation(t *testing.T) {
	p := newTest(t, Options{})
	made := time.Now().Add(-caValidity + rotateBefore) // so that it has a year left
	clock := made
	p.now = func() time.Time { return clock }
	if _, err := p.authority(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock = time.Now().Add(-time.Hour)
	older := runningEngine(t, p, "older")
	reach := func(m fleet.Machine) {
		t.Helper()
		if err := p.Check(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
	reach(older)
	trusted := func(m fleet.Machine) []byte {
		t.Helper()
		return readFile(t, filepath.Join(p.store.machine(m.Name), caFile))
	}
	first := trusted(older)

	clock = time.Now().Add(time.Minute) // and now less than a year
	newer := runningEngine(t, p, "newer")
	if bytes.Equal(first, trusted(newer)) {
		t.Fatal("the CA is still the first one")
	}
	for range 2 {
		reach(older)
		reach(newer)
		p.engines.close() // as a new agent begins
	}
	// A CA vouches for its own machines only.
	mixed := p.Endpoint(older)
	mixed.CertPath = p.Endpoint(newer).CertPath
	if err := p.engines.get(mixed).ping(t.Context(), mixed); err == nil {
		t.Error("the old machine took the new CA's word")
	}
	p.engines.forget(mixed)

	old, err := filepath.Glob(filepath.Join(p.store.certs(), "until-*", caFile))
	if err != nil || len(old) != 1 || !bytes.Equal(readFile(t, old[0]), first) {
		t.Errorf("the first CA is not kept: %v, %v", old, err)
	}
	if exists(filepath.Join(p.store.certs(), nextDir)) {
		t.Error("the folder of the change is left")
	}
	again, err := newTest(t, Options{StoreDir: p.store.root}).authority(context.Background())
	if err != nil || !bytes.Equal(again.ca.certPEM, trusted(newer)) {
		t.Errorf("the next agent has another CA: %v", err)
	}
	checkModes(t, p.store.root)
	if client, err := loadPair(filepath.Join(p.store.machine("older"), certFile), filepath.Join(p.store.machine("older"), keyFile)); err != nil || client.cert.NotAfter.Before(time.Now().Add(rotateBefore-48*time.Hour)) {
		t.Errorf("the old machine can be reached until %v, %v", client.cert.NotAfter, err)
	}
}

// TestAddressServesAnother has a machine that is gone, and another of ours at its address: its engine is not taken for the one that was there.
func TestAddressServesAnother(t *testing.T) {
	p := newTest(t, Options{})
	gone := machineAt("gone", "127.0.0.1", nil)
	if _, _, err := p.machineCerts(t.Context(), gone, nil); err != nil {
		t.Fatal(err)
	}
	next := runningEngine(t, p, "next")
	gone.Instance.EnginePort = next.Instance.EnginePort
	if err := p.Check(t.Context(), next); err != nil {
		t.Error(err)
	}
	if err := p.Check(t.Context(), gone); err == nil || !strings.Contains(err.Error(), "not gone") {
		t.Errorf("the other's engine serves as its own: %v", err)
	}
}
