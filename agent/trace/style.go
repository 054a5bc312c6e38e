package trace

import (
	"fmt"
	"strings"
)

// The escape sequences of GitLab's traces.
const (
	clearLine  = "\x1b[0K"
	reset      = "\x1b[0;m"
	boldGreen  = "\x1b[32;1m"
	boldRed    = "\x1b[31;1m"
	boldCyan   = "\x1b[36;1m"
	yellow     = "\x1b[0;33m"
	lineEnding = reset + "\n"
)

// Println writes a line of the runner's own.
func (t *Trace) Println(text string) { t.say(clearLine + text + lineEnding) }

// Infoln writes a bold green line.
func (t *Trace) Infoln(text string) { t.say(boldGreen + text + lineEnding) }

// Warningln writes a yellow line that begins with WARNING.
func (t *Trace) Warningln(text string) { t.say(yellow + "WARNING: " + text + lineEnding) }

// Errorln writes a bold red line that begins with ERROR.
func (t *Trace) Errorln(text string) { t.say(boldRed + "ERROR: " + text + lineEnding) }

// Titleln writes a stage's title in bold cyan.
func (t *Trace) Titleln(text string) { t.Println(boldCyan + text + reset) }

// say writes a line of the runner's own, unless an agent before has done so.
func (t *Trace) say(s string) {
	t.saying.Lock()
	defer t.saying.Unlock()
	if t.said++; t.said > t.muted {
		_, _ = t.runner.Write([]byte(s)) // it cannot fail
	}
}

// Noticeln is Warningln for what comes at a moment of its own: another agent that goes on with the job would not write it at the same
// place again.
func (t *Trace) Noticeln(text string) {
	_, _ = t.runner.Write([]byte(yellow + "WARNING: " + text + lineEnding)) // it cannot fail
}

// Section opens a collapsible section with a title line, and returns what closes it; further calls of that do nothing. The name may
// end in options, as in script[collapsed=true]. An empty title writes no line. Where the coordinator knows no sections only the title is
// written. What the job stream holds back is flushed at both ends.
func (t *Trace) Section(name, title string) (end func()) {
	t.FlushJob()
	if t.sections {
		t.say(fmt.Sprintf("section_start:%d:%s\r%s", t.now().Unix(), name, clearLine))
	}
	if title != "" {
		t.Titleln(title)
	}
	open := true
	return func() {
		if !open {
			return
		}
		open = false
		t.FlushJob()
		if t.sections {
			bare, _, _ := strings.Cut(name, "[")
			t.say(fmt.Sprintf("section_end:%d:%s\r%s", t.now().Unix(), bare, clearLine))
		}
	}
}
