package dockermachine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/millwright-ci/millwright/agent/journal"
)

// sshPatience is how long a login of a person's command is tried.
const sshPatience = 20 * time.Second

// SSH runs a command on a machine, or a shell when there is none. What begins with a dash after the name is for OpenSSH's ssh, which then does it
// all: -L 8080:localhost:8080, say. The exit code of a command that fails is the ExitError's.
func (c *Machines) SSH(ctx context.Context, args []string) error {
	var names []string
	if len(args) > 0 {
		names = args[:1]
	}
	if len(args) > 1 && strings.HasPrefix(args[1], "-") {
		x, err := c.reach(ctx, args[0])
		if err != nil {
			return err
		}
		options, err := sshOptions(x)
		if err != nil {
			return err
		}
		return c.external(ctx, "ssh", append(append(options, x.User+"@"+x.Address), args[1:]...)...)
	}
	e, err := c.one(names)
	if err != nil {
		return err
	}
	if err := c.up(ctx, &e); err != nil {
		return err
	}
	p, err := c.provisioner(e, c.o.Debug, sshPatience)
	if err != nil {
		return err
	}
	defer p.Close()
	client, err := p.Dial(ctx, e.Machine)
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	session.Stdout, session.Stderr = c.o.Out, c.o.Err
	if len(args) < 2 {
		return ended(c.interactive(session))
	}
	// Not session.Stdin: Run would wait for its end, which may never come.
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(in, c.o.In)
		in.Close()
	}()
	return ended(session.Run(strings.Join(args[1:], " ")))
}

// up is an error unless the machine runs.
func (c *Machines) up(ctx context.Context, e *journal.Entry) error {
	if isNone(*e) {
		return fmt.Errorf("machine %s: it is nothing but the URL of an engine; there is no SSH to it", e.Machine.Name)
	}
	if e.Kind != journal.KindByHand {
		return running(*e)
	}
	if s := c.now(ctx, e); s.state != stateRunning {
		return fmt.Errorf("Error: Cannot run SSH command: Host %q is not running", e.Machine.Name) //nolint:staticcheck // docker-machine's words
	}
	return nil
}

// ended puts the end of a remote command into words.
func ended(err error) error {
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		text := fmt.Sprintf("exit status %d", exit.ExitStatus())
		if exit.Signal() != "" {
			text = "ended by the signal " + exit.Signal()
		}
		return &ExitError{max(exit.ExitStatus(), 1), errors.New(text)}
	}
	return err
}

// interactive runs a shell with the terminal that the command line was started from.
func (c *Machines) interactive(session *ssh.Session) error {
	session.Stdin = c.o.In
	in, ok := c.o.In.(*os.File)
	if ok && term.IsTerminal(int(in.Fd())) {
		width, height, err := term.GetSize(int(in.Fd()))
		if err != nil {
			return err
		}
		kind := os.Getenv("TERM")
		if kind == "" {
			kind = "xterm"
		}
		if err := session.RequestPty(kind, height, width, ssh.TerminalModes{ssh.ECHO: 1}); err != nil {
			return err
		}
		before, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return err
		}
		defer term.Restore(int(in.Fd()), before)
		defer followSize(in, session)()
	}
	if err := session.Shell(); err != nil {
		return err
	}
	return session.Wait()
}
