package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/fleet"
)

// TryLogin logs in once to a host, at HOST:PORT, and looks whether the user may become root without a password. It changes nothing, there or here:
// a host that is not known yet is not noted. login is why nobody gets in, root why the user is not root; nil is well.
func TryLogin(ctx context.Context, l Login, addr, user string) (login, root error) {
	config, err := foreignConfig(l, addr, user, func(string, string, ssh.PublicKey) error { return nil })
	if err != nil {
		return err, nil
	}
	client, err := dial(ctx, addr, config)
	if err != nil {
		return err, nil
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	if user == "root" {
		return nil, nil
	}
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	defer session.Close()
	out, err := session.CombinedOutput("sudo -n true")
	if err != nil {
		return nil, fmt.Errorf("sudo -n true: %w: %.200s", err, strings.TrimSpace(string(out)))
	}
	return nil, nil
}

// TryEngine asks the engine at tcp://HOST:PORT for a sign of life over TLS, by the certificates of a folder.
func TryEngine(ctx context.Context, url, certs string) error {
	for _, name := range []string{caFile, certFile, keyFile} {
		if _, err := os.Stat(filepath.Join(certs, name)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w; the folder must hold %s, %s and %s", err, caFile, certFile, keyFile)
		}
	}
	at := fleet.Endpoint{Host: url, CertPath: certs}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var lines engines
	defer lines.close()
	return lines.get(at).ping(ctx, at)
}
