package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Way says how the engine's socket is reached over a connection.
type Way int

// The ways. Forward asks the host's sshd; Stdio runs `docker system dial-stdio` on the host, which needs Docker's command line there.
const (
	Either Way = iota // Forward, and Stdio where the host refuses
	Forward
	Stdio
)

// DefaultEngine is where an engine listens on its instance.
const DefaultEngine = "unix:///var/run/docker.sock"

// Dialer returns what connects to the engine of the instance: engine is its address there, unix://PATH or tcp://HOST:PORT, "" the default.
// The network and address that it is called with are of no matter. Its errors are net.Errors, so that they count as the engine's.
func (l *Line) Dialer(engine string, way Way) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := l.engine(ctx, engine, way)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: "ssh", Err: err}
		}
		return l.over(conn), nil
	}
}

func (l *Line) engine(ctx context.Context, engine string, way Way) (net.Conn, error) {
	if engine == "" {
		engine = DefaultEngine
	}
	network, address, ok := strings.Cut(engine, "://")
	if !ok || network != "unix" && network != "tcp" {
		return nil, fmt.Errorf("engine %q: give unix://PATH or tcp://HOST:PORT, as it is on the instance", engine)
	}
	client, err := l.Client(ctx)
	if err != nil {
		return nil, err
	}
	if way == Stdio {
		return stdio(client)
	}
	conn, err := client.DialContext(ctx, network, address)
	var refused *ssh.OpenChannelError
	switch {
	case err == nil:
		return conn, nil
	case way == Either && errors.As(err, &refused) && (refused.Reason == ssh.Prohibited || refused.Reason == ssh.UnknownChannelType):
		return stdio(client)
	}
	return nil, fmt.Errorf("engine %s on the instance: %w", engine, err)
}

// stdio runs docker on the instance, whose input and output are the engine's socket.
func stdio(client *ssh.Client) (net.Conn, error) {
	s, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	c := &piped{session: s, peer: client.RemoteAddr(), self: client.LocalAddr()}
	if c.in, err = s.StdinPipe(); err == nil {
		c.out, err = s.StdoutPipe()
	}
	if err == nil {
		s.Stderr = &c.said
		err = s.Start("docker system dial-stdio")
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("docker system dial-stdio on the instance: %w", err)
	}
	return c, nil
}

// piped is a program on the instance as a connection.
type piped struct {
	session    *ssh.Session
	in         io.WriteCloser
	out        io.Reader
	said       head
	self, peer net.Addr
}

func (c *piped) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if said := c.said.text(); n == 0 && errors.Is(err, io.EOF) && said != "" {
		return 0, fmt.Errorf("docker system dial-stdio on the instance: %s", said)
	}
	return n, err
}

func (c *piped) Write(p []byte) (int, error) { return c.in.Write(p) }

// CloseWrite tells the engine that nothing more comes.
func (c *piped) CloseWrite() error { return c.in.Close() }

// Close may come while somebody writes, so it ends the channel as a whole, which also ends the program's input: closing that alone is no thing to do
// beside a write.
func (c *piped) Close() error {
	err := c.session.Close()
	if errors.Is(err, io.EOF) { // the program has ended before
		return nil
	}
	return err
}

func (c *piped) LocalAddr() net.Addr  { return c.self }
func (c *piped) RemoteAddr() net.Addr { return c.peer }

// Deadlines there are none, as of connections that SSH forwards.
func (c *piped) SetDeadline(time.Time) error      { return nil }
func (c *piped) SetReadDeadline(time.Time) error  { return nil }
func (c *piped) SetWriteDeadline(time.Time) error { return nil }

// head keeps the first of what a program says.
type head struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

const headSize = 1 << 10 // bytes

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if room := headSize - len(h.buf); room > 0 {
		h.buf = append(h.buf, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (h *head) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.TrimSpace(string(h.buf))
}
