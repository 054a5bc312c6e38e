package fakecloud

import (
	"strings"
)

// Hardware is where the machines of a fake cloud run, for tests that want whole ones. Its methods are called one at a time for each name.
type Hardware interface {
	// Start boots a machine and returns the address at which it answers. Without a login nobody may log in yet, and without a host key it has one
	// of its own.
	Start(machine string, data UserData) (address string, err error)
	// Stop ends it, if it runs.
	Stop(machine string)
}

// Keyring is Hardware whose machines let further keys in while they run, as the guest agent of a cloud's images has them do.
type Keyring interface {
	Hardware
	// Authorize has a running machine let in a login by a key, both of data; the login is made if it is not there.
	Authorize(machine string, data UserData) error
}

// HostKey is the block ed25519_private of a cloud configuration, by which cloud-init gives a machine its host key; an archive may be around it.
func HostKey(config string) string {
	_, rest, _ := strings.Cut(config, "  ed25519_private: |\n")
	var key strings.Builder
	for line := range strings.Lines(rest) {
		text, ok := strings.CutPrefix(line, "    ")
		if !ok {
			break
		}
		key.WriteString(text)
	}
	return key.String()
}
