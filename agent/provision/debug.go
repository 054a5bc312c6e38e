package provision

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// debugLog writes the provisioning log, each line with its time and machine. A nil log is off.
type debugLog struct {
	mu   *sync.Mutex // guards w; shared by the logs of all machines
	w    io.Writer
	name string
	hide []string // values that are not shown
}

const hidden = "[redacted]"

// userinfo is the part of a URL that logs in.
var userinfo = regexp.MustCompile(`(://)[^/@\s"']+@`)

// redacted is text without what logs in in URLs.
func redacted(text string) string { return userinfo.ReplaceAllString(text, "${1}"+hidden+"@") }

// secretName matches variables whose values are not shown.
var secretName = regexp.MustCompile(`(?i)(token|secret|passw|credential|private|api_?key)`)

// secrets are the values in the engine's environment that nobody must see.
func (o engineOptions) secrets() (list []string) {
	for _, e := range o.env {
		if k, v, _ := strings.Cut(e, "="); len(v) > 3 && secretName.MatchString(k) {
			list = append(list, v, strings.Trim(systemdQuote(v, false), `"`), strings.Trim(shellQuote(v), "'")) // and as the engine's files have it
		}
	}
	return list
}

// clean is text as it may be shown.
func (d *debugLog) clean(text []byte) []byte {
	for _, v := range d.hide {
		text = bytes.ReplaceAll(text, []byte(v), []byte(hidden))
	}
	return []byte(redacted(string(text)))
}

func newDebugLog(w io.Writer) *debugLog {
	if w == nil {
		return nil
	}
	return &debugLog{mu: new(sync.Mutex), w: w}
}

func (d *debugLog) machine(name string) *debugLog {
	if d == nil {
		return nil
	}
	return &debugLog{mu: d.mu, w: d.w, name: name}
}

func (d *debugLog) printf(format string, args ...any) {
	if d != nil {
		d.lines("", fmt.Appendf(nil, format, args...))
	}
}

// lines writes text line by line, each after mark.
func (d *debugLog) lines(mark string, text []byte) {
	if d == nil {
		return
	}
	now, text := time.Now().Format("15:04:05.000"), d.clean(text)
	d.mu.Lock()
	defer d.mu.Unlock()
	for line := range bytes.Lines(text) {
		fmt.Fprintf(d.w, "%s (%s) %s%s\n", now, d.name, mark, bytes.TrimRight(line, "\r\n"))
	}
}
