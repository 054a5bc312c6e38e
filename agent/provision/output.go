package provision

import (
	"bytes"
	"errors"
	"strings"
	"sync"
)

// How much of the remote output an error repeats.
const (
	endLines = 15
	endBytes = 2000
)

// output collects what a script prints, on both streams. Each complete line goes to the debug log at once.
type output struct {
	debug *debugLog
	full  func() // called once there is too much

	mu       sync.Mutex // guards what follows; the session copies two streams at once
	buf      bytes.Buffer
	logged   int // bytes of buf that the debug log has seen
	overflow bool
}

// Write ends the session once there is more than maxOutput: a machine may be hostile.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len()+len(p) > maxOutput {
		o.overflow = true
		o.full()
		return 0, errors.New("too much output")
	}
	o.buf.Write(p)
	if i := bytes.LastIndexByte(o.buf.Bytes()[o.logged:], '\n'); i >= 0 {
		o.log(o.logged + i + 1)
	}
	return len(p), nil
}

// flush shows the last line, which may lack its end.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log(o.buf.Len())
}

func (o *output) log(upTo int) {
	o.debug.lines("  > ", o.buf.Bytes()[o.logged:upTo])
	o.logged = upTo
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// end returns the last lines as an error message may carry them, or nothing.
func (o *output) end() string {
	text := strings.TrimSpace(redacted(strings.ToValidUTF8(o.String(), "?")))
	if text == "" {
		return ""
	}
	if len(text) > endBytes {
		text = "..." + strings.ToValidUTF8(text[len(text)-endBytes:], "")
	}
	lines := strings.Split(text, "\n")
	if len(lines) > endLines {
		lines = append([]string{"..."}, lines[len(lines)-endLines:]...)
	}
	return "; output ends:\n" + strings.Join(lines, "\n")
}
