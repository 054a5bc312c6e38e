package fleeting

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millwright-ci/millwright/agent/driver/child"
)

// Limits of what a plug-in may write to the log.
const (
	maxText    = 2 << 10 // of one message or value
	maxAttrs   = 16      // of one line
	maxPrinted = 200     // lines in a window
	logWindow  = 10 * time.Second
)

// output makes log lines of what a plug-in prints: hclog's JSON, or words.
type output struct {
	log  *slog.Logger
	hide func(string) string
	note func(line string) // is told the newest words, for an error

	mu      sync.Mutex // guards what follows
	window  time.Time
	printed int
	dropped int
	panics  int // lines of a panic until now; what follows it is a stack
}

// writer is where one stream of the plug-in's output goes.
func (o *output) writer() *child.Lines { return &child.Lines{Tell: o.line} }

func (o *output) line(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	level, text, attrs := o.read(line)
	text = clip(o.hide(text), maxText)
	if level >= slog.LevelInfo && o.panics < lastLines { // of a panic the first lines say most
		o.note(text)
	}
	if o.allowed() {
		o.log.LogAttrs(context.Background(), level, text, attrs...)
	}
}

// allowed bounds how much is logged: a plug-in that chatters must not fill the disk.
func (o *output) allowed() bool {
	if now := time.Now(); now.Sub(o.window) >= logWindow {
		if o.dropped > 0 {
			o.log.Warn("the plug-in printed more than is logged", "dropped", o.dropped)
		}
		o.window, o.printed, o.dropped = now, 0, 0
	}
	if o.printed++; o.printed > maxPrinted {
		o.dropped++
		return false
	}
	return true
}

// read takes a line apart.
func (o *output) read(line string) (slog.Level, string, []slog.Attr) {
	var entry map[string]any
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber() // ids keep their digits
	if strings.HasPrefix(line, "{") && d.Decode(&entry) == nil {
		if text, ok := entry["@message"].(string); ok {
			level, _ := entry["@level"].(string)
			return levelOf(level), text, o.attrs(entry)
		}
	}
	if o.panics > 0 || strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
		o.panics++
		return slog.LevelError, line, nil
	}
	if level, text, ok := strings.Cut(strings.TrimPrefix(line, "["), "] "); ok && strings.HasPrefix(line, "[") {
		return levelOf(level), text, nil
	}
	return slog.LevelInfo, line, nil
}

// attrs are the values of hclog's line beside its own.
func (o *output) attrs(entry map[string]any) []slog.Attr {
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		if strings.HasPrefix(key, "@") || len(attrs) == maxAttrs {
			continue
		}
		value := o.hide(fmt.Sprint(entry[key]))
		if looksSecret(key) {
			value = "[redacted]"
		}
		attrs = append(attrs, slog.String(clip(o.hide(key), maxLast), clip(value, maxText)))
	}
	return attrs
}

func levelOf(name string) slog.Level {
	switch strings.ToLower(name) {
	case "trace", "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}
