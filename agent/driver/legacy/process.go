package legacy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/child"
)

// process is a plug-in's process. Its output is read to the end, whatever it prints.
type process struct {
	cmd   *exec.Cmd
	first chan string   // its first line on stdout
	done  chan struct{} // closed when it has ended and its output is read
	err   error         // how it ended, once done is closed
	say   func(info bool, line string)
	hide  func(string) string

	mu   sync.Mutex // guards last
	last []string   // the newest lines, for an error to tell
}

// What an error shows of a plug-in that ended: its last lines, and how much of each.
const (
	lastLines = 5
	maxLast   = 200
)

// startProcess runs the binary as a plug-in. say is told each line of its output but the first, which is the address that it serves; info is
// whether it was printed to stdout. hide takes secrets out of it before.
func startProcess(path, driver string, hide func(string) string, say func(info bool, line string)) (*process, error) {
	p := &process{cmd: exec.Command(path), first: make(chan string, 1), done: make(chan struct{}), say: say, hide: hide}
	p.cmd.Env = append(os.Environ(), "MACHINE_PLUGIN_TOKEN=42", "MACHINE_PLUGIN_DRIVER_NAME="+driver)
	begun := false
	p.cmd.Stdout = &child.Lines{Tell: func(line string) {
		if !begun {
			begun = true
			p.first <- line
			return
		}
		p.note(true, line)
	}}
	p.cmd.Stderr = &child.Lines{Tell: func(line string) { p.note(false, line) }}
	p.cmd.WaitDelay = 2 * time.Second // for output that a child of its own holds open
	child.OwnGroup(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) note(info bool, line string) {
	line = p.hide(line)
	p.mu.Lock()
	if p.last = append(p.last, cut(line, maxLast)); len(p.last) > lastLines {
		p.last = p.last[1:]
	}
	p.mu.Unlock()
	p.say(info, line)
}

// address waits for the address that the plug-in serves.
func (p *process) address(ctx context.Context, limit time.Duration) (string, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case line := <-p.first:
		return strings.TrimSpace(line), nil
	case <-p.done:
		select {
		case line := <-p.first: // it said so and ended
			return strings.TrimSpace(line), nil
		default:
			return "", p.ended()
		}
	case <-t.C:
		return "", fmt.Errorf("the plug-in gave no address within %s", limit)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// ended tells how the process ended, with its last words. It waits a moment: a connection breaks before the process is gone.
func (p *process) ended() error {
	select {
	case <-p.done:
	case <-time.After(time.Second):
		return errors.New("the plug-in closed the connection")
	}
	how := "of itself"
	if p.err != nil {
		how = p.err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) == 0 {
		return fmt.Errorf("the plug-in ended: %s", how)
	}
	return fmt.Errorf("the plug-in ended: %s; its last words: %s", how, strings.Join(p.last, " | "))
}

// stop waits a moment for a process that was told to end, and kills it then with its children.
func (p *process) stop(patience time.Duration) {
	select {
	case <-p.done:
		return
	case <-time.After(patience):
	}
	child.KillGroup(p.cmd)
	<-p.done
}
