package provision

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/millwright-ci/millwright/agent/enginetls"
	"github.com/millwright-ci/millwright/agent/fleet"
)

const (
	checkTimeout = 3 * time.Second
	keepAlive    = 15 * time.Second
	keepUnused   = 2 * time.Minute // lines to machines that nobody asked for this long are closed: those of machines with a job, mostly
)

// managedLabel marks what jobs make on an engine, in GitLab Runner's words.
const managedLabel = "com.gitlab.gitlab-runner.managed=true"

// engines keeps one connection per endpoint. Its zero value is ready.
type engines struct {
	mu    sync.Mutex // guards what follows
	lines map[fleet.Endpoint]*line
	swept time.Time // when unused ones were last looked for
}

// get returns the line to an endpoint. It speaks to nobody yet.
func (e *engines) get(at fleet.Endpoint) *line {
	now := time.Now()
	for _, l := range e.unused(now) {
		l.end()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.lines[at]
	if l == nil {
		l = &line{}
		if e.lines == nil {
			e.lines = map[fleet.Endpoint]*line{}
		}
		e.lines[at] = l
	}
	l.used = now
	return l
}

// unused takes the lines out that nobody asked for lately. It looks now and then.
func (e *engines) unused(now time.Time) (list []*line) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.swept) < keepUnused/4 {
		return nil
	}
	e.swept = now
	for at, l := range e.lines {
		if now.Sub(l.used) > keepUnused {
			list = append(list, l)
			delete(e.lines, at)
		}
	}
	return list
}

// forget closes the line to an endpoint, so that the next one reads the certificates anew.
func (e *engines) forget(at fleet.Endpoint) {
	e.mu.Lock()
	l := e.lines[at]
	delete(e.lines, at)
	e.mu.Unlock()
	if l != nil {
		l.end()
	}
}

func (e *engines) close() {
	e.mu.Lock()
	lines := e.lines
	e.lines = nil
	e.mu.Unlock()
	for _, l := range lines {
		l.end()
	}
}

// newClient makes a client that trusts the endpoint's CA alone, whatever the environment says. It is for a few calls: close it.
func newClient(at fleet.Endpoint) (*client.Client, error) {
	config, err := enginetls.Config(at.CertPath)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:     config,
		TLSHandshakeTimeout: handshakeTimeout,
		IdleConnTimeout:     30 * time.Second,
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
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := p.engines.get(at).ping(ctx, at); err != nil {
		p.engines.forget(at)
		return fmt.Errorf("machine %s: engine at %s: %w", m.Name, at.Host, err)
	}
	return nil
}

// Clean takes away what jobs left on m's engine: their containers and networks. Volumes stay, for they hold caches. Use it before
// an adopted machine, whose last job nobody resumes, serves again.
func (p *Provisioner) Clean(ctx context.Context, m fleet.Machine) error {
	at := p.Endpoint(m)
	engine, err := newClient(at)
	if err == nil {
		defer engine.Close()
		err = clean(ctx, engine)
	}
	if err != nil {
		return fmt.Errorf("machine %s: clean %s: %w", m.Name, at.Host, err)
	}
	return nil
}

// Release takes away what jobs left on a host that others get after this machine: containers, networks and volumes with the caches. A machine
// whose engine was never set up has nothing.
func (p *Provisioner) Release(ctx context.Context, m fleet.Machine) error {
	if dir := p.store.machine(m.Name); !exists(filepath.Join(dir, certFile)) {
		return nil
	}
	at := p.Endpoint(m)
	engine, err := newClient(at)
	if err == nil {
		defer engine.Close()
		if err = clean(ctx, engine); err == nil {
			err = cleanVolumes(ctx, engine)
		}
	}
	if err != nil {
		return fmt.Errorf("clean %s: %w", at.Host, err)
	}
	return nil
}

func cleanVolumes(ctx context.Context, engine *client.Client) error {
	list, err := engine.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", managedLabel))})
	if err != nil {
		return err
	}
	for _, v := range list.Volumes {
		if err := engine.VolumeRemove(ctx, v.Name, true); err != nil && !client.IsErrNotFound(err) {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return nil
}

// CleanEngine is Clean for an engine that is reached another way than its machine's endpoint.
func CleanEngine(ctx context.Context, engine *client.Client) error { return clean(ctx, engine) }

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

// Close ends all kept connections and what is still being pulled. The provisioner may be used again.
func (p *Provisioner) Close() error {
	p.pulls.end()
	p.engines.close()
	return nil
}
