package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/fleet"
	"github.com/millwright-ci/millwright/agent/wait"
)

// ErrHostKey means that whoever answers at the machine's address shows another host key than the one the machine was given.
var ErrHostKey = errors.New("the host key is not the one that this machine was given")

const (
	connectTimeout   = 5 * time.Second  // one TCP connection
	handshakeTimeout = 10 * time.Second // SSH handshake and login on it
	keepaliveEvery   = 10 * time.Second // and the answer must come within as long
)

// conn is the one SSH connection to a machine.
type conn struct {
	client *ssh.Client
	user   string
	debug  *debugLog
	done   chan struct{}   // closed when the client has ended
	shown  map[string]bool // scripts that the debug log has seen
}

// Close ends the connection and what still runs on it.
func (c *conn) Close() { c.client.Close() }

// login dials until the machine lets us in. A machine that boots refuses, stays silent or does not know our key yet, so all that is
// tried again until the deadline; another host key only for a grace period.
func (r *run) login(ctx context.Context) error {
	addr, user := r.p.loginAt(r.m)
	config, err := r.sshConfig(addr, user)
	if err != nil {
		return err
	}
	r.debug.printf("ssh to %s as %s", addr, user)

	limit := r.p.opts.SSHTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no login within %s", limit))
	defer cancel()
	pause := backoff(100*time.Millisecond, 2*time.Second)
	var mismatch time.Time // when the host key was first another one
	for try := 1; ; try++ {
		client, err := dial(ctx, addr, config)
		if err == nil {
			r.conn = newConn(client, user, r.debug)
			r.debug.printf("ssh: logged in at try %d", try)
			return nil
		}
		r.debug.printf("ssh: try %d: %v", try, err)
		if ctx.Err() != nil {
			return loginError(ctx, addr, user, err)
		}
		if !errors.Is(err, ErrHostKey) {
			mismatch = time.Time{}
		} else if mismatch.IsZero() {
			mismatch = time.Now()
		} else if time.Since(mismatch) > r.p.opts.HostKeyGrace {
			return fmt.Errorf("%s: %w", addr, err)
		}
		if wait.For(ctx, pause()) != nil {
			return loginError(ctx, addr, user, err)
		}
	}
}

// loginAt is where m's login is, as HOST:PORT, and who logs in.
func (p *Provisioner) loginAt(m fleet.Machine) (addr, user string) {
	port := cmp.Or(m.Instance.SSHPort, 22)
	return net.JoinHostPort(m.Instance.Address, strconv.Itoa(port)), cmp.Or(m.Instance.SSHUser, p.opts.SSHUser)
}

// Login is what it takes to log in to m, the check of its host key too.
func (p *Provisioner) Login(m fleet.Machine) (*ssh.ClientConfig, error) {
	r := &run{p: p, m: m}
	r.access, r.foreign = p.loginOf(m)
	if r.access.Engine != "" {
		return nil, fmt.Errorf("machine %s is nothing but an engine: it has no login", m.Name)
	}
	return r.sshConfig(p.loginAt(m))
}

// loginError tells both why we stopped and what the last try said.
func loginError(ctx context.Context, addr, user string, last error) error {
	hint := ""
	if strings.Contains(last.Error(), "unable to authenticate") {
		hint = "; does the image create this user and accept the key that it was given?"
	}
	return fmt.Errorf("%s as %s: %w: %w%s", addr, user, context.Cause(ctx), last, hint)
}

// dial makes one connection and logs in.
func dial(ctx context.Context, addr string, config *ssh.ClientConfig) (*ssh.Client, error) {
	d := net.Dialer{Timeout: connectTimeout}
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(handshakeTimeout))
	c, channels, requests, err := ssh.NewClientConn(raw, addr, config)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		var algorithms *ssh.AlgorithmNegotiationError
		if errors.As(err, &algorithms) {
			return nil, fmt.Errorf("%w: %w", ErrHostKey, err)
		}
		return nil, err
	}
	raw.SetDeadline(time.Time{})
	return ssh.NewClient(c, channels, requests), nil
}

// newConn starts the keepalive, which closes a connection whose machine has gone silent, so that no command waits for ever.
func newConn(client *ssh.Client, user string, debug *debugLog) *conn {
	c := &conn{client: client, user: user, debug: debug, done: make(chan struct{}), shown: map[string]bool{}}
	go func() {
		client.Wait()
		close(c.done)
	}()
	go c.keepalive()
	return c
}

func (c *conn) keepalive() {
	tick := time.NewTicker(keepaliveEvery)
	defer tick.Stop()
	answer := make(chan error, 1)
	waiting := false
	for {
		select {
		case <-c.done:
			return
		case err := <-answer:
			if waiting = false; err != nil {
				c.client.Close()
				return
			}
		case <-tick.C:
			if waiting {
				c.client.Close()
				return
			}
			waiting = true
			go func() {
				_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
				answer <- err
			}()
		}
	}
}
