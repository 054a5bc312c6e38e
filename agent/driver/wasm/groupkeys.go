package wasm

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// pair is a key in both halves.
type pair struct {
	private config.Secret // OpenSSH PEM
	public  string        // one line
}

// key is what the instance is to let in: nil where credentials are the operator's own, the key of key_path where there is one, else one that is made
// for the instance.
func (g *Group) key(id string) (*pair, error) {
	switch c := g.o.Connector(); {
	case c.UseStaticCredentials:
		return nil, nil
	case c.KeyPath != "":
		signer, err := readKey(c.KeyPath)
		if err != nil {
			return nil, g.wrong(err)
		}
		return &pair{public: line(signer.PublicKey())}, nil // connector_config's own key is tried anyway
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := g.keys[id]; k != nil {
		return k, nil
	}
	k, err := newPair()
	if err == nil {
		g.keys[id] = k
	}
	return k, err
}

// forget drops the keys of instances that are no more.
func (g *Group) forget(now []group.Instance) {
	there := map[string]bool{}
	for _, i := range now {
		there[i.ID] = true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.keys, func(id string, _ *pair) bool { return !there[id] })
}

func (g *Group) wrong(err error) error {
	return &driver.Error{Driver: g.o.Name, Op: abi.ExportConnectInfo, Info: abi.Error{Kind: abi.Invalid, Message: "connector_config.key_path: " + err.Error()}}
}

// newPair makes a key for one instance.
func newPair() (*pair, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "millwright")
	if err != nil {
		return nil, err
	}
	known, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return &pair{private: config.Secret(pem.EncodeToMemory(block)), public: line(known)}, nil
}

func line(key ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) }

func readKey(path string) (ssh.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; use a private key without a passphrase", path, err)
	}
	return signer, nil
}

// decrypt returns a password that a provider encrypted for the key of key_path.
func (g *Group) decrypt(text string) (config.Secret, error) {
	path := g.o.Connector().KeyPath
	if path == "" {
		return "", errors.New("the instance's password is encrypted for its key pair; name that key's file in connector_config.key_path, or give the password")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("connector_config.key_path: %w", err)
	}
	parsed, err := ssh.ParseRawPrivateKey(data)
	if err != nil {
		return "", fmt.Errorf("connector_config.key_path: %s: %w", path, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("connector_config.key_path: %s: the instance's password is encrypted for an RSA key, and this is none", path)
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", errors.New("the instance's password is no base64")
	}
	plain, err := rsa.DecryptPKCS1v15(nil, key, sealed)
	if err != nil {
		return "", fmt.Errorf("connector_config.key_path: %s: is not the key that the instance's password is encrypted for", path)
	}
	return config.Secret(plain), nil
}
