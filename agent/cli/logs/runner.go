package logs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// width is how far a message is padded before its attributes begin, level and all, as in gitlab-runner's log.
const width = 50

// runner writes lines as gitlab-runner does: WARNING: or ERROR: before the message, attributes as name=value behind it. Values are
// not quoted for spaces; what would break the line or the terminal is escaped.
type runner struct {
	w      io.Writer
	color  bool
	prefix string // of attributes: the groups
	attrs  []pair
}

// pair is an attribute as text.
type pair struct{ name, value string }

func newRunner(w io.Writer, color bool) *runner { return &runner{w: w, color: color} }

// Enabled implements slog.Handler: the output looks at the level.
func (h *runner) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (h *runner) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = h.attrs[:len(h.attrs):len(h.attrs)]
	for _, a := range attrs {
		next.attrs = flatten(next.attrs, h.prefix, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *runner) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.prefix += name + "."
	}
	return &next
}

// Handle implements slog.Handler.
func (h *runner) Handle(_ context.Context, r slog.Record) error {
	paint, level := style(r.Level)
	reset := "\x1b[0;m"
	if !h.color {
		paint, reset = "", ""
	}
	message := printable(r.Message)
	var line strings.Builder
	line.WriteString(paint + level + message)
	if n := width - len(level) - utf8.RuneCountInString(message); n > 0 {
		line.WriteString(strings.Repeat(" ", n))
	}
	line.WriteString(reset + " ")
	pairs := h.attrs[:len(h.attrs):len(h.attrs)]
	r.Attrs(func(a slog.Attr) bool {
		pairs = flatten(pairs, h.prefix, a)
		return true
	})
	for _, p := range pairs {
		line.WriteString(" " + paint + p.name + reset + "=" + p.value)
	}
	_, err := io.WriteString(h.w, strings.TrimRight(line.String(), " ")+"\n")
	return err
}

// style is the colour of a level and the word for it.
func style(l slog.Level) (paint, word string) {
	switch {
	case l >= slog.LevelError:
		return "\x1b[31;1m", "ERROR: "
	case l >= slog.LevelWarn:
		return "\x1b[0;33m", "WARNING: "
	case l >= slog.LevelInfo:
		return "", ""
	}
	return "\x1b[0;37m", ""
}

// flatten adds an attribute, the members of a group one by one.
func flatten(pairs []pair, prefix string, a slog.Attr) []pair {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			pairs = flatten(pairs, prefix, member)
		}
		return pairs
	}
	if a.Equal(slog.Attr{}) {
		return pairs
	}
	return append(pairs, pair{printable(prefix + a.Key), text(v)})
}

func text(v slog.Value) string {
	if v.Kind() == slog.KindAny {
		return printable(fmt.Sprintf("%v", v.Any()))
	}
	return printable(v.String())
}

// printable escapes what is no printable character: one line stays one line, whoever wrote it.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
