// Package child is what drivers need that run a program beside the agent: a group of processes of its own, its output by lines, and texts
// without secrets.
package child

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// MaxLine is how many bytes of one line are kept; the rest of it is dropped, never left in the pipe.
const MaxLine = 16 << 10

// Lines hands on what is written to it line by line, without the line's end. A line that is too long is cut. It serves one writer.
type Lines struct {
	Tell func(line string)
	part []byte
	cut  bool
}

// Write takes all of b, always.
func (l *Lines) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if room := MaxLine - len(l.part); len(line) > room {
			line, l.cut = line[:room], true
		}
		l.part = append(l.part, line...)
		if !whole {
			break
		}
		l.flush()
		b = rest
	}
	return n, nil
}

func (l *Lines) flush() {
	text := strings.ToValidUTF8(strings.TrimRight(string(l.part), "\r"), "�")
	if l.cut {
		text += "…"
	}
	l.part, l.cut = l.part[:0], false
	l.Tell(text)
}

// redacted stands where a secret was.
const redacted = "[redacted]"

// Hider takes secrets out of a text, as they are and as JSON and URLs write them. Lines of a secret with several are secret as well.
func Hider(secrets []string) func(string) string {
	var forms []string
	for _, v := range secrets {
		if v == "" {
			continue
		}
		quoted, _ := json.Marshal(v) // a string always marshals
		forms = append(forms, v, strings.Trim(string(quoted), `"`), url.QueryEscape(v), url.PathEscape(v))
		for line := range strings.Lines(v) { // output comes line by line
			if line = strings.TrimSpace(line); len(line) >= 8 {
				forms = append(forms, line)
			}
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) }) // one may begin another
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, redacted)
	}
	return strings.NewReplacer(pairs...).Replace
}
