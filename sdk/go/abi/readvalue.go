package abi

import (
	"encoding/base64"
	"strconv"
)

// number returns the text of a number, as JSON's grammar has it.
func (r *reader) number() string {
	start := r.pos
	if r.pos < len(r.in) && r.in[r.pos] == '-' {
		r.pos++
	}
	ok := true
	if r.pos < len(r.in) && r.in[r.pos] == '0' {
		r.pos++
	} else {
		ok = r.digits()
	}
	if ok && r.pos < len(r.in) && r.in[r.pos] == '.' {
		r.pos++
		ok = r.digits()
	}
	if ok && r.pos < len(r.in) && r.in[r.pos]|0x20 == 'e' {
		r.pos++
		if r.pos < len(r.in) && (r.in[r.pos] == '+' || r.in[r.pos] == '-') {
			r.pos++
		}
		ok = r.digits()
	}
	if !ok {
		r.pos = start
		r.fail("is no JSON")
		return ""
	}
	return r.in[start:r.pos]
}

// digits consumes digits and tells whether there was one.
func (r *reader) digits() bool {
	start := r.pos
	for r.pos < len(r.in) && r.in[r.pos]-'0' <= 9 {
		r.pos++
	}
	return r.pos > start
}

// short consumes a number of one to nine digits and nothing else, as nearly all are; it leaves anything else where it is. Such a number fits
// every type.
func (r *reader) short() (int64, bool) {
	c := r.peek()
	in, i := r.in, r.pos
	if c-'0' > 9 || c == '0' && i+1 < len(in) && in[i+1]-'0' <= 9 {
		return 0, false
	}
	n := int64(0)
	for ; i < len(in) && i < r.pos+9 && in[i]-'0' <= 9; i++ {
		n = 10*n + int64(in[i]-'0')
	}
	if i < len(in) {
		if c := in[i]; c-'0' <= 9 || c == '.' || c|0x20 == 'e' {
			return 0, false
		}
	}
	r.pos = i
	return n, true
}

// integer reads an integer of at most bits bits; null is 0.
func (r *reader) integer(bits int) int64 {
	if n, ok := r.short(); ok {
		return n
	}
	if r.null() {
		return 0
	}
	if !isNumber(r.peek()) {
		r.mismatch("an integer")
		return 0
	}
	start := r.pos
	n, err := strconv.ParseInt(r.number(), 10, bits)
	if err != nil && r.err == nil {
		r.pos = start
		r.fail("is no integer, or too large for one")
	}
	return n
}

func (r *reader) int() int { return int(r.integer(strconv.IntSize)) }

// float reads a number; null is 0.
func (r *reader) float() float64 {
	if n, ok := r.short(); ok {
		return float64(n)
	}
	if r.null() {
		return 0
	}
	if !isNumber(r.peek()) {
		r.mismatch("a number")
		return 0
	}
	start := r.pos
	f, err := strconv.ParseFloat(r.number(), 64)
	if err != nil && r.err == nil {
		r.pos = start
		r.fail("is too large a number")
	}
	return f
}

// bool reads true or false; null is false.
func (r *reader) bool() bool {
	switch r.peek() {
	case 't':
		r.literal("true")
		return r.err == nil
	case 'f':
		r.literal("false")
	default:
		if !r.null() {
			r.mismatch("true or false")
		}
	}
	return false
}

// bytes reads base64; null is nil.
func (r *reader) bytes() []byte {
	if r.null() {
		return nil
	}
	start := r.pos
	s := r.string()
	if r.err != nil {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		r.pos = start
		r.fail("is no base64")
	}
	return data
}

// raw returns a copy of the value as it is; null is nil.
func (r *reader) raw() Raw {
	if r.null() {
		return nil
	}
	start := r.pos
	r.skip()
	if r.err != nil {
		return nil
	}
	return Raw(r.in[start:r.pos])
}

// int64 reads an integer; null is 0.
func (r *reader) int64() int64 { return r.integer(64) }

// strings reads a list of strings; null is nil.
func (r *reader) strings() []string { return list(r, (*reader).string) }

// option reads what may be absent; null is nil.
func option[T any](r *reader, read func(*reader) T) *T {
	if r.null() {
		return nil
	}
	v := read(r)
	return &v
}

// list reads a list; null is nil.
func list[T any](r *reader, read func(*reader) T) []T {
	if r.null() {
		return nil
	}
	items := []T{}
	for more := r.open('['); more; more = r.more('[') {
		items = append(items, read(r))
	}
	return items
}

// table reads an object with keys of any name; null is nil. Of two values with one key the last counts.
func table[T any](r *reader, read func(*reader) T) map[string]T {
	if r.null() {
		return nil
	}
	items := map[string]T{}
	for more := r.open('{'); more; more = r.more('{') {
		key := r.key()
		items[key] = read(r)
	}
	return items
}
