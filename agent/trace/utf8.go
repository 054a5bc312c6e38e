package trace

import "unicode/utf8"

// repair makes a stream valid UTF-8: each byte that belongs to no character becomes U+FFFD. A character that a write cuts in two is
// held back until its rest comes, three bytes at most.
type repair struct {
	held    []byte
	scratch []byte
}

func (r *repair) write(dst, p []byte) []byte {
	if len(r.held) > 0 {
		r.scratch = append(append(r.scratch[:0], r.held...), p...)
		p = r.scratch
	}
	whole := len(p) - incomplete(p)
	dst = appendValid(dst, p[:whole])
	r.held = append(r.held[:0], p[whole:]...)
	return dst
}

// flush appends what is held back as the broken bytes that it is.
func (r *repair) flush(dst []byte) []byte {
	dst = appendValid(dst, r.held)
	r.held = r.held[:0]
	return dst
}

// incomplete returns the length of the character that p ends in the middle of.
func incomplete(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if tail := p[len(p)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

func appendValid(dst, p []byte) []byte {
	if utf8.Valid(p) {
		return append(dst, p...)
	}
	from := 0
	for i := 0; i < len(p); {
		if p[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, p[from:i]...)
			dst = append(dst, string(utf8.RuneError)...)
			from = i + 1
		}
		i += size
	}
	return append(dst, p[from:]...)
}
