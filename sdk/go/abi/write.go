package abi

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// writer appends JSON in canonical form.
type writer struct {
	out []byte
	err error // the first
}

// end returns what is written, or dst as it was and the first error.
func (w *writer) end(dst []byte) ([]byte, error) {
	if w.err != nil {
		return dst, w.err
	}
	return w.out, nil
}

// The small ones are kept from being inlined: the generated code calls them hundreds of times, and its size is what a guest costs most.

// key starts a field: the comma before it and its name, which is given in quotes and with its colon.
//
//go:noinline
func (w *writer) key(name string) {
	if w.out[len(w.out)-1] != '{' {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, name...)
}

// item starts an item of a list.
//
//go:noinline
func (w *writer) item() {
	if w.out[len(w.out)-1] != '[' {
		w.out = append(w.out, ',')
	}
}

//go:noinline
func (w *writer) byte(c byte) { w.out = append(w.out, c) }

func (w *writer) open(bracket byte) { w.byte(bracket) }

func (w *writer) close(bracket byte) { w.byte(bracket) }

func (w *writer) int(n int) { w.int64(int64(n)) }

//go:noinline
func (w *writer) int64(n int64) { w.out = strconv.AppendInt(w.out, n, 10) }

//go:noinline
func (w *writer) bool(b bool) { w.out = strconv.AppendBool(w.out, b) }

// float writes f as ECMAScript does: the shortest digits that read back as f, an exponent below 1e-6 and from 1e21 on, and no minus at
// zero.
// Source: RFC 8785, section 3.2.2.3.
func (w *writer) float(f float64) {
	size := math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		w.fail("a float is " + strconv.FormatFloat(f, 'g', -1, 64) + ", which JSON can't hold")
	case size == 0:
		w.byte('0')
	case size >= 1e-6 && size < 1e21:
		w.out = strconv.AppendFloat(w.out, f, 'f', -1, 64)
	default:
		w.out = strconv.AppendFloat(w.out, f, 'e', -1, 64)
		if n := len(w.out); w.out[n-2] == '0' && (w.out[n-3] == '-' || w.out[n-3] == '+') { // e-07 is e-7
			w.out = append(w.out[:n-2], w.out[n-1])
		}
	}
}

// string writes s with no more escapes than JSON needs.
// Source: RFC 8785, section 3.2.2.2.
//
//go:noinline
func (w *writer) string(s string) { w.out = AppendString(w.out, s) }

// AppendString appends s as a JSON string in canonical form, quotes included, to dst: for a guest that writes JSON of its own, in observe
// or as its state.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0 // what lies before is written
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			char, size := utf8.DecodeRuneInString(s[i:])
			if char == utf8.RuneError && size == 1 {
				dst = append(dst, s[done:i]...)
				dst = append(dst, "\uFFFD"...)
				done = i + size
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[done:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		done = i
	}
	return append(append(dst, s[done:]...), '"')
}

// bytes writes base64 with its padding.
func (w *writer) bytes(data []byte) {
	w.byte('"')
	w.out = base64.StdEncoding.AppendEncode(w.out, data)
	w.byte('"')
}

// raw writes a value as it is but for white space. One that is no JSON is an error.
func (w *writer) raw(v Raw) {
	if len(v) == 0 {
		w.out = append(w.out, "null"...)
		return
	}
	r := reader{in: string(v), depth: 1} // it lies in a payload
	r.skip()
	if err := r.end(); err != nil {
		w.fail("a value that is passed on as it is: " + err.Error())
		return
	}
	quoted := false
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case quoted && c == '\\':
			w.byte(c)
			i++
			c = v[i]
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		w.byte(c)
	}
}

func (w *writer) fail(what string) {
	if w.err == nil {
		w.err = &codecError{what: what}
	}
}

// sorted returns the keys of a map in the order of their bytes.
func sorted[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func itoa(n int) string { return strconv.Itoa(n) }

// name starts an entry of a map: the comma before it, its key and the colon.
func (w *writer) name(key string) {
	if w.out[len(w.out)-1] != '{' {
		w.byte(',')
	}
	w.string(key)
	w.byte(':')
}

// strings writes a list of strings.
func (w *writer) strings(list []string) {
	w.open('[')
	for _, s := range list {
		w.item()
		w.string(s)
	}
	w.close(']')
}
