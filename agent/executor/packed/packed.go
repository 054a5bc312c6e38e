// Package packed is the form in which millwright-init hands a script's output to an engine, and the way back. An engine writes each line to
// its own log, one after the other, which takes it longer than all else that happens to a line; so many lines that come at once are
// handed over as one. What a script says now and then passes unchanged.
package packed

import "bytes"

// WordVariable holds the word by which the reader knows that millwright-init speaks, and not the script. It is one line that begins with Mark,
// and nobody but the job's owner can know it.
const WordVariable = "MILLWRIGHT_INIT_WORD"

// Mark begins all that stands for something else. It is a control character that hardly any program prints.
const Mark = 0x1e

// What may follow a Mark, once a stream has begun with the word. A line's end after it stands for nothing: it ends the engine's line alone.
const (
	markNewline = 'n'
	markItself  = 'e'
	markEnd     = 'w' // the word, without its Mark, a space, the exit code, a line's end; nothing comes after it
)

const (
	// fewLines pass as they are, so that whoever looks into the engine's log can read them.
	fewLines = 16
	// lineLimit is how long the engine's lines get, in bytes, but for longer ones of the script's: an engine cuts them at 16 KiB.
	lineLimit = 15 << 10
	// wordLimit bounds what may be an ending: the word, a space, three digits.
	wordLimit = 256
)

// Begin is what a stream begins with.
func Begin(word string) []byte { return []byte(word + "\n") }

// End is what a stream ends with, for the exit code in decimal digits.
func End(word, code string) []byte {
	return []byte(string([]byte{Mark, markEnd}) + word[1:] + " " + code + "\n")
}

// Pack returns a piece of output packed, in buf where that has room for it, or the piece itself when there is nothing to pack. The last line
// that the piece ends remains one of the engine's, so that nothing of it waits for what the script says next.
func Pack(buf, piece []byte) []byte {
	lines, marks := bytes.Count(piece, []byte{'\n'}), bytes.IndexByte(piece, Mark) >= 0
	if lines < fewLines && !marks {
		return piece
	}
	out, begun := buf[:0], 0 // where the engine's line begins in out
	for line := range bytes.Lines(piece) {
		ends := line[len(line)-1] == '\n'
		if len(out) > begun && len(out)-begun+len(line) > lineLimit {
			out = append(out, Mark, '\n')
			begun = len(out)
		}
		text := line
		if ends {
			text = line[:len(line)-1]
			lines--
		}
		for i := 0; marks && i >= 0; {
			if i = bytes.IndexByte(text, Mark); i >= 0 {
				out = append(append(out, text[:i]...), Mark, markItself)
				text = text[i+1:]
			}
		}
		out = append(out, text...)
		switch {
		case ends && lines == 0:
			out = append(out, '\n')
			begun = len(out)
		case ends:
			out = append(out, Mark, markNewline)
		}
	}
	return out
}
