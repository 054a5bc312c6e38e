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

	"github.com/millwright-ci/millwright/agent/enginetls"
	"github.com/millwright-ci/millwright/agent/fleet"
)

// authority is the store's CA and the agent's own certificate under it.
type authority struct {
	ca     *pair
	client *pair
}

// authority returns the CA and the client certificate of the store, making them once, whatever runs at the same time: the mutex
// holds for this process, the lock file for others. A CA that is there but unusable is an error, never replaced: machines that run
// trust it. One that nears its end gives way to a new one; the machines that it made go on with their copies.
func (p *Provisioner) authority(ctx context.Context) (authority, error) {
	p.caMu.Lock()
	defer p.caMu.Unlock()
	now := p.now()
	if a := p.auth; a.ca != nil && !ending(a.ca, now) && goodClient(a, now) {
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
	if a.ca, err = p.currentCA(dir, now); err != nil {
		return authority{}, err
	}
	if a.client, err = loadOrMakeClient(dir, a.ca, now); err != nil {
		return authority{}, err
	}
	p.auth = a
	return a, nil
}

// currentCA is called under the lock.
func (p *Provisioner) currentCA(dir string, now time.Time) (*pair, error) {
	if err := finishRotation(dir); err != nil {
		return nil, err
	}
	ca, err := loadOrMakeCA(dir, now)
	if err != nil || !ending(ca, now) {
		return ca, err
	}
	kept, err := rotateCA(dir, ca, now)
	if err != nil {
		return nil, fmt.Errorf("CA of the machines: replace the one that ends on %s: %w", ca.cert.NotAfter.Format(time.DateOnly), err)
	}
	if now.After(ca.cert.NotAfter) {
		p.log.Error("the CA of the machines has expired and is replaced; machines made with it can't be reached any more", "expired", ca.cert.NotAfter, "kept_in", kept)
	} else {
		p.log.Info("the CA of the machines nears its end and is replaced; machines made with it stay reachable until then", "expires", ca.cert.NotAfter, "kept_in", kept)
	}
	return loadOrMakeCA(dir, now)
}

func ending(ca *pair, now time.Time) bool { return ca.cert.NotAfter.Sub(now) < rotateBefore }

// nextDir holds a CA that is complete and about to take the place of the present one.
const nextDir = "next"

// rotateCA puts a new CA in the place of old, which it keeps in a folder of its own and returns that. A crash at any point leaves either of
// them: the new one counts from when it is complete in nextDir.
func rotateCA(dir string, old *pair, now time.Time) (kept string, err error) {
	kept = filepath.Join(dir, "until-"+old.cert.NotAfter.UTC().Format(time.DateOnly))
	ca, err := newPair(caTemplate(), nil, now, caValidity)
	if err != nil {
		return "", err
	}
	for _, s := range []struct {
		folder string
		pair   *pair
	}{{kept, old}, {filepath.Join(dir, nextDir), ca}} {
		if err := os.MkdirAll(s.folder, 0o700); err != nil {
			return "", err
		}
		if err := savePair(s.pair, filepath.Join(s.folder, caFile), filepath.Join(s.folder, caKeyFile)); err != nil {
			return "", err
		}
	}
	return kept, finishRotation(dir)
}

// finishRotation puts the CA of nextDir into its place, if there is one that is complete.
func finishRotation(dir string) error {
	next := filepath.Join(dir, nextDir)
	if !exists(next) {
		return nil
	}
	ca, err := loadPair(filepath.Join(next, caFile), filepath.Join(next, caKeyFile))
	if err == nil {
		err = savePair(ca, filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(next)
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
	if client, err = newPair(clientTemplate(), ca, now, caValidity); err != nil {
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
// the client certificate, and returns what its engine needs. From then on clients go by the machine's name, which is in the certificate as well:
// when the machine is gone, the next one may have its address.
func (p *Provisioner) machineCerts(ctx context.Context, m fleet.Machine, sans []string) (ca []byte, server *pair, err error) {
	auth, err := p.authority(ctx)
	if err != nil {
		return nil, nil, err
	}
	dir, err := p.store.makeMachine(m.Name)
	if err != nil {
		return nil, nil, err
	}
	hosts := append([]string{"localhost", m.Name}, sans...)
	if m.Instance.Address != "" {
		hosts = append(hosts, m.Instance.Address)
	}
	now := p.now()
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
	}{
		{keyFile, auth.client.keyPEM, 0o600}, {certFile, auth.client.certPEM, 0o644}, {caFile, auth.ca.certPEM, 0o644},
		{enginetls.NameFile, []byte(m.Name + "\n"), 0o600}, // last: before, the machine goes by its address
	} {
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
