package dockermachine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
)

// CertFiles are the files of --tls-ca-cert and its like; "" leaves the store's own.
type CertFiles struct{ CACert, CAKey, ClientCert, ClientKey string }

// takeCerts puts the files that were named into the store, which makes its own otherwise. Other ones than those that are there are refused:
// machines trust these.
func (c *Machines) takeCerts() error {
	dir := filepath.Join(c.o.Store.Root(), "certs")
	for _, f := range []struct{ flag, from, to string }{ // certificates last: one on disk always has its key
		{"tls-ca-key", c.o.Certs.CAKey, "ca-key.pem"}, {"tls-ca-cert", c.o.Certs.CACert, "ca.pem"},
		{"tls-client-key", c.o.Certs.ClientKey, "key.pem"}, {"tls-client-cert", c.o.Certs.ClientCert, "cert.pem"},
	} {
		to := filepath.Join(dir, f.to)
		if f.from == "" || filepath.Clean(f.from) == to {
			continue
		}
		data, err := os.ReadFile(f.from)
		if err != nil {
			return fmt.Errorf("--%s: %w", f.flag, err)
		}
		there, err := os.ReadFile(to)
		switch {
		case err == nil && !bytes.Equal(there, data):
			return fmt.Errorf("--%s: %s is another one, which the store's machines trust; use a store of its own (--storage-path)", f.flag, to)
		case err == nil:
			continue
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Provision provisions machines again: what is as it should be stays.
func (c *Machines) Provision(ctx context.Context, names []string) error {
	return c.reprovision(ctx, names, "Waiting for SSH to be available...", func(*provision.Provisioner, journal.Entry) error { return nil })
}

// Renewal says which certificates are made anew.
type Renewal struct {
	Yes    bool // ask nobody
	Client bool // the client's too
}

// RegenerateCerts makes new certificates for machines, and restarts their engines with them.
func (c *Machines) RegenerateCerts(ctx context.Context, names []string, r Renewal) error {
	names, err := c.named(names)
	if err != nil {
		return err
	}
	if !r.Yes {
		fmt.Fprint(c.o.Out, "Regenerate TLS machine certs?  Warning: this is irreversible. ")
		if !c.sure() {
			return &ExitError{1, errors.New("nothing was changed")}
		}
	}
	client := r.Client
	return c.reprovision(ctx, names, "Regenerating TLS certificates", func(p *provision.Provisioner, e journal.Entry) error {
		return p.Renew(ctx, e.Machine.Name, client)
	})
}

// Upgrade brings the engines of machines up to date.
func (c *Machines) Upgrade(ctx context.Context, names []string) error {
	return c.reprovision(ctx, names, "Upgrading docker...", func(p *provision.Provisioner, e journal.Entry) error {
		return p.Upgrade(ctx, e.Machine)
	})
}

// reprovision does something with machines and provisions them then.
func (c *Machines) reprovision(ctx context.Context, names []string, words string, first func(*provision.Provisioner, journal.Entry) error) error {
	names, err := c.named(names)
	if err != nil {
		return err
	}
	c.say("%s", words)
	return each(names, func(name string) error {
		return c.change(ctx, name, func(e *journal.Entry) error {
			if isNone(*e) {
				return fmt.Errorf("machine %s: it is nothing but the URL of an engine", name)
			}
			if s := c.now(ctx, e); s.state == stateStopped {
				if err := c.power(ctx, "start", e); err != nil {
					return fmt.Errorf("machine %s: start: %w", name, err)
				}
				if err := c.until(ctx, e, operations["start"].reached, false); err != nil {
					return err
				}
			}
			return c.withProvisioner(*e, func(p *provision.Provisioner) error {
				if err := first(p, *e); err != nil {
					return err
				}
				return c.provisioned(ctx, quiet{}, p, e)
			})
		})
	})
}

// quiet tells nothing.
type quiet struct{}

func (quiet) Phase(string) {}
func (quiet) End(error)    {}
