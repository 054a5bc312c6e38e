package winrm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Command is what Run runs.
type Command struct {
	// Program is started with Args, which are joined by blanks on the host: what has one of its own needs quotes. Without any it is a command line,
	// which cmd.exe reads.
	Program string
	Args    []string
	// Stdin is what the program reads: text, since the host's console may come between. With nil it has an input that does not end.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

const (
	sendSize = 64 << 10 // bytes of input in one message
	endTime  = 10 * time.Second
)

// Run runs a command to its end and returns its exit code; all of its output has been written then. When ctx ends, or the host can't be reached,
// the command is ended where that still can be asked for, and the cause returned.
func (c *Client) Run(ctx context.Context, cmd Command) (code int, err error) {
	made, err := c.call(ctx, createMessage().text(c.url), 0)
	if err != nil {
		return 0, err
	}
	shell, err := made.shellID()
	if err != nil {
		return 0, fmt.Errorf("winrm at %s: %w", c.o.Address, err)
	}
	r := &running{c: c, shell: shell}
	defer r.end(ctx)
	if err := r.start(ctx, cmd); err != nil {
		return 0, err
	}
	if err := r.send(ctx, cmd.Stdin); err != nil {
		return 0, err
	}
	return r.receive(ctx, cmd)
}

// running is a command in a shell of its own.
type running struct {
	c         *Client
	shell, id string
}

func (r *running) start(ctx context.Context, cmd Command) error {
	e, err := r.c.call(ctx, commandMessage(r.shell, cmd.Program, cmd.Args).text(r.c.url), 0)
	if err != nil {
		return err
	}
	if r.id = e.Command; r.id == "" {
		return fmt.Errorf("winrm at %s: it names no command", r.c.o.Address)
	}
	return nil
}

// send writes the input, in pieces that fit into a message. A program that ends before it has read all is refused the rest, which is its matter.
func (r *running) send(ctx context.Context, stdin io.Reader) error {
	if stdin == nil {
		return nil
	}
	piece := make([]byte, sendSize)
	for last := false; !last; {
		n, err := io.ReadFull(stdin, piece)
		last = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		_, err = r.c.call(ctx, sendMessage(r.shell, r.id, piece[:n], last).text(r.c.url), 0)
		var refused *Fault
		if errors.As(err, &refused) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// receive writes the output until the command has ended.
func (r *running) receive(ctx context.Context, cmd Command) (int, error) {
	for {
		e, err := r.c.call(ctx, receiveMessage(r.shell, r.id, r.c.o.Poll).text(r.c.url), r.c.o.Poll)
		var fault *Fault
		if errors.As(err, &fault) && fault.timeout() {
			continue // it said nothing so far
		}
		if err != nil {
			return 0, err
		}
		for _, s := range e.Streams {
			text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s.Text))
			if err != nil {
				return 0, fmt.Errorf("winrm at %s: its output: %w", r.c.o.Address, err)
			}
			to := cmd.Stdout
			if s.Name == "stderr" {
				to = cmd.Stderr
			}
			if to == nil || len(text) == 0 {
				continue
			}
			if _, err := to.Write(text); err != nil {
				return 0, err
			}
		}
		if code, ended, err := e.exit(); ended {
			return code, err
		}
	}
}

// end ends the command and its shell on the host, also when ctx has ended. What can't be asked for the host does by itself when nobody has asked
// for the shell for a while.
func (r *running) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if r.id != "" {
		if _, err := r.c.call(ctx, signalMessage(r.shell, r.id).text(r.c.url), 0); err != nil && ctx.Err() != nil {
			return
		}
	}
	_, _ = r.c.call(ctx, message{action: actionDelete, shell: r.shell}.text(r.c.url), 0)
}
