package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/wait"
)

const (
	tryTime  = 30 * time.Second // one connection, from the first packet to the login
	tryPause = 2 * time.Second  // between two tries
	// connectTime is the part of tryTime that a host has to take the connection: one that is gone answers nothing.
	connectTime = 10 * time.Second
)

// expiryMargin is how long before their end credentials are renewed.
const expiryMargin = 10 * time.Second

// renewed is the target with credentials that have not ended.
func (t *Target) renewed(ctx context.Context) (*Target, error) {
	o := t.options
	if end := o.Connection.Expires; end.IsZero() || time.Until(end) > expiryMargin || o.Renew == nil {
		return t, nil
	}
	c, err := o.Renew(ctx)
	if err != nil {
		return nil, fmt.Errorf("credentials of the instance: %w", err)
	}
	o.Connection = c
	return New(o)
}

// Dial connects and logs in, once with each of the credentials that there are, until the host takes them.
func (t *Target) Dial(ctx context.Context) (client *ssh.Client, err error) {
	t, err = t.renewed(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, tryTime, fmt.Errorf("no login within %s", tryTime))
	defer cancel()
	for _, login := range t.logins {
		if client, err = t.login(ctx, login); err == nil || !unknownThere(err) {
			break
		}
	}
	return client, err
}

// unknownThere tells whether a host let nobody in with the credentials that it was shown, rather than that something else is wrong.
func unknownThere(err error) bool { return strings.Contains(err.Error(), "unable to authenticate") }

// login is one login on a connection of its own.
func (t *Target) login(ctx context.Context, login *ssh.ClientConfig) (*ssh.Client, error) {
	conn, err := t.connection(ctx)
	if err != nil {
		return nil, fmt.Errorf("ssh: %w", err)
	}
	release := context.AfterFunc(ctx, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, t.Address, login)
	if !release() && err == nil {
		c.Close()
		return nil, fmt.Errorf("ssh to %s: %w", t.Address, context.Cause(ctx))
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("ssh to %s as %s: %w", t.Address, t.User, err)
	}
	return ssh.NewClient(c, channels, requests), nil
}

// connection is one to the instance's address, with nothing said on it.
func (t *Target) connection(ctx context.Context) (net.Conn, error) {
	dial := t.options.Through
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("no connection to %s within %s", t.Address, connectTime))
	defer cancel()
	conn, err := dial(ctx, "tcp", t.Address)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return conn, err
}

// Await dials until a login works, the target's time-out is over, or ctx ends. An instance that boots refuses, is silent or doesn't know its
// keys yet, so all but another host key is tried again.
func (t *Target) Await(ctx context.Context) (client *ssh.Client, err error) {
	return client, t.await(ctx, func(ctx context.Context) (err error) {
		client, err = t.Dial(ctx)
		return err
	})
}

// await tries a login until it works.
func (t *Target) await(ctx context.Context, login func(context.Context) error) error {
	limit, cancel := context.WithTimeoutCause(ctx, t.Timeout, fmt.Errorf("no login within %s", t.Timeout))
	defer cancel()
	for {
		err := login(limit)
		if err == nil || errors.Is(err, ErrHostKey) || errors.Is(err, ErrCertificate) {
			return err
		}
		if end := wait.For(limit, tryPause); end == nil {
			continue
		}
		hint := ""
		if unknownThere(err) {
			hint = "; check username, key_path and password of connector_config, and what the instance's image accepts"
		}
		return fmt.Errorf("%w: %w%s", context.Cause(limit), err, hint)
	}
}

// Alive asks the host at the other end for a sign of life, and closes a client that gives none within d.
func Alive(ctx context.Context, client *ssh.Client, d time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("no answer within %s", d))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
	if !stop() && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
