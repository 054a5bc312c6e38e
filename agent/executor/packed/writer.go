package packed

import (
	"bytes"
	"io"
	"strconv"
)

// Writer takes one stream of a container and passes on what the script wrote to it. Until the word has come, which it never does without
// millwright-init, that is all that comes.
type Writer struct {
	to    io.Writer
	begin []byte // the word and a line's end; its first byte is nowhere else in it
	ended func(code int)

	held   int // so many bytes of begin have come and are held back
	state  state
	ending []byte // what came since the Mark of what may be the end
	code   int    // that came with the end
}

type state int

const (
	plain state = iota // the word has not come
	inside
	marked // inside, a Mark has come
	atEnd  // inside, the ending is coming
	over
)

// NewWriter returns a Writer to a stream's output. ended is called, once, from Write and when all before has been passed on, with the
// exit code that the stream ends with; what comes after that is thrown away.
func NewWriter(to io.Writer, word string, ended func(code int)) *Writer {
	return &Writer{to: to, begin: Begin(word), ended: ended}
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	rest := p
	if w.state == plain {
		var err error
		if rest, err = w.scan(rest); err != nil {
			return 0, err
		}
	}
	if w.state == inside && bytes.IndexByte(rest, Mark) < 0 {
		return w.pass(p, rest)
	}
	if w.state == plain || w.state == over || len(rest) == 0 {
		return len(p), nil
	}
	n, err := w.pass(p, w.unpack(make([]byte, 0, len(rest)+len(w.ending)), rest))
	if w.state == over { // whoever hears of it may take what has come by then for all
		w.ended(w.code)
	}
	return n, err
}

// pass writes out and answers for p.
func (w *Writer) pass(p, out []byte) (int, error) {
	if len(out) > 0 {
		if _, err := w.to.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// scan passes on what comes before the word, and returns what comes after it.
func (w *Writer) scan(p []byte) ([]byte, error) {
	for len(p) > 0 {
		if w.held == 0 {
			n := bytes.IndexByte(p, w.begin[0])
			if n < 0 {
				n = len(p)
			}
			if n > 0 {
				if _, err := w.to.Write(p[:n]); err != nil {
					return nil, err
				}
			}
			p = p[n:]
		}
		for len(p) > 0 && w.held < len(w.begin) && p[0] == w.begin[w.held] {
			w.held, p = w.held+1, p[1:]
		}
		switch {
		case w.held == len(w.begin):
			w.held, w.state = 0, inside
			return p, nil
		case len(p) > 0:
			if err := w.flush(); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func (w *Writer) flush() error {
	held := w.held
	w.held = 0
	if held == 0 {
		return nil
	}
	_, err := w.to.Write(w.begin[:held])
	return err
}

// Flush passes on what might have become the word, or an ending: the stream has ended.
func (w *Writer) Flush() error {
	if w.state == plain {
		return w.flush()
	}
	var rest []byte
	switch w.state {
	case marked:
		rest = []byte{Mark}
	case atEnd:
		rest = append([]byte{Mark, markEnd}, w.ending...)
	}
	w.state, w.ending = over, nil
	_, err := w.pass(nil, rest)
	return err
}

// unpack appends what p stands for to out. A Mark that nobody of ours has made, as a process that writes past millwright-init may, stays.
func (w *Writer) unpack(out, p []byte) []byte {
	for len(p) > 0 {
		switch w.state {
		case inside:
			n := bytes.IndexByte(p, Mark)
			if n < 0 {
				return append(out, p...)
			}
			out, p, w.state = append(out, p[:n]...), p[n+1:], marked
		case marked:
			w.state = inside
			switch p[0] {
			case '\n':
			case markNewline:
				out = append(out, '\n')
			case markItself:
				out = append(out, Mark)
			case markEnd:
				w.state = atEnd
			default:
				out = append(out, Mark, p[0])
			}
			p = p[1:]
		case atEnd:
			n := bytes.IndexByte(p, '\n')
			if n < 0 {
				n = len(p) - 1
			}
			w.ending, p = append(w.ending, p[:n+1]...), p[n+1:]
			code, ok := w.readCode()
			switch whole := w.ending[len(w.ending)-1] == '\n'; {
			case ok:
				w.state, w.code = over, code
				return out
			case whole || len(w.ending) > wordLimit:
				out = append(append(out, Mark, markEnd), w.ending...)
				w.state, w.ending = inside, nil
			}
		default:
			return out
		}
	}
	return out
}

// readCode reads an ending.
func (w *Writer) readCode() (int, bool) {
	rest, ok := bytes.CutPrefix(w.ending, w.begin[1:len(w.begin)-1])
	if !ok || len(rest) < 3 || rest[0] != ' ' || rest[len(rest)-1] != '\n' {
		return 0, false
	}
	code, err := strconv.Atoi(string(rest[1 : len(rest)-1]))
	return code, err == nil && code >= 0 && code < 256
}
