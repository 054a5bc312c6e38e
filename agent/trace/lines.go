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

	stamp   []byte // stamped, as it is written: lines that come together have one
	stamped time.Time
}

func (s *stamper) write(dst, p []byte) []byte {
	var came time.Time // what p holds; asked for once, when a line begins in it
	begin := func() {
		if came.IsZero() {
			came = s.now()
		}
		s.began = came
	}
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		if len(s.line) == 0 {
			begin()
		}
		dst = s.emit(dst, p[:i], false)
		p = p[i+1:]
	}
	if len(p) == 0 {
		return dst
	}
	if len(s.line) == 0 {
		begin()
	}
	s.line = append(s.line, p...)
	if len(s.line) > maxLine || bytes.IndexByte(p, '\r') >= 0 {
		dst = s.emit(dst, nil, true)
	}
	return dst
}

// flush appends an unfinished line that began at or before limit.
func (s *stamper) flush(dst []byte, limit time.Time) []byte {
	if len(s.line) == 0 || s.began.After(limit) {
		return dst
	}
	return s.emit(dst, nil, true)
}

// emit appends the line so far and the rest of it. goes tells that its own line feed has not come yet.
func (s *stamper) emit(dst, rest []byte, goes bool) []byte {
	if len(s.stamp) == 0 || !s.began.Equal(s.stamped) {
		s.stamp, s.stamped = s.began.UTC().AppendFormat(s.stamp[:0], stampFormat), s.began
	}
	dst = append(append(append(dst, s.stamp...), ' '), s.tag...)
	if s.goes {
		dst = append(dst, '+')
	} else {
		dst = append(dst, ' ')
	}
	dst = append(append(dst, s.line...), rest...)
	s.line, s.goes = s.line[:0], goes
	return append(dst, '\n')
}
