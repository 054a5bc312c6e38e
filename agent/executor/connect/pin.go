package connect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"
)

// ErrHostKey means that whoever answers at the instance's address shows another host key than at the first login.
var ErrHostKey = errors.New("the host key is not the one that the instance showed at first")

// pinning guards the files of host keys.
var pinning sync.Mutex

// pin makes the host show the key that the file holds, or, where there is no file, notes the key that it shows. Instances come and go, and
// nobody tells their keys beforehand: so the first login is trusted, and every later one is to the same host.
func pin(file string, c *ssh.ClientConfig) error {
	if file == "" {
		return errors.New("there is no file for the instance's host key")
	}
	pinning.Lock()
	known, err := readPin(file)
	pinning.Unlock()
	if err != nil {
		return err
	}
	if known != nil {
		c.HostKeyAlgorithms = algorithms(known.Type())
	}
	c.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error { return checkPin(file, key) }
	return nil
}

// checkPin compares the key with the file's, which it makes where there is none.
func checkPin(file string, key ssh.PublicKey) error {
	pinning.Lock()
	defer pinning.Unlock()
	known, err := readPin(file)
	switch {
	case err != nil:
		return err
	case known == nil:
		return writePin(file, key)
	case !bytes.Equal(known.Marshal(), key.Marshal()):
		return fmt.Errorf("%w (it shows %s, and %s has %s): it was set up anew, or somebody is in between",
			ErrHostKey, ssh.FingerprintSHA256(key), file, ssh.FingerprintSHA256(known))
	}
	return nil
}

// readPin is nil where there is no file yet.
func readPin(file string) (ssh.PublicKey, error) {
	line, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("host key of the instance: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return nil, fmt.Errorf("host key of the instance: %s: %w", file, err)
	}
	return key, nil
}

// writePin notes the key.
func writePin(file string, key ssh.PublicKey) error {
	if err := writeFile(file, ssh.MarshalAuthorizedKey(key)); err != nil {
		return fmt.Errorf("host key of the instance: %w", err)
	}
	return nil
}

// writeFile makes a file as a whole, also when the agent ends meanwhile.
func writeFile(file string, content []byte) error {
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*") // made 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// Pin holds the host key of a host that ends with its job: the first one that it shows is taken, and no other then. It is safe to share.
type Pin struct {
	mu  sync.Mutex // guards key
	key ssh.PublicKey
}

// NewPin returns a pin with the key of a line of authorized_keys, as Text has it; with "" the host has shown none yet.
func NewPin(line string) (*Pin, error) {
	if line == "" {
		return &Pin{}, nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil, fmt.Errorf("host key %q: %w", line, err)
	}
	return &Pin{key: key}, nil
}

// Text is the key as a line of authorized_keys; "" before the host has shown one.
func (p *Pin) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.key == nil {
		return ""
	}
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(p.key)))
}

// on makes the host show the key.
func (p *Pin) on(c *ssh.ClientConfig) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.key != nil {
		c.HostKeyAlgorithms = algorithms(p.key.Type())
	}
	c.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case p.key == nil:
			p.key = key
		case !bytes.Equal(p.key.Marshal(), key.Marshal()):
			return fmt.Errorf("%w (it shows %s, and had %s)", ErrHostKey, ssh.FingerprintSHA256(key), ssh.FingerprintSHA256(p.key))
		}
		return nil
	}
	return nil
}

// algorithms are those that a host with a key of that type may sign with.
func algorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, keyType}
	}
	return []string{keyType}
}
