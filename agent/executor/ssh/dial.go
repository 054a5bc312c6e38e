package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/executor"
	"github.com/millwright-ci/millwright/agent/executor/remote"
)

// dialTime bounds one connection, from the first packet to the login.
const dialTime = 30 * time.Second

// dialer makes what connects to the host that [runners.ssh] names. Its error is the configuration's.
func dialer(c *config.SSH, log *slog.Logger) (remote.Dial, error) {
	if c == nil || c.Host == "" {
		return nil, executor.Errorf(executor.Configuration, "[runners.ssh] has no host; name the one that jobs run on")
	}
	address := net.JoinHostPort(strings.Trim(c.Host, "[]"), cmp.Or(c.Port, "22"))
	settings := &ssh.ClientConfig{User: cmp.Or(c.User, "root"), Timeout: dialTime}
	var err error
	if settings.Auth, err = credentials(c); err != nil {
		return nil, err
	}
	if err := checkHost(c, address, settings, log); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (remote.Conn, error) {
		client, err := dial(ctx, address, settings)
		if err != nil {
			return nil, err
		}
		return remote.SSH(client), nil
	}, nil
}

// credentials are the key of the file, then the password, which some hosts ask for by questions.
func credentials(c *config.SSH) ([]ssh.AuthMethod, error) {
	var methods []ssh.AuthMethod
	if c.IdentityFile != "" {
		text, err := os.ReadFile(c.IdentityFile)
		if err != nil {
			return nil, executor.Errorf(executor.Configuration, "[runners.ssh] identity_file: %w", err)
		}
		key, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return nil, executor.Errorf(executor.Configuration, "[runners.ssh] identity_file %s: %w; use a private key without a passphrase", c.IdentityFile, err)
		}
		methods = append(methods, ssh.PublicKeys(key))
	}
	if c.Password != "" {
		methods = append(methods, ssh.Password(c.Password.Reveal()), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range answers {
				answers[i] = c.Password.Reveal()
			}
			return answers, nil
		}))
	}
	if len(methods) == 0 {
		return nil, executor.Errorf(executor.Configuration, "[runners.ssh] has neither identity_file nor password; set one")
	}
	return methods, nil
}

// checkHost makes the host show a key that known_hosts has for it.
func checkHost(c *config.SSH, address string, settings *ssh.ClientConfig, log *slog.Logger) error {
	if c.DisableStrictHostKeyChecking != nil && *c.DisableStrictHostKeyChecking {
		log.Warn("The host's key is not checked: whoever answers at its address gets the job and its secrets; remove disable_strict_host_key_checking", "host", address)
		settings.HostKeyCallback = ssh.InsecureIgnoreHostKey()
		return nil
	}
	file := c.KnownHostsFile
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return executor.Errorf(executor.Configuration, "[runners.ssh] known_hosts_file is not set, and %w", err)
		}
		file = filepath.Join(home, ".ssh", "known_hosts")
	}
	check, err := knownhosts.New(file)
	if err != nil {
		return executor.Errorf(executor.Configuration, "[runners.ssh] known_hosts_file: %w; `ssh-keyscan HOST` prints what belongs into it", err)
	}
	settings.HostKeyCallback = func(name string, at net.Addr, key ssh.PublicKey) error {
		err := check(name, at, key)
		var unknown *knownhosts.KeyError
		switch {
		case !errors.As(err, &unknown):
			return err
		case len(unknown.Want) == 0:
			return fmt.Errorf("%s does not know the host; it shows the key %s", file, ssh.FingerprintSHA256(key))
		}
		return fmt.Errorf("the host shows the key %s, which is not the one of %s:%d: it was set up anew, or somebody is in between", ssh.FingerprintSHA256(key), file, unknown.Want[0].Line)
	}
	settings.HostKeyAlgorithms = algorithms(check, address)
	return nil
}

// algorithms are those of the host's known keys, so that it shows one that can be checked. A host that is not known gets all: its refusal
// names the key that it shows.
func algorithms(check ssh.HostKeyCallback, address string) []string {
	var known *knownhosts.KeyError
	if !errors.As(check(address, &net.TCPAddr{}, nobody{}), &known) {
		return nil
	}
	var out []string
	for _, want := range known.Want {
		kind := want.Key.Type()
		names := []string{kind}
		if kind == ssh.KeyAlgoRSA {
			names = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, kind}
		}
		for _, name := range names {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// nobody is a key that no host has, to be told which ones it has.
type nobody struct{}

func (nobody) Type() string                        { return "none" }
func (nobody) Marshal() []byte                     { return []byte("none") }
func (nobody) Verify([]byte, *ssh.Signature) error { return errors.New("this is no key") }

// dial connects and logs in, as long as ctx lasts.
func dial(ctx context.Context, address string, settings *ssh.ClientConfig) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("ssh: %w", err)
	}
	release := context.AfterFunc(ctx, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, address, settings)
	if !release() && err == nil {
		c.Close()
		return nil, fmt.Errorf("ssh to %s: %w", address, context.Cause(ctx))
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("ssh to %s as %s: %w", address, settings.User, err)
	}
	return ssh.NewClient(c, channels, requests), nil
}
