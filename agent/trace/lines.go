package trace

import (
	"bytes"
	"time"
)

const (
	stampFormat = "2006-01-02T15:04:05.000000Z"
	// maxLine is how many bytes of a line gather before they are sent as a part of it.
	maxLine = 8 << 10
)

// stamper begins each line with `<time> <stream><type><flag>`: the UTC time of the line's first byte, two hex digits of the stream, O
// or E, and a space for a new line or + for one that goes on from the line before. A progress bar or a section marker (a write
// with a carriage return but no line feed) and a line over 8 KiB are sent at once, with a line feed added.
type stamper struct {
	tag   string // stream and type
	now   func() time.Time
	line  []byte
	began time.Time // when the first byte of line came
	goes  bool      // what was sent last had a line feed added
}

func (s *stamper) write(dst, p []byte) []byte {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		s.take(p[:i])
		dst = s.emit(dst, false)
		p = p[i+1:]
	}
	if len(p) == 0 {
		return dst
	}
	s.take(p)
	if len(s.line) > maxLine || bytes.IndexByte(p, '\r') >= 0 {
		dst = s.emit(dst, true)
	}
	return dst
}

// flush appends an unfinished line that began at or before limit.
func (s *stamper) flush(dst []byte, limit time.Time) []byte {
	if len(s.line) == 0 || s.began.After(limit) {
		return dst
	}
	return s.emit(dst, true)
}

func (s *stamper) take(p []byte) {
	if len(s.line) == 0 {
		s.began = s.now()
	}
	s.line = append(s.line, p...)
}

// emit appends the line so far. goes tells that its own line feed has not come yet.
func (s *stamper) emit(dst []byte, goes bool) []byte {
	dst = s.began.UTC().AppendFormat(dst, stampFormat)
	dst = append(dst, ' ')
	dst = append(dst, s.tag...)
	if s.goes {
		dst = append(dst, '+')
	} else {
		dst = append(dst, ' ')
	}
	dst = append(dst, s.line...)
	s.line, s.goes = s.line[:0], goes
	return append(dst, '\n')
}
