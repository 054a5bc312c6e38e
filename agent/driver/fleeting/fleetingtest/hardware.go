package fleetingtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/internal/fakecloud"
)

// OnHardware gives the cloud real machines, such as those of agent/internal/boxes: containers with sshd, which the login mw reaches with a key that the
// plug-in hands out.
func (c *Cloud) OnHardware(t testing.TB, h fakecloud.Hardware) {
	t.Helper()
	private, public, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	c.Machine = func(id string) (Machine, error) {
		host, _, err := newKey()
		if err != nil {
			return Machine{}, err
		}
		address, err := h.Start(id, fakecloud.UserData{SSHUser: "mw", AuthorizedKey: public, HostKeyPrivate: string(host)})
		if err != nil {
			return Machine{}, fmt.Errorf("%s: %w", id, err)
		}
		return Machine{Internal: address, Username: "mw", Key: private, End: func() { h.Stop(id) }}, nil
	}
}

// newKey makes a key pair: the private half as PEM, the public one as a line of authorized_keys.
func newKey() ([]byte, string, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, "", err
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(block), string(ssh.MarshalAuthorizedKey(line)), nil
}
