package dockermachine

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/journal"
	"github.com/millwright-ci/millwright/agent/provision"
)

// The phases of a creation that come before the provisioner's.
const (
	phaseCheck  = "check"
	phaseInsert = "insert"
	phaseBoot   = "boot"
)

// Progress is told how far a creation is.
type Progress interface {
	Phase(name string) // begins; the one before has ended
	End(err error)     // of all
}

// noted is a Progress whose phases are written down too, for whoever lists the machines meanwhile.
type noted struct {
	Progress
	c *Machines
	e *journal.Entry
}

// Phase implements Progress. A phase that could not be written down is missing from lists alone.
func (n noted) Phase(name string) {
	n.Progress.Phase(name)
	n.e.Phase = name
	if err := n.c.o.Store.Save(*n.e); err != nil {
		n.c.o.Log.Warn("The phase of a creation is not written down", "machine", n.e.Machine.Name, "error", err)
	}
}

// dockerWords are what docker-machine says of the phases; scripts look for some.
var dockerWords = map[string]string{
	phaseCheck:            "Running pre-create checks...",
	phaseInsert:           "Creating machine...",
	phaseBoot:             "Waiting for machine to be running, this may take a few minutes...",
	provision.PhaseSSH:    "Waiting for SSH to be available...",
	provision.PhaseGPU:    "Waiting for the GPUs...",
	provision.PhaseEngine: "Setting Docker configuration on the remote daemon...",
	provision.PhaseImage:  "Checking connection to Docker...",
}

// DockerMachine tells in docker-machine's words.
func DockerMachine(w io.Writer) Progress { return dockerMachine{w} }

type dockerMachine struct{ w io.Writer }

func (p dockerMachine) Phase(name string) { fmt.Fprintln(p.w, dockerWords[name]) }

func (p dockerMachine) End(err error) {
	if err == nil {
		fmt.Fprintln(p.w, "Docker is up and running!")
	}
}

// Plain tells each phase in a line of its own when it has ended, with its time.
func Plain(w io.Writer) Progress { return &plain{w: w, now: time.Now} }

type plain struct {
	w     io.Writer
	now   func() time.Time
	name  string
	since time.Time
	total time.Duration
}

func (p *plain) Phase(name string) {
	p.over("")
	p.name, p.since = name, p.now()
}

func (p *plain) End(err error) {
	if err != nil {
		p.over(" failed")
		return
	}
	p.over("")
	fmt.Fprintf(p.w, "%-7s %6.1f s\n", "ready", p.total.Seconds())
}

func (p *plain) over(mark string) {
	if p.name == "" {
		return
	}
	took := p.now().Sub(p.since)
	p.total += took
	fmt.Fprintf(p.w, "%-7s %6.1f s%s\n", p.name, took.Seconds(), mark)
	p.name = ""
}

// Live is Plain for a terminal: the present phase counts its seconds. Close it.
func Live(w io.Writer) *LiveProgress {
	p := &LiveProgress{plain: plain{w: w, now: time.Now}, stop: make(chan struct{})}
	p.ticking.Go(p.tick)
	return p
}

// LiveProgress is what Live returns.
type LiveProgress struct {
	mu      sync.Mutex // guards plain, and w
	plain   plain
	stop    chan struct{}
	ticking sync.WaitGroup
}

// liveEvery is how often the seconds are counted.
const liveEvery = 200 * time.Millisecond

// clearLine takes away what stands in the terminal's present line.
const clearLine = "\r\x1b[K"

func (p *LiveProgress) tick() {
	t := time.NewTicker(liveEvery)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-p.stop:
			return
		case <-t.C:
		}
		p.mu.Lock()
		if q := &p.plain; q.name != "" {
			fmt.Fprintf(q.w, "%s%-7s %6.1f s %s", clearLine, q.name, q.now().Sub(q.since).Seconds(), strings.Repeat(".", n/5%4))
		}
		p.mu.Unlock()
	}
}

// Phase implements Progress.
func (p *LiveProgress) Phase(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprint(p.plain.w, clearLine)
	p.plain.Phase(name)
}

// End implements Progress.
func (p *LiveProgress) End(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprint(p.plain.w, clearLine)
	p.plain.End(err)
}

// Close ends the counting.
func (p *LiveProgress) Close() {
	close(p.stop)
	p.ticking.Wait()
}
