package scale

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Command is how a process is started: its program, its first arguments and what its environment has beside ours.
type Command struct {
	Args []string
	Env  []string
}

// child is a process of the bench. Its errors go to a file.
type child struct {
	name  string
	cmd   *exec.Cmd
	input io.Closer // the process ends when this does, if it reads it
	lines *bufio.Reader
	log   string
	ended chan error // has a value when the process has ended
}

// begin starts a process. It dies with the bench: its input ends.
func begin(dir, name string, c Command, args ...string) (*child, error) {
	all := append(append([]string(nil), c.Args...), args...)
	p := &child{name: name, cmd: exec.Command(all[0], all[1:]...), log: filepath.Join(dir, name+".log"), ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), c.Env...)
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewReader(out)
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// first returns the first line of its output.
func (p *child) first() (string, error) {
	line, err := p.lines.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: it ended at once: %s", p.name, p.tail())
	}
	return strings.TrimSpace(line), nil
}

// tail is the end of what it said.
func (p *child) tail() string {
	data, _ := os.ReadFile(p.log)
	return string(data[max(len(data)-2000, 0):])
}

// watch collects the process when it ends. The rest of its output is nobody's.
func (p *child) watch() {
	go func() { // ends with the process, which end sees to
		_, _ = io.Copy(io.Discard, p.lines)
		p.ended <- p.cmd.Wait()
	}()
}

// end ends the process: kindly, then by force.
func (p *child) end(kindly os.Signal) {
	_ = p.cmd.Process.Signal(kindly)
	p.input.Close()
	select {
	case <-p.ended:
		return
	case <-time.After(10 * time.Second):
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// until asks again and again until ok, the end of ctx, or the end of the agent.
func until(ctx context.Context, every time.Duration, what string, alive *child, ok func() (bool, error)) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		done, err := ok()
		if done && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
			}
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case ended := <-alive.ended:
			alive.ended <- ended
			return fmt.Errorf("%s: the %s ended (%v): %s", what, alive.name, ended, alive.tail())
		case <-t.C:
		}
	}
}
