package fleeting

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/child"
)

// pipeGrace is how long a plug-in's output is read on when it has ended, for a process that left its group and holds it open.
const pipeGrace = 2 * time.Second

// process is a plug-in's process, as go-plugin wants to run one (runner.Runner). Its children end with it, and on Linux it ends with the agent.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr *os.File
	once           sync.Once     // its start
	begun          chan struct{} // closed when its start was tried, or nobody will
	done           chan struct{} // closed when it has ended and its children were killed, or could not be started
	err            error         // how it ended, once done is closed

	mu   sync.Mutex // guards last
	last []string   // its newest lines, for an error to tell
}

// What an error shows of a plug-in that ended: its last lines, and how much of each.
const (
	lastLines = 5
	maxLast   = 300
)

// newProcess readies a command whose environment is complete.
func newProcess(cmd *exec.Cmd) *process {
	return &process{cmd: cmd, begun: make(chan struct{}), done: make(chan struct{})}
}

// Start starts it. It does not wait for anything it says.
func (p *process) Start(context.Context) error {
	err := errClosed
	p.once.Do(func() {
		defer close(p.begun)
		if err = p.start(); err != nil {
			p.err = err
			close(p.done)
		}
	})
	return err
}

// abandon makes one that was never started count as ended.
func (p *process) abandon() {
	p.once.Do(func() {
		close(p.done)
		close(p.begun)
	})
}

func (p *process) start() error {
	out, outEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	errs, errsEnd, err := os.Pipe()
	if err != nil {
		out.Close()
		outEnd.Close()
		return err
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = nil, outEnd, errsEnd
	child.OwnGroup(p.cmd)
	child.Mortal(p.cmd)
	p.stdout, p.stderr = out, errs
	started := make(chan error)
	go p.run(started)
	err = <-started
	outEnd.Close()
	errsEnd.Close()
	if err != nil {
		out.Close()
		errs.Close()
	}
	return err
}

// run starts the process and sees it end, on one thread: see child.Mortal.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	child.KillGroup(p.cmd) // children that it left
	grace := time.Now().Add(pipeGrace)
	p.stdout.SetReadDeadline(grace)
	p.stderr.SetReadDeadline(grace)
	close(p.done)
}

// Wait waits until it has ended. Nothing of its output is read from then on.
func (p *process) Wait(context.Context) error {
	<-p.done
	p.stdout.Close()
	p.stderr.Close()
	return p.err
}

// Kill ends it with its children, and waits until it is gone.
func (p *process) Kill(context.Context) error {
	p.kill()
	<-p.done
	return nil
}

// kill ends it with its children, if it runs. It waits for a start that is under way.
func (p *process) kill() {
	<-p.begun
	select {
	case <-p.done:
	default:
		child.KillGroup(p.cmd)
	}
}

func (p *process) Stdout() io.ReadCloser           { return p.stdout }
func (p *process) Stderr() io.ReadCloser           { return p.stderr }
func (p *process) Name() string                    { return p.cmd.Path }
func (p *process) Diagnose(context.Context) string { return "" }

// ID is the number of the process.
func (p *process) ID() string {
	if p.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(p.cmd.Process.Pid)
}

// PluginToHost leaves addresses as they are: the plug-in runs beside the agent.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin leaves addresses as they are.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// note keeps one line of its output, without secrets, for ended to tell.
func (p *process) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last = append(p.last, clip(line, maxLast)); len(p.last) > lastLines {
		p.last = p.last[1:]
	}
}

// ended tells how it ended, with its last words.
func (p *process) ended() string {
	how := "of itself"
	if p.err != nil {
		how = p.err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) == 0 {
		return "it ended: " + how
	}
	return fmt.Sprintf("it ended: %s; its last words: %s", how, strings.Join(p.last, " | "))
}

// clip shortens a text to one line of n bytes at most.
func clip(text string, n int) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "�")), " ")
	if len(text) > n {
		return strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}
