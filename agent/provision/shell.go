package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// Dial logs in to a machine for a person's commands, as Provision does: with its keys, and only where its host key is shown. It tries until
// Options.SSHTimeout. The caller closes what it returns.
func (p *Provisioner) Dial(ctx context.Context, m fleet.Machine) (*ssh.Client, error) {
	r := p.session(m)
	if err := r.reachable(); err != nil {
		return nil, err
	}
	if err := r.login(ctx); err != nil {
		return nil, fmt.Errorf("machine %s: ssh: %w", m.Name, err)
	}
	return r.conn.client, nil
}

// External is what OpenSSH's programs are told to reach a machine as we do.
type External struct {
	User       string
	Address    string
	Port       int
	KeyFile    string // "" leaves it to ssh
	KnownHosts string // a file that has the machine's host key, or that gets it at the first login
	Strict     bool   // the host key is known: no other is taken
}

// External returns how programs reach a machine. It writes the file of host keys where there is none.
func (p *Provisioner) External(m fleet.Machine) (External, error) {
	r := p.session(m)
	if err := r.reachable(); err != nil {
		return External{}, err
	}
	x := External{
		User: cmp.Or(m.Instance.SSHUser, p.opts.SSHUser), Address: m.Instance.Address, Port: cmp.Or(m.Instance.SSHPort, 22),
		KeyFile: r.access.KeyFile, KnownHosts: r.access.KnownHosts,
	}
	if r.foreign {
		return x, nil
	}
	_, host, err := p.sshKeys(m.Name)
	if err != nil {
		return External{}, fmt.Errorf("machine %s: keys of the machine: %w", m.Name, err)
	}
	dir := p.store.machine(m.Name)
	x.KeyFile, x.KnownHosts, x.Strict = filepath.Join(dir, userKeyFile), filepath.Join(dir, "known_hosts"), true
	at := net.JoinHostPort(x.Address, strconv.Itoa(x.Port))
	return x, writeFile(x.KnownHosts, []byte(knownhosts.Line([]string{knownhosts.Normalize(at)}, host)+"\n"), 0o600)
}

// session is the way to a machine outside of Provision.
func (p *Provisioner) session(m fleet.Machine) *run {
	r := &run{p: p, m: m, log: p.log.With("machine", m.Name), debug: p.debug.machine(m.Name)}
	r.access, r.foreign = p.loginOf(m)
	return r
}

func (r *run) reachable() error {
	switch {
	case r.access.Engine != "":
		return fmt.Errorf("machine %s: it is nothing but an engine; there is no SSH to it", r.m.Name)
	case r.m.Instance.Address == "":
		return fmt.Errorf("machine %s: its instance has no address", r.m.Name)
	}
	return nil
}

// Upgrade has the package manager of a machine bring its engine up to date, and restarts it. Provision it afterwards.
func (p *Provisioner) Upgrade(ctx context.Context, m fleet.Machine) error {
	return p.script(ctx, m, "upgrade")
}

// PowerOff switches a machine off from inside, for drivers that can't; Reboot restarts it.
func (p *Provisioner) PowerOff(ctx context.Context, m fleet.Machine) error {
	return p.script(ctx, m, "poweroff")
}

// Reboot restarts a machine from inside.
func (p *Provisioner) Reboot(ctx context.Context, m fleet.Machine) error {
	return p.script(ctx, m, "reboot")
}

func (p *Provisioner) script(ctx context.Context, m fleet.Machine, name string) error {
	r := p.session(m)
	err := r.reachable()
	if err == nil {
		err = r.login(ctx)
	}
	if err != nil {
		return err
	}
	defer r.conn.Close()
	if _, err := r.conn.run(ctx, script{name: name}); err != nil {
		return fmt.Errorf("machine %s: %w", m.Name, err)
	}
	return nil
}

// Renew forgets the server certificate of a machine, and with client the client certificate of the store too: the next Provision makes new
// ones, and restarts the engine with them. Other machines of the CA go on to be reached with the new client certificate.
func (p *Provisioner) Renew(ctx context.Context, name string, client bool) error {
	files := []string{filepath.Join(p.store.machine(name), serverFile), filepath.Join(p.store.machine(name), serverKeyFile)}
	if client {
		release, err := lock(ctx, filepath.Join(p.store.certs(), lockFile))
		if err != nil {
			return err
		}
		defer release()
		p.caMu.Lock()
		p.auth = authority{}
		p.caMu.Unlock()
		files = append(files, filepath.Join(p.store.certs(), certFile), filepath.Join(p.store.certs(), keyFile))
	}
	for _, path := range files {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
