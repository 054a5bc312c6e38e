package provision

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// debugLog writes the provisioning log, each line with its time and machine. A nil log is off.
type debugLog struct {
	mu   *sync.Mutex // guards w; shared by the logs of all machines
	w    io.Writer
	name string
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
	now := time.Now().Format("15:04:05.000")
	d.mu.Lock()
	defer d.mu.Unlock()
	for line := range bytes.Lines(text) {
		fmt.Fprintf(d.w, "%s (%s) %s%s\n", now, d.name, mark, bytes.TrimRight(line, "\r\n"))
	}
}
