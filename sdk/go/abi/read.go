package abi

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPath is how many levels of names an error tells, and maxName how many bytes of each: names come from outside.
const (
	maxPath = 8
	maxName = 64
)

// reader reads JSON from a string. After the first error it is at the end of its input, so that all loops stop.
type reader struct {
	in    string
	pos   int
	depth int             // objects and lists that are open
	path  [maxPath]string // the name that is being read in each open object, "" in a list
	err   *codecError
}

func newReader(in string) (*reader, error) {
	if len(in) > maxInput {
		return nil, &codecError{what: "has more than 8 MB"}
	}
	return &reader{in: in}, nil
}

// fail keeps the first error and ends the reading.
func (r *reader) fail(what string) {
	if r.err != nil {
		return
	}
	var path []string
	for _, name := range r.path[:min(r.depth, maxPath)] {
		if len(name) > maxName {
			name = strings.ToValidUTF8(name[:maxName], "") + "…"
		}
		if name != "" {
			path = append(path, name)
		}
	}
	r.err = &codecError{path: strings.Join(path, "."), what: what, at: r.pos + 1}
	r.pos = len(r.in)
}

// peek skips white space and returns the byte that follows, 0 at the end.
func (r *reader) peek() byte {
	for r.pos < len(r.in) {
		switch c := r.in[r.pos]; c {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

// end checks that nothing follows the value, and returns the first error.
func (r *reader) end() error {
	r.peek()
	if r.pos < len(r.in) {
		r.fail("there is more behind the end")
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

// null consumes a null, if one follows.
func (r *reader) null() bool {
	if r.peek() != 'n' {
		return false
	}
	r.literal("null")
	return true
}

// literal consumes the word, which must follow.
func (r *reader) literal(word string) {
	if !strings.HasPrefix(r.in[r.pos:], word) {
		r.fail("is no JSON")
		return
	}
	r.pos += len(word)
}

// open enters an object ('{') or a list ('[') and tells whether it has an item. A null has none.
func (r *reader) open(bracket byte) bool {
	if r.null() {
		return false
	}
	if r.peek() != bracket {
		r.mismatch(kindOf(bracket))
		return false
	}
	if r.depth == maxDepth {
		r.fail("is nested deeper than 64 levels")
		return false
	}
	if r.depth < maxPath {
		r.path[r.depth] = ""
	}
	r.pos++
	r.depth++
	if r.peek() == bracket+2 { // ASCII has } two after {, and ] two after [
		return r.close()
	}
	return true
}

// more goes on behind an item: it tells whether another follows, or leaves the object ('{') or list ('[').
func (r *reader) more(bracket byte) bool {
	switch r.peek() {
	case ',':
		r.pos++
		return true
	case bracket + 2:
		return r.close()
	case 0:
		r.fail("ends too early")
	default:
		r.fail("is no JSON: a comma or the end should be here")
	}
	return false
}

func (r *reader) close() bool {
	r.pos++
	r.depth--
	return false
}

// key reads the name of a field and its colon.
func (r *reader) key() string {
	if r.peek() != '"' {
		r.fail("is no JSON: a name in double quotes should be here")
		return ""
	}
	name := r.text()
	if r.depth <= maxPath && r.depth > 0 {
		r.path[r.depth-1] = name
	}
	if r.peek() != ':' {
		r.fail("is no JSON: a colon should be here")
		return ""
	}
	r.pos++
	return name
}

// string reads a string; null is "".
func (r *reader) string() string {
	if r.null() {
		return ""
	}
	if r.peek() != '"' {
		r.mismatch("a string")
		return ""
	}
	return r.text()
}

// text reads a string that starts here. What needs no change shares the memory of the input.
func (r *reader) text() string {
	start := r.pos + 1
	ascii := true
	for i := start; i < len(r.in); i++ {
		switch c := r.in[i]; {
		case c == '"':
			r.pos = i + 1
			if s := r.in[start:i]; ascii || utf8.ValidString(s) {
				return s
			}
			return string([]rune(r.in[start:i])) // each byte that is not UTF-8 becomes U+FFFD
		case c == '\\':
			return r.escaped(start, i)
		case c < ' ':
			r.pos = i
			r.fail("is a string with a control character, which must be escaped")
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.pos = len(r.in)
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

// integer reads an integer of at most bits bits; null is 0.
func (r *reader) integer(bits int) int64 {
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

// skip reads past a value, which must be JSON.
func (r *reader) skip() {
	switch c := r.peek(); {
	case c == '{':
		for more := r.open('{'); more; more = r.more('{') {
			r.key()
			r.skip()
		}
	case c == '[':
		for more := r.open('['); more; more = r.more('[') {
			r.skip()
		}
	case c == '"':
		r.text()
	case c == 't':
		r.literal("true")
	case c == 'f':
		r.literal("false")
	case c == 'n':
		r.literal("null")
	default:
		r.number()
	}
}

// mismatch fails because a value is not what it should be; a value that is no JSON at all gets that for its reason.
func (r *reader) mismatch(want string) {
	switch kind := kindOf(r.peek()); {
	case kind != "":
		r.fail("is " + kind + " and should be " + want)
	case r.pos == len(r.in):
		r.fail("ends too early")
	default:
		r.fail("is no JSON")
	}
}

// kindOf names what a value is by its first byte, "" when no value begins so.
func kindOf(c byte) string {
	switch {
	case c == '{':
		return "an object"
	case c == '[':
		return "a list"
	case c == '"':
		return "a string"
	case c == 't' || c == 'f':
		return "true or false"
	case isNumber(c):
		return "a number"
	}
	return ""
}

func isNumber(c byte) bool { return c == '-' || c-'0' <= 9 }

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
