package winrmd

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What runs in a shell has its id in the environment, and what runs on the host its home, wherever it has got to.
const (
	shellMark = "MILLWRIGHT_TEST_SHELL"
	homeMark  = "MILLWRIGHT_TEST_HOST"
)

// shell holds commands.
type shell struct {
	id string

	mu       sync.Mutex // guards commands
	commands map[string]*command
}

// open makes a shell and returns its id.
func (h *Host) open() string {
	s := &shell{id: rand.Text(), commands: map[string]*command{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shells[s.id] = s
	return s.id
}

// end ends all that runs in the shell, as the end of a job object does.
func (s *shell) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	sweep(shellMark, s.id)
	for _, c := range s.commands {
		c.kill()
	}
}

func (s *shell) command(id string) (*command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.commands[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("the command %q was not found", id)
}

// command is a program that runs, or ran.
type command struct {
	cmd *exec.Cmd
	in  io.WriteCloser

	mu       sync.Mutex // guards what follows
	out, err bytes.Buffer
	code     int
	ended    bool
	news     chan struct{} // closed when something above changes
}

// start starts a program, or a line of the shell that takes the place of cmd.exe.
func (s *shell) start(home, program string, args []string, plain bool) (string, error) {
	if !plain {
		program, args = "sh", []string{"-c", program}
	} else if program = strings.Trim(program, `"`); strings.ContainsAny(strings.Join(args, ""), " \"") {
		return "", errors.New("an argument has blanks or quotes: WinRM joins them as they are")
	}
	path := filepath.Join(home, "bin")
	if own := filepath.Join(path, program); !strings.Contains(program, "/") {
		if _, err := os.Stat(own); err == nil {
			program = own
		}
	}
	c := &command{cmd: exec.Command(program, args...), news: make(chan struct{})}
	c.cmd.Dir = home
	c.cmd.Env = []string{"HOME=" + home, "PATH=" + path + ":" + os.Getenv("PATH"), shellMark + "=" + s.id, homeMark + "=" + home}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Stdout, c.cmd.Stderr = (*output)(c).to(&c.out), (*output)(c).to(&c.err)
	var err error
	if c.in, err = c.cmd.StdinPipe(); err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return "", err
	}
	go func() { // ends with the program
		err := c.cmd.Wait()
		var exit *exec.ExitError
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ended = true; errors.As(err, &exit) {
			c.code = exit.ExitCode()
		} else if err != nil {
			c.code = 255
		}
		c.tell()
	}()
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands[id] = c
	return id, nil
}

// tell wakes those who wait for something; c.mu is held.
func (c *command) tell() {
	close(c.news)
	c.news = make(chan struct{})
}

// output writes what a program says.
type output command

func (o *output) to(buf *bytes.Buffer) io.Writer { return &half{(*command)(o), buf} }

type half struct {
	c   *command
	buf *bytes.Buffer
}

// unread is how much may wait to be asked for; a program that says more waits, as with a pipe.
const unread = 1 << 20

func (w *half) Write(p []byte) (int, error) {
	w.c.mu.Lock()
	for w.buf.Len() > unread {
		news := w.c.news
		w.c.mu.Unlock()
		<-news
		w.c.mu.Lock()
	}
	defer w.c.mu.Unlock()
	w.buf.Write(p)
	w.c.tell()
	return len(p), nil
}

func (c *command) write(data []byte, last bool) error {
	_, err := c.in.Write(data)
	if last {
		err = errors.Join(err, c.in.Close())
	}
	return err
}

func (c *command) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended { // else its number may be another's
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	}
	c.out.Reset() // whoever writes goes on, to be ended
	c.err.Reset()
	c.tell()
}

// piece is how much of a stream one answer holds.
const piece = 100_000

// receive answers with what there is to say, and waits for it.
func (c *command) receive(ctx context.Context, id string, hold time.Duration) (string, error) {
	late := time.NewTimer(hold)
	defer late.Stop()
	for {
		c.mu.Lock()
		if c.out.Len()+c.err.Len() > 0 || c.ended {
			defer c.mu.Unlock()
			return c.said(id), nil
		}
		news := c.news
		c.mu.Unlock()
		select {
		case <-news:
		case <-late.C:
			return "", timedOut{}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// said is an answer with the next of the output; c.mu is held.
func (c *command) said(id string) string {
	var b strings.Builder
	b.WriteString(`<rsp:ReceiveResponse>`)
	for _, s := range []struct {
		name string
		buf  *bytes.Buffer
	}{{"stdout", &c.out}, {"stderr", &c.err}} {
		if text := s.buf.Next(piece); len(text) > 0 {
			fmt.Fprintf(&b, `<rsp:Stream Name="%s" CommandId="%s">%s</rsp:Stream>`, s.name, id, base64.StdEncoding.EncodeToString(text))
		}
	}
	state, code := "Running", ""
	if c.ended && c.out.Len()+c.err.Len() == 0 {
		state, code = "Done", `<rsp:ExitCode>`+strconv.Itoa(c.code)+`</rsp:ExitCode>`
	}
	fmt.Fprintf(&b, `<rsp:CommandState CommandId="%s" State="%s/CommandState/%s">%s</rsp:CommandState></rsp:ReceiveResponse>`, id, spaceShell, state, code)
	c.tell()
	return b.String()
}

// sweep kills what has a mark in its environment.
func sweep(mark, value string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append([]byte{0}, text...), []byte("\x00"+mark+"="+value+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
