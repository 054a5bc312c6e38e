package instances

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/executor/connect"
	"github.com/millwright-ci/millwright/agent/fleet"
)

// keepUnused is how long a line is kept that nobody needs: those of machines that are gone, mostly.
const keepUnused = 2 * time.Minute

// lines keeps one connection for each machine.
type lines struct {
	mu    sync.Mutex // guards what follows
	all   map[string]*kept
	swept time.Time
}

// kept is a line with what it goes to: an instance of the same name may have come back at another address.
type kept struct {
	*connect.Line
	address, instance string
}

func (k *kept) is(m fleet.Machine) bool {
	return k.address == m.Instance.Address && k.instance == m.Instance.ID
}

// find returns the line to a machine; nil where there is none.
func (l *lines) find(m fleet.Machine) *connect.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.all[m.Name]; k != nil && k.is(m) {
		return k.Line
	}
	return nil
}

// get returns the line to a machine, and makes it where there is none. It speaks to nobody yet.
func (l *lines) get(m fleet.Machine, t *connect.Target) *connect.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(time.Now())
	if k := l.all[m.Name]; k != nil {
		if k.is(m) {
			return k.Line
		}
		k.Close()
	}
	k := &kept{connect.NewLine(t), m.Instance.Address, m.Instance.ID}
	l.all[m.Name] = k
	return k.Line
}

// sweep closes the lines that nobody needs. It looks now and then.
func (l *lines) sweep(now time.Time) {
	if now.Sub(l.swept) < keepUnused/4 {
		return
	}
	l.swept = now
	for name, k := range l.all {
		if k.Unused(now) > keepUnused {
			k.Close()
			delete(l.all, name)
		}
	}
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.all {
		k.Close()
	}
	clear(l.all)
}

// tail keeps the last of what a command says.
type tail struct {
	mu  sync.Mutex // guards what follows
	buf []byte
	cut bool
}

const tailSize = 2 << 10 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf, t.cut = append(t.buf[:0], t.buf[over:]...), true
	}
	return len(p), nil
}

// add puts what another one has kept behind t's: where both do not fit, it is t's that is cut.
func (t *tail) add(other *tail) {
	other.mu.Lock()
	buf, cut := bytes.Clone(other.buf), other.cut
	other.mu.Unlock()
	_, _ = t.Write(buf)
	t.mu.Lock()
	t.cut = t.cut || cut
	t.mu.Unlock()
}

// end is what the command said at its end, for an error's text.
func (t *tail) end() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.buf), "?"))
	switch {
	case text == "":
		return "; it said nothing"
	case t.cut:
		return "; its output ended: ..." + text
	}
	return "; its output: " + text
}

// quoted is text within single quotes of a POSIX shell.
func quoted(text string) string { return strings.ReplaceAll(text, "'", `'\''`) }
