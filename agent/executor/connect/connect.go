// Package connect reaches instances of the newer autoscaler: it makes of what connector_config says, and of what a group or a driver says of
// an instance, a target that can be dialled, and carries connections to the instance's engine through it.
package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver/group"
)

// The protocols of connector_config.
const (
	SSH        = "ssh"
	WinRM      = "winrm"
	WinRMHTTPS = "winrm+https"
)

// ports are the protocols' own.
var ports = map[string]int{SSH: 22, WinRM: 5985, WinRMHTTPS: 5986}

// The defaults of connector_config. Source: GitLab Runner documentation, "The [runners.autoscaler.connector_config] section parameters".
const (
	defaultKeepalive = 30 * time.Second
	defaultTimeout   = 10 * time.Minute
)

// Options say what is known of an instance.
type Options struct {
	Connector  config.Connector // what config.toml says, which wins
	Connection group.Connection // what the group says, or the driver
	// Login are the keys of a machine that was made with them, and the check of its host key; nil where Connection has the credentials.
	Login *ssh.ClientConfig
	// Renew asks for a connection with credentials that last longer, of instances whose credentials end; nil: nobody can be asked.
	Renew func(ctx context.Context) (group.Connection, error)
	// PinFile holds the host key of an instance without Login: the first one that it shows is noted there, and no other is taken then.
	PinFile string
	// Pin holds it in the place of a file, of hosts that end with their job.
	Pin *Pin
	// Through makes the connections to the instance; nil: they are made from here.
	Through func(ctx context.Context, network, address string) (net.Conn, error)
}

// Target is an instance and what it takes to get in. It is not changed, and safe to share.
type Target struct {
	Protocol  string
	Address   string // HOST:PORT
	Internal  string // its addresses, for people; "" where there is none
	External  string
	User      string
	Keepalive time.Duration
	Timeout   time.Duration // until a login works, tries included

	logins  []*ssh.ClientConfig // by SSH, tried in this order
	options Options             // to be made anew of
}

// New settles how an instance is reached. Its error is the configuration's, or that the instance has no address yet.
func New(o Options) (*Target, error) {
	c, g := o.Connector, o.Connection
	t := &Target{
		options:  o,
		Protocol: cmp.Or(c.Protocol, g.Protocol, SSH), Internal: g.InternalAddr, External: g.ExternalAddr, User: cmp.Or(c.Username, g.Username),
		Keepalive: cmp.Or(time.Duration(c.Keepalive), g.Keepalive, defaultKeepalive), Timeout: cmp.Or(time.Duration(c.Timeout), g.Timeout, defaultTimeout),
	}
	host, port := g.Address(c.UseExternalAddr), strconv.Itoa(cmp.Or(c.ProtocolPort, g.Port, ports[t.Protocol]))
	if alone, own, err := net.SplitHostPort(host); err == nil { // some groups' addresses have a port
		host = alone
		if c.ProtocolPort == 0 {
			port = own
		}
	}
	if host == "" {
		return nil, errors.New("the instance has no address yet")
	}
	t.Address = net.JoinHostPort(host, port)
	if t.Windows() {
		t.User = cmp.Or(t.User, "Administrator")
		return t, nil
	}
	var err error
	t.logins, err = o.ways(t)
	return t, err
}

// ways are what SSH needs to log in: with the credentials of config.toml first, then with those of the group or the machine. Each has a connection of its
// own, since on one of them SSH's library tries one key method, one password method and so on, and no second.
func (o Options) ways(t *Target) ([]*ssh.ClientConfig, error) {
	own, err := credentials(o.Connector.KeyPath, o.Connector.Password)
	if err != nil {
		return nil, fmt.Errorf("connector_config: %w", err)
	}
	if o.Login != nil {
		base := *o.Login
		base.User = cmp.Or(t.User, base.User)
		t.User = base.User
		return with(base, own, o.Login.Auth), nil
	}
	base := ssh.ClientConfig{User: cmp.Or(t.User, "root")}
	t.User = base.User
	var theirs []ssh.AuthMethod
	if !o.Connector.UseStaticCredentials {
		theirs = ofGroup(o.Connection)
	}
	if len(own)+len(theirs) == 0 {
		return nil, errors.New("there are no credentials for the instance: its group gives none; set key_path or password in connector_config")
	}
	if o.Pin != nil {
		err = o.Pin.on(&base)
	} else {
		err = pin(o.PinFile, &base)
	}
	return with(base, own, theirs), err
}

// with is a config with each of the lists of methods that has any; one without any where none has, since a host may ask for nothing.
func with(base ssh.ClientConfig, lists ...[]ssh.AuthMethod) (all []*ssh.ClientConfig) {
	for _, methods := range lists {
		if len(methods) > 0 {
			c := base
			c.Auth = methods
			all = append(all, &c)
		}
	}
	if len(all) == 0 {
		base.Auth = nil
		all = append(all, &base)
	}
	return all
}

// credentials are the key of a file, then the password, which some hosts ask for by questions.
func credentials(keyFile string, password config.Secret) (methods []ssh.AuthMethod, err error) {
	if keyFile != "" {
		text, err := os.ReadFile(keyFile)
		if err != nil {
			return nil, fmt.Errorf("key_path: %w", err)
		}
		key, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return nil, fmt.Errorf("key_path %s: %w; use a private key without a passphrase", keyFile, err)
		}
		methods = append(methods, ssh.PublicKeys(key))
	}
	return append(methods, byPassword(password)...), nil
}

// ofGroup are the credentials that a group gives for an instance. A key that can't be read counts as none.
func ofGroup(g group.Connection) (methods []ssh.AuthMethod) {
	if g.Key != "" {
		if key, err := ssh.ParsePrivateKey([]byte(g.Key.Reveal())); err == nil {
			methods = append(methods, ssh.PublicKeys(key))
		}
	}
	return append(methods, byPassword(g.Password)...)
}

func byPassword(password config.Secret) []ssh.AuthMethod {
	if password == "" {
		return nil
	}
	return []ssh.AuthMethod{ssh.Password(password.Reveal()), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i := range answers {
			answers[i] = password.Reveal()
		}
		return answers, nil
	})}
}
