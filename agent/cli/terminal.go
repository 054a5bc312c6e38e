package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// terminal prints what happens as lines for people: when, what kind of thing, and what. It is safe for concurrent use.
type terminal struct {
	color bool

	mu     sync.Mutex // guards the rest
	w      io.Writer
	start  time.Time
	last   time.Time
	broken func(error) // told of the first write that fails; nil after that
}

func newTerminal(w io.Writer) *terminal {
	t := &terminal{w: w, start: time.Now(), last: time.Now()}
	if f, ok := w.(*os.File); ok {
		t.color = term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""
	}
	return t
}

// paint is the colour of a line's kind.
type paint string

const (
	plain  paint = ""
	green  paint = "\x1b[32m"
	red    paint = "\x1b[31m"
	yellow paint = "\x1b[33m"
	blue   paint = "\x1b[36m"
	faint  paint = "\x1b[2m"
	reset        = "\x1b[0m"
)

// kindWidth leaves room for the longest kind of line.
const kindWidth = 9

// line prints one line: the seconds since the start, its kind, its text.
func (t *terminal) line(p paint, kind, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.last = now
	text := fmt.Sprintf(format, args...)
	label := t.painted(p, fmt.Sprintf("%-*s", kindWidth, kind))
	if p == red || p == faint {
		text = t.painted(p, text)
	}
	t.print(fmt.Appendf(nil, "%7.1fs  %s %s\n", now.Sub(t.start).Seconds(), label, text))
}

// painted is text in a colour, where there are colours.
func (t *terminal) painted(p paint, text string) string {
	if !t.color || p == plain {
		return text
	}
	return string(p) + text + reset
}

// print is called with mu held. Nobody is left to tell of an error but whoever runs the command.
func (t *terminal) print(text []byte) {
	if _, err := t.w.Write(text); err != nil && t.broken != nil {
		t.broken(err)
		t.broken = nil
	}
}

// silent tells how long nothing has been printed.
func (t *terminal) silent() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.last)
}

// raw prints text as it is.
func (t *terminal) raw(format string, args ...any) {
	t.do(func(w io.Writer) { fmt.Fprintf(w, format, args...) })
}

// do prints what f writes, in one piece.
func (t *terminal) do(f func(io.Writer)) {
	var text bytes.Buffer
	f(&text)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
	t.print(text.Bytes())
}

// seconds prints a duration as people read it in a line: 0.4 s, 12 s, 3m20s.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
