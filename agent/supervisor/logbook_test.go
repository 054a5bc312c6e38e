package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// logbook keeps what an agent says, for tests to read and to wait for. It is a slog.Handler.
type logbook struct {
	t     *testing.T
	attrs []slog.Attr
	pages *pages
}

type pages struct {
	mu      sync.Mutex // guards what follows
	entries []entry
	read    map[string]int // by message: where wait goes on
	more    chan struct{}  // closed and replaced with each entry
}

type entry struct {
	message string
	attrs   map[string]string
	line    string
}

func newLogbook(t *testing.T) *logbook {
	return &logbook{t: t, pages: &pages{read: map[string]int{}, more: make(chan struct{})}}
}

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }

func (l *logbook) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logbook{t: l.t, attrs: append(l.attrs[:len(l.attrs):len(l.attrs)], attrs...), pages: l.pages}
}

func (l *logbook) WithGroup(string) slog.Handler { return l }

func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	e := entry{message: r.Message, attrs: map[string]string{}, line: r.Level.String() + " " + r.Message}
	add := func(a slog.Attr) bool {
		e.attrs[a.Key] = a.Value.String()
		e.line += fmt.Sprintf(" %s=%s", a.Key, a.Value)
		return true
	}
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	p := l.pages
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries = append(p.entries, e)
	close(p.more)
	p.more = make(chan struct{})
	return nil
}

// wait returns the next entry with a message, each of them once.
func (l *logbook) wait(message string) map[string]string {
	l.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		found, more := l.pages.next(message)
		if found != nil {
			return found
		}
		select {
		case <-more:
		case <-limit.C:
			l.t.Fatalf("the agent never said %q, but\n%s", message, l.text())
		}
	}
}

func (p *pages) next(message string) (found map[string]string, more <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := p.read[message]; i < len(p.entries); i++ {
		if p.entries[i].message == message {
			p.read[message] = i + 1
			return p.entries[i].attrs, nil
		}
	}
	return nil, p.more
}

// forget makes wait pass over what was said so far.
func (l *logbook) forget() {
	l.pages.mu.Lock()
	defer l.pages.mu.Unlock()
	l.pages.entries = nil
	l.pages.read = map[string]int{}
}

func (l *logbook) text() string {
	l.pages.mu.Lock()
	defer l.pages.mu.Unlock()
	var lines []string
	for _, e := range l.pages.entries {
		lines = append(lines, e.line)
	}
	return strings.Join(lines, "\n")
}
