package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// terminal prints what happens as lines for people: when, what kind of thing, and what. It is safe for concurrent use.
type terminal struct {
	color bool

	mu    sync.Mutex // guards the rest
	w     io.Writer
	start time.Time
	last  time.Time
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
	label := kind + strings.Repeat(" ", max(0, kindWidth-len(kind)))
	if t.color && p != plain {
		label = string(p) + label + reset
		if p == red || p == faint {
			text = string(p) + text + reset
		}
	}
	fmt.Fprintf(t.w, "%7.1fs  %s %s\n", now.Sub(t.start).Seconds(), label, text)
}

// silent tells how long nothing has been printed.
func (t *terminal) silent() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.last)
}

// raw prints text as it is.
func (t *terminal) raw(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, format, args...)
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
