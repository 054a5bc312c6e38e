package remote

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// Conn is a connection to a host. Run and Alive may be called side by side.
type Conn interface {
	// Run has a POSIX shell of the host run a script to its end, and returns its exit code. What it reads is text; a nil input is empty. An error
	// is the connection's, or ctx has ended: then the script may go on.
	Run(ctx context.Context, script string, stdin io.Reader, stdout, stderr io.Writer) (code int, err error)
	// Alive asks the host for a sign of life, for as long as ctx lasts.
	Alive(ctx context.Context) error
	// Done is closed when the connection has ended.
	Done() <-chan struct{}
	Close() error
}

// overSSH is a connection over SSH.
type overSSH struct {
	client *ssh.Client
	done   chan struct{}
}

// SSH is a connection over SSH, which closes client with it.
func SSH(client *ssh.Client) Conn {
	c := &overSSH{client, make(chan struct{})}
	go func() { // ends with the client
		_ = client.Wait()
		close(c.done)
	}()
	return c
}

func (c *overSSH) Done() <-chan struct{} { return c.done }
func (c *overSSH) Close() error          { return c.client.Close() }

func (c *overSSH) Run(ctx context.Context, script string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	s, err := c.client.NewSession()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	s.Stdin, s.Stdout, s.Stderr = stdin, stdout, stderr
	ended := make(chan error, 1)
	go func() { ended <- s.Run("sh -c " + quote(script)) }() // ends with the session
	select {
	case err = <-ended:
	case <-ctx.Done():
		s.Close()
		select { // a session that does not close takes the connection with it
		case <-ended:
		case <-time.After(time.Second):
			c.client.Close()
			<-ended
		}
		return 0, context.Cause(ctx)
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) && exit.Signal() == "" {
		return exit.ExitStatus(), nil
	}
	return 0, err
}

// Alive waits for the host's answer as long as ctx lasts. The connection is left alone: it has a time of its own.
func (c *overSSH) Alive(ctx context.Context) error {
	said := make(chan error, 1)
	go func() { // ends with the client at the latest
		_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
		said <- err
	}()
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
