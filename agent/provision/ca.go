package provision

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// authority is the store's CA and the agent's own certificate under it.
type authority struct {
	ca     *pair
	client *pair
}

// authority returns the CA and the client certificate of the store, making them once, whatever runs at the same time: the mutex
// holds for this process, the lock file for others. A CA that is there but unusable is an error, never replaced: machines that run
// trust it.
func (p *Provisioner) authority(ctx context.Context) (authority, error) {
	p.caMu.Lock()
	defer p.caMu.Unlock()
	now := time.Now()
	if a := p.auth; a.ca != nil && now.Before(a.ca.cert.NotAfter) && goodClient(a, now) {
		return a, nil
	}
	dir := p.store.certs()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return authority{}, err
	}
	release, err := lock(ctx, filepath.Join(dir, lockFile))
	if err != nil {
		return authority{}, err
	}
	defer release()

	a := authority{}
	if a.ca, err = loadOrMakeCA(dir, now); err != nil {
		return authority{}, err
	}
	if left := a.ca.cert.NotAfter.Sub(now); left < 90*24*time.Hour {
		p.log.Warn("the CA of the machines expires soon; machines made with it cannot be reached afterwards",
			"file", filepath.Join(dir, caFile), "expires", a.ca.cert.NotAfter)
	}
	if a.client, err = loadOrMakeClient(dir, a.ca, now); err != nil {
		return authority{}, err
	}
	p.auth = a
	return a, nil
}

func goodClient(a authority, now time.Time) bool {
	return goodLeaf(a.client.cert, a.ca.cert, x509.ExtKeyUsageClientAuth, nil, now)
}

// loadOrMakeCA is called under the lock. ca.pem is written last, so that a crash in between leaves no CA rather than half of one.
func loadOrMakeCA(dir string, now time.Time) (*pair, error) {
	certPath, keyPath := filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile)
	ca, err := loadPair(certPath, keyPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if ca, err = newPair(caTemplate(), nil, now, caValidity); err != nil {
			return nil, err
		}
		return ca, savePair(ca, certPath, keyPath)
	case err != nil:
		return nil, fmt.Errorf("CA of the machines: %w; restore it from a backup, or move %s away when no machine is left", err, dir)
	case !ca.cert.IsCA:
		return nil, fmt.Errorf("%s is not the certificate of a CA", certPath)
	case now.After(ca.cert.NotAfter):
		return nil, fmt.Errorf("%s expired on %s; move %s away when no machine is left", certPath, ca.cert.NotAfter.Format(time.DateOnly), dir)
	}
	return ca, nil
}

// loadOrMakeClient is called under the lock. A client certificate that does not serve any more is replaced: the CA decides, not it.
func loadOrMakeClient(dir string, ca *pair, now time.Time) (*pair, error) {
	certPath, keyPath := filepath.Join(dir, certFile), filepath.Join(dir, keyFile)
	client, err := loadPair(certPath, keyPath)
	if err == nil && goodClient(authority{ca, client}, now) {
		return client, nil
	}
	if client, err = newPair(clientTemplate(), ca, now, leafValidity); err != nil {
		return nil, err
	}
	return client, savePair(client, certPath, keyPath)
}

// savePair writes the key first: a certificate on disk always has its key.
func savePair(p *pair, certPath, keyPath string) error {
	if err := writeFile(keyPath, p.keyPEM, 0o600); err != nil {
		return err
	}
	return writeFile(certPath, p.certPEM, 0o644)
}

// machineCerts makes sure that the machine's folder holds a server certificate for its present address and copies of the CA and
// the client certificate, and returns what its engine needs.
func (p *Provisioner) machineCerts(ctx context.Context, m fleet.Machine, sans []string) (ca []byte, server *pair, err error) {
	auth, err := p.authority(ctx)
	if err != nil {
		return nil, nil, err
	}
	dir, err := p.store.makeMachine(m.Name)
	if err != nil {
		return nil, nil, err
	}
	hosts := append([]string{m.Instance.Address, "localhost", m.Name}, sans...)
	now := time.Now()
	certPath, keyPath := filepath.Join(dir, serverFile), filepath.Join(dir, serverKeyFile)
	server, err = loadPair(certPath, keyPath)
	if err != nil || !goodLeaf(server.cert, auth.ca.cert, x509.ExtKeyUsageServerAuth, hosts, now) {
		if server, err = newPair(serverTemplate(m.Name, hosts), auth.ca, now, leafValidity); err != nil {
			return nil, nil, err
		}
		if err = savePair(server, certPath, keyPath); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range []struct {
		name string
		data []byte
		perm fs.FileMode
	}{{keyFile, auth.client.keyPEM, 0o600}, {certFile, auth.client.certPEM, 0o644}, {caFile, auth.ca.certPEM, 0o644}} {
		path := filepath.Join(dir, f.name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, f.data) {
			continue
		}
		if err := writeFile(path, f.data, f.perm); err != nil {
			return nil, nil, err
		}
	}
	return auth.ca.certPEM, server, nil
}
