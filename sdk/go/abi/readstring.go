package abi

import (
	"strings"
	"unicode/utf8"
)

// string reads a string; null is "".
func (r *reader) string() string {
	switch r.peek() {
	case '"':
		return r.text()
	case 'n':
		r.literal("null")
	default:
		r.mismatch("a string")
	}
	return ""
}

// text reads a string that starts here. What needs no change shares the memory of the input.
func (r *reader) text() string {
	in, start := r.in, r.pos+1 // most of a guest's time goes by here, and a field would be loaded anew for each byte
	ascii := true
	for i := start; i < len(in); i++ {
		c := in[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			continue
		}
		switch {
		case c == '"':
			r.pos = i + 1
			if s := in[start:i]; ascii || utf8.ValidString(s) {
				return s
			}
			return string([]rune(in[start:i])) // each byte that is not UTF-8 becomes U+FFFD
		case c == '\\':
			return r.escaped(start, i)
		case c < ' ':
			r.pos = i
			r.fail("is a string with a control character, which must be escaped")
			return ""
		}
		ascii = false
	}
	r.pos = len(in)
	r.fail("is a string that does not end")
	return ""
}

// escaped reads a string that started at start and has its first backslash at i.
func (r *reader) escaped(start, i int) string {
	out := append(make([]byte, 0, i-start+32), r.in[start:i]...)
	for i < len(r.in) {
		c := r.in[i]
		switch {
		case c == '"':
			r.pos = i + 1
			return string(out)
		case c == '\\':
			r.pos = i
			out = r.escape(out)
			if r.err != nil {
				return ""
			}
			i = r.pos
		case c < ' ':
			r.pos = i
			r.fail("is a string with a control character, which must be escaped")
			return ""
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			char, size := utf8.DecodeRuneInString(r.in[i:])
			out = utf8.AppendRune(out, char)
			i += size
		}
	}
	r.pos = len(r.in)
	r.fail("is a string that does not end")
	return ""
}

// escape reads one escape, which starts at the backslash, and appends what it stands for.
func (r *reader) escape(out []byte) []byte {
	const short, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if r.pos+1 < len(r.in) {
		if i := strings.IndexByte(short, r.in[r.pos+1]); i >= 0 {
			r.pos += 2
			return append(out, means[i])
		}
	}
	c := r.unit(r.pos)
	if c < 0 {
		r.fail("is a string with an escape that JSON has not")
		return out
	}
	r.pos += 6
	if 0xd800 <= c && c < 0xdc00 { // half of a pair; without the other it is replaced, as encoding/json does
		if low := r.unit(r.pos); 0xdc00 <= low && low < 0xe000 {
			r.pos += 6
			return utf8.AppendRune(out, (c-0xd800)<<10|(low-0xdc00)+0x10000)
		}
	}
	return utf8.AppendRune(out, c) // a lone half becomes U+FFFD
}

// unit returns the value of the \uXXXX at pos, -1 when there is none.
func (r *reader) unit(pos int) rune {
	if pos+6 > len(r.in) || r.in[pos] != '\\' || r.in[pos+1] != 'u' {
		return -1
	}
	var c rune
	for _, digit := range []byte(r.in[pos+2 : pos+6]) {
		n := nibble(digit)
		if n < 0 {
			return -1
		}
		c = c<<4 | rune(n)
	}
	return c
}
