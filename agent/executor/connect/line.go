package connect

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// errClosed means that a line was closed for good.
var errClosed = errors.New("the connection to the instance was closed")

// Line is one connection to an instance that is kept, and made anew when it is lost. It is safe for concurrent use; Close it.
type Line struct {
	dialling chan struct{} // holds a token while somebody dials

	target *Target

	mu     sync.Mutex  // guards what follows
	client *ssh.Client // nil where there is none
	ended  bool
	open   int       // connections to the engine that are open
	used   time.Time // when it was last needed
}

// NewLine returns a line that dials when it is needed.
func NewLine(t *Target) *Line {
	return &Line{target: t, dialling: make(chan struct{}, 1), used: time.Now()}
}

// Target is what the line goes to.
func (l *Line) Target() *Target { return l.target }

// Client returns the connection, dialling where there is none. It belongs to the line.
func (l *Line) Client(ctx context.Context) (*ssh.Client, error) {
	if c, err := l.present(); c != nil || err != nil {
		return c, err
	}
	select {
	case l.dialling <- struct{}{}:
		defer func() { <-l.dialling }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c, err := l.present(); c != nil || err != nil { // somebody else's
		return c, err
	}
	client, err := l.target.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return l.keep(client)
}

func (l *Line) present() (*ssh.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = time.Now()
	if l.ended {
		return nil, errClosed
	}
	return l.client, nil
}

// keep makes client the line's, until it ends.
func (l *Line) keep(client *ssh.Client) (*ssh.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		client.Close()
		return nil, errClosed
	}
	l.client = client
	go l.watch(client) // ends with the client
	return client, nil
}

// watch ends a connection whose host is silent, so that nobody waits for it for ever, and forgets it when it has ended.
func (l *Line) watch(client *ssh.Client) {
	ended := make(chan struct{})
	go func() {
		_ = client.Wait()
		close(ended)
	}()
	tick := time.NewTicker(l.target.Keepalive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if Alive(context.Background(), client, l.target.Keepalive) != nil {
				client.Close()
			}
			continue
		case <-ended:
		}
		break
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == client {
		l.client = nil
	}
}

// Ping asks the instance for a sign of life. A kept connection that has died is made anew once.
func (l *Line) Ping(ctx context.Context) error {
	if l.target.Windows() {
		return l.target.pingWindows(ctx)
	}
	c, _ := l.present()
	if c != nil && Alive(ctx, c, l.target.Keepalive) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.drop(c)
	c, err := l.Client(ctx)
	if err != nil {
		return err
	}
	return Alive(ctx, c, l.target.Keepalive)
}

func (l *Line) drop(client *ssh.Client) {
	if client == nil {
		return
	}
	client.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == client {
		l.client = nil
	}
}

// Unused tells for how long nobody has needed the line; 0 while somebody does.
func (l *Line) Unused(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open > 0 {
		return 0
	}
	return now.Sub(l.used)
}

// Close ends the line and what goes over it.
func (l *Line) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.client != nil {
		l.client.Close()
		l.client = nil
	}
}

// counted is a connection that goes over a line.
type counted struct {
	net.Conn
	done func()
}

func (c counted) Close() error {
	c.done()
	return c.Conn.Close()
}

// over counts conn as one that goes over the line.
func (l *Line) over(conn net.Conn) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
	return counted{conn, sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
		l.used = time.Now()
	})}
}

// CloseWrite tells the other end that nothing more comes.
func (c counted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
