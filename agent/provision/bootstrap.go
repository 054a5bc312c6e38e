package provision

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// Bootstrap returns what the driver gives the new machine: the key that logs us in and the machine's own host key, both Ed25519.
// They are made and on disk before it returns, so that a machine that exists can always be reached. Called again, also at the same
// time and by another process, it returns the same keys.
func (p *Provisioner) Bootstrap(ctx context.Context, name string) (abi.Bootstrap, error) {
	if err := ctx.Err(); err != nil {
		return abi.Bootstrap{}, err
	}
	dir, err := p.store.makeMachine(name)
	if err != nil {
		return abi.Bootstrap{}, fmt.Errorf("bootstrap: %w", err)
	}
	user, err := keyPair(filepath.Join(dir, userKeyFile), "millwright")
	if err != nil {
		return abi.Bootstrap{}, fmt.Errorf("machine %s: user key: %w", name, err)
	}
	host, err := keyPair(filepath.Join(dir, hostKeyFile), name)
	if err != nil {
		return abi.Bootstrap{}, fmt.Errorf("machine %s: host key: %w", name, err)
	}
	return abi.Bootstrap{
		SSHUser:        p.opts.SSHUser,
		AuthorizedKey:  user.public,
		HostKeyPrivate: string(host.private),
		HostKeyPublic:  host.public,
	}, nil
}

// sshKey is a key pair as files hold it.
type sshKey struct {
	private []byte // OpenSSH PEM
	public  string // one line, without its end
}

// keyPair loads the pair at path and path.pub, or makes it. The private file decides; the public one follows from it.
func keyPair(path, comment string) (sshKey, error) {
	private, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		private, err = makeKey(path, comment)
	}
	if err != nil {
		return sshKey{}, err
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return sshKey{}, fmt.Errorf("%s: %w", path, err)
	}
	k := sshKey{private: private, public: publicLine(signer.PublicKey(), comment)}
	if old, err := os.ReadFile(path + pubSuffix); err == nil && strings.TrimSpace(string(old)) == k.public {
		return k, nil
	}
	return k, writeFile(path+pubSuffix, []byte(k.public+"\n"), 0o600)
}

// makeKey makes a private key at path and returns what the file holds: somebody else's key if they were first.
func makeKey(path, comment string) ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return nil, err
	}
	if err := createFile(path, pem.EncodeToMemory(block), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

func publicLine(key ssh.PublicKey, comment string) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " " + comment
}

// sshKeys loads what it takes to log in: our key, and the only host key that the machine may show.
func (p *Provisioner) sshKeys(name string) (ssh.Signer, ssh.PublicKey, error) {
	dir := p.store.machine(name)
	private, err := os.ReadFile(filepath.Join(dir, userKeyFile))
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(dir, userKeyFile), err)
	}
	path := filepath.Join(dir, hostKeyFile+pubSuffix)
	line, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return signer, host, nil
}
