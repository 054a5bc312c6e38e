package provision

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/fleet"
)

const (
	checkTimeout = 3 * time.Second
	keepUnused   = 10 * time.Minute // clients of machines that nobody asked for this long are closed
)

// managedLabel marks what jobs make on an engine, in GitLab Runner's words.
const managedLabel = "com.gitlab.gitlab-runner.managed=true"

// engines keeps one client, so one connection, per endpoint. Its zero value is ready.
type engines struct {
	mu      sync.Mutex // guards clients
	clients map[fleet.Endpoint]*kept
}

type kept struct {
	client *client.Client
	used   time.Time
}

// get returns the client of an endpoint. It speaks to nobody yet.
func (e *engines) get(at fleet.Endpoint) (*client.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if k := e.clients[at]; k != nil {
		k.used = now
		return k.client, nil
	}
	for other, k := range e.clients {
		if now.Sub(k.used) > keepUnused {
			k.client.Close()
			delete(e.clients, other)
		}
	}
	c, err := newClient(at)
	if err != nil {
		return nil, err
	}
	if e.clients == nil {
		e.clients = map[fleet.Endpoint]*kept{}
	}
	e.clients[at] = &kept{client: c, used: now}
	return c, nil
}

// forget closes the client of an endpoint, so that the next one reads the certificates anew.
func (e *engines) forget(at fleet.Endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if k := e.clients[at]; k != nil {
		k.client.Close()
		delete(e.clients, at)
	}
}

func (e *engines) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for at, k := range e.clients {
		k.client.Close()
		delete(e.clients, at)
	}
}

// newClient makes a client that trusts the endpoint's CA alone, whatever the environment says.
func newClient(at fleet.Endpoint) (*client.Client, error) {
	pool := x509.NewCertPool()
	path := filepath.Join(at.CertPath, caFile)
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", path)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(at.CertPath, certFile), filepath.Join(at.CertPath, keyFile))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{cert}},
		DialContext:         (&net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: handshakeTimeout,
		IdleConnTimeout:     5 * time.Minute,
		MaxIdleConns:        2,
	}
	return client.NewClientWithOpts(
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithHost(at.Host), client.WithScheme("https"), client.WithAPIVersionNegotiation())
}

// Check asks m's engine for a sign of life and waits 3 seconds at most; nil means that it answered over TLS, as our machine. It is
// cheap: the connection is kept.
func (p *Provisioner) Check(ctx context.Context, m fleet.Machine) error {
	at := p.Endpoint(m)
	engine, err := p.engines.get(at)
	if err == nil {
		err = ping(ctx, engine, checkTimeout)
	}
	if err != nil {
		p.engines.forget(at)
		return fmt.Errorf("machine %s: engine at %s: %w", m.Name, at.Host, err)
	}
	return nil
}

// Clean takes away what jobs left on m's engine: their containers and networks. Volumes stay, for they hold caches. Use it before
// an adopted machine, whose last job nobody resumes, serves again.
func (p *Provisioner) Clean(ctx context.Context, m fleet.Machine) error {
	at := p.Endpoint(m)
	engine, err := p.engines.get(at)
	if err == nil {
		err = clean(ctx, engine)
	}
	if err != nil {
		return fmt.Errorf("machine %s: clean %s: %w", m.Name, at.Host, err)
	}
	return nil
}

func clean(ctx context.Context, engine *client.Client) error {
	only := filters.NewArgs(filters.Arg("label", managedLabel))
	containers, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: only})
	if err != nil {
		return err
	}
	for _, c := range containers {
		err := engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !client.IsErrNotFound(err) {
			return fmt.Errorf("container %.12s: %w", c.ID, err)
		}
	}
	_, err = engine.NetworksPrune(ctx, only)
	return err
}

// Close ends all kept connections. The provisioner may be used again.
func (p *Provisioner) Close() error {
	p.engines.close()
	return nil
}
