package drivertest

import (
	"context"
	"log"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// Ear is a slog.Handler that keeps what is logged, for Subject.Heard, and hands it on. Make it with NewEar.
type Ear struct {
	next  slog.Handler
	heard *heard
}

type heard struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

// NewEar returns an ear that hands on to next.
func NewEar(next slog.Handler) *Ear { return &Ear{next, &heard{}} }

// Listen makes the default logger an ear until the end of the test, and returns its Heard. What a guest logs goes there when it runs natively, or as a
// module that moduletest.Builtin has loaded since.
func Listen(t TB) func() string {
	before, flags := slog.Default(), log.Flags()
	ear := NewEar(slog.NewTextHandler(os.Stderr, nil))
	slog.SetDefault(slog.New(ear))
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(os.Stderr) // which SetDefault does not undo
		log.SetFlags(flags)
	})
	return ear.Heard
}

// Heard returns messages and values of all records so far, as they were given.
func (e *Ear) Heard() string {
	e.heard.mu.Lock()
	defer e.heard.mu.Unlock()
	return e.heard.text.String()
}

// Enabled implements slog.Handler: an operator may log all levels.
func (e *Ear) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (e *Ear) Handle(ctx context.Context, r slog.Record) error {
	e.heard.mu.Lock()
	e.heard.text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		e.heard.text.WriteString(" " + a.Key + "=" + a.Value.String()) // of a group all that is in it
		return true
	})
	e.heard.text.WriteByte('\n')
	e.heard.mu.Unlock()
	if !e.next.Enabled(ctx, r.Level) {
		return nil
	}
	return e.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler. The attributes are the host's, so they are not kept.
func (e *Ear) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Ear{e.next.WithAttrs(attrs), e.heard}
}

// WithGroup implements slog.Handler.
func (e *Ear) WithGroup(name string) slog.Handler { return &Ear{e.next.WithGroup(name), e.heard} }
