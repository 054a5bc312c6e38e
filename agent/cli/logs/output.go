package logs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/term"
)

// The formats, in GitLab Runner's words.
const (
	Runner = "runner" // a message and its attributes in a line, for people; without a time, which the service manager adds
	Text   = "text"   // time=… level=… msg=…
	JSON   = "json"   // an object on each line
)

// Output is where the log goes. Its handlers follow SetFormat and the level at once, those that have attributes already too. It is safe
// for concurrent use.
type Output struct {
	w     io.Writer
	level slog.Leveler
	color bool
	now   atomic.Pointer[format]
}

// format is a root handler; each SetFormat makes a new one, so that handlers see that theirs is old.
type format struct{ root slog.Handler }

// New returns an output in the format runner. It is coloured when w is a terminal and NO_COLOR is not set.
func New(w io.Writer, level slog.Leveler) *Output {
	o := &Output{w: &oneAtATime{w: w}, level: level}
	if f, ok := w.(*os.File); ok {
		o.color = term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""
	}
	o.now.Store(&format{newRunner(o.w, o.color)})
	return o
}

// SetFormat changes the format: runner, text or json; "" means runner.
func (o *Output) SetFormat(name string) error {
	plain := &slog.HandlerOptions{Level: slog.Level(-100), ReplaceAttr: logrusLevel} // the level is looked at before
	var root slog.Handler
	switch name {
	case "", Runner:
		root = newRunner(o.w, o.color)
	case Text:
		root = slog.NewTextHandler(o.w, plain)
	case JSON:
		root = slog.NewJSONHandler(o.w, plain)
	default:
		return fmt.Errorf("log format %q is not known; use runner, text or json", name)
	}
	o.now.Store(&format{root})
	return nil
}

// Handler returns a handler that writes to the output.
func (o *Output) Handler() slog.Handler { return &handler{o: o} }

// logrusLevel writes levels as gitlab-runner's log does: debug, info, warning, error.
func logrusLevel(groups []string, a slog.Attr) slog.Attr {
	level, ok := a.Value.Any().(slog.Level)
	if !ok || len(groups) > 0 || a.Key != slog.LevelKey {
		return a
	}
	return slog.String(a.Key, levelName(level))
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warning"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

// handler is a slog.Handler that remembers what was added to it, to add it to another format's.
type handler struct {
	o    *Output
	adds []func(slog.Handler) slog.Handler
	made atomic.Pointer[made]
}

// made is a handler of one format with all that was added.
type made struct {
	of *format
	h  slog.Handler
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.o.level.Level() }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	now := h.o.now.Load()
	m := h.made.Load()
	if m == nil || m.of != now {
		m = &made{now, now.root}
		for _, add := range h.adds {
			m.h = add(m.h)
		}
		h.made.Store(m)
	}
	return m.h.Handle(ctx, r)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
}

func (h *handler) WithGroup(name string) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h *handler) with(add func(slog.Handler) slog.Handler) slog.Handler {
	return &handler{o: h.o, adds: append(h.adds[:len(h.adds):len(h.adds)], add)}
}

// oneAtATime keeps lines whole when two formats write at the moment of a change.
type oneAtATime struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// Level reads one of GitLab Runner's levels. trace is debug; fatal and panic are error.
func Level(name string) (slog.Level, error) {
	switch strings.ToLower(name) {
	case "debug", "trace":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error", "fatal", "panic":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q is not known; use debug, info, warn or error", name)
}
