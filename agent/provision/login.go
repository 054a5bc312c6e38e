package provision

import (
	"cmp"
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

// Login is how a machine is reached that was not made with the keys of Bootstrap: one that a docker-machine plug-in made, or a host that was
// there before.
type Login struct {
	KeyFile string // the private key; "" tries the user's own in ~/.ssh
	// KnownHosts is a file of host keys in OpenSSH's form. A host that it does not name is trusted at the first login and noted there; from
	// then on no other key is.
	KnownHosts string
	EnginePort int  // where the engine is to listen; 0 means 2376
	Borrowed   bool // the host stays when the machine goes: it is not switched off, and keeps its name
	Rename     bool // a host that is borrowed gets the machine's name all the same
	// Engine is a folder with ca.pem, cert.pem and key.pem for a machine that is nothing but an engine; "" for one with SSH.
	Engine string
}

// loginOf returns how the machine is logged in to, when it is not by its own keys.
func (p *Provisioner) loginOf(m fleet.Machine) (Login, bool) {
	if p.opts.Login == nil {
		return Login{}, false
	}
	return p.opts.Login(m)
}

// sshConfig is what it takes to log in: keys, and what the host may show.
func (r *run) sshConfig(addr, user string) (*ssh.ClientConfig, error) {
	if r.foreign {
		return foreignConfig(r.access, addr, user, note)
	}
	signer, host, err := r.p.sshKeys(r.m.Name)
	if err != nil {
		return nil, fmt.Errorf("keys of the machine: %w", err)
	}
	return &ssh.ClientConfig{
		User:              user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyAlgorithms: []string{host.Type()},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if string(key.Marshal()) != string(host.Marshal()) {
				return fmt.Errorf("%w (it shows %s)", ErrHostKey, ssh.FingerprintSHA256(key))
			}
			return nil
		},
	}, nil
}

// ownKeys are the user's, in the order in which ssh tries them.
var ownKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa"}

// foreignConfig logs in by l. remember is told the key of a host that its file does not name.
func foreignConfig(l Login, addr, user string, remember func(path, host string, key ssh.PublicKey) error) (*ssh.ClientConfig, error) {
	files := []string{l.KeyFile}
	if l.KeyFile == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		files = nil
		for _, name := range ownKeys {
			if path := filepath.Join(home, ".ssh", name); exists(path) {
				files = append(files, path)
			}
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("no SSH key was named, and %s has none", filepath.Join(home, ".ssh"))
		}
	}
	var signers []ssh.Signer
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("SSH key: %w", err)
		}
		signer, err := ssh.ParsePrivateKey(data)
		if err != nil {
			return nil, fmt.Errorf("SSH key %s: %w; one with a passphrase can't be used", path, err)
		}
		signers = append(signers, signer)
	}
	check, err := knownHosts(l.KnownHosts)
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)}, HostKeyAlgorithms: knownTypes(check, addr),
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			err := check(host, remote, key)
			var mismatch *knownhosts.KeyError
			switch {
			case err == nil:
				return nil
			case errors.As(err, &mismatch) && len(mismatch.Want) == 0:
				return remember(l.KnownHosts, host, key)
			}
			return fmt.Errorf("%w (it shows %s, and %s knows another one)", ErrHostKey, ssh.FingerprintSHA256(key), l.KnownHosts)
		},
	}, nil
}

// knownHosts reads the file of host keys, which may not be there yet.
func knownHosts(path string) (ssh.HostKeyCallback, error) {
	if !exists(path) {
		return knownhosts.New()
	}
	return knownhosts.New(path)
}

// knownTypes are the types of the keys that a host is known by, so that it shows one of those; nil when it is not known.
func knownTypes(check ssh.HostKeyCallback, addr string) (types []string) {
	var mismatch *knownhosts.KeyError
	if errors.As(check(addr, &net.TCPAddr{IP: net.IPv4zero}, noKey{}), &mismatch) {
		for _, k := range mismatch.Want {
			types = append(types, algorithms(k.Key.Type())...)
		}
	}
	return types
}

// algorithms are those that a host with a key of that type may sign with.
func algorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// noKey is a key that no host has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// note writes down which key a host showed at the first login.
func note(path, host string, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(knownhosts.Line([]string{knownhosts.Normalize(host)}, key) + "\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// adopt takes an engine as it is: its certificates are put where those of machines are, and it must answer.
func (r *run) adopt() error {
	dir, err := r.p.store.makeMachine(r.m.Name)
	if err != nil {
		return err
	}
	for _, name := range []string{caFile, certFile, keyFile} {
		data, err := os.ReadFile(filepath.Join(r.access.Engine, name))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w; the folder must hold %s, %s and %s, for an engine that is spoken to over TLS", err, caFile, certFile, keyFile)
		}
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	r.p.engines.forget(r.p.Endpoint(r.m))
	return nil
}

// enginePort is where the engine listens on its machine.
func (r *run) enginePort() string { return strconv.Itoa(cmp.Or(r.access.EnginePort, 2376)) }
