package abi

import (
	"strings"
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
	depth int          // objects and lists that are open
	path  [maxPath]int // where the name is that is being read in each open object, 0 in a list
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
	for _, at := range r.path[:min(r.depth, maxPath)] {
		if at == 0 {
			continue
		}
		name := (&reader{in: r.in, pos: at}).text()
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
	in := r.in
	for i := r.pos; i < len(in); i++ {
		if c := in[i]; c > ' ' || c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			r.pos = i
			return c
		}
	}
	r.pos = len(in)
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
	if c := r.peek(); c != bracket {
		if !r.null() {
			r.mismatch(kindOf(bracket))
		}
		return false
	}
	if r.depth == maxDepth {
		r.fail("is nested deeper than 64 levels")
		return false
	}
	if r.depth < maxPath {
		r.path[r.depth] = 0
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

// field reads the name of a field and its colon and returns the name's place in names, counted from 1, or 0 when it is none of them. The
// names have their quotes and colon. Fields come mostly in the order of names, the next one behind the last.
func (r *reader) field(names []string, last int) int {
	r.peek()
	rest := r.in[r.pos:]
	for i := last; i < len(names); i++ {
		if name := names[i]; strings.HasPrefix(rest, name) {
			r.name()
			r.pos += len(name)
			return i + 1
		}
	}
	key := r.key()
	for i, name := range names {
		if key == name[1:len(name)-2] {
			return i + 1
		}
	}
	return 0
}

// name notes that a field's name starts here.
func (r *reader) name() {
	if i := uint(r.depth - 1); i < maxPath {
		r.path[i] = r.pos
	}
}

// key reads the name of a field and its colon.
func (r *reader) key() string {
	if r.peek() != '"' {
		r.fail("is no JSON: a name in double quotes should be here")
		return ""
	}
	r.name()
	name := r.text()
	if r.peek() != ':' {
		r.fail("is no JSON: a colon should be here")
		return ""
	}
	r.pos++
	return name
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
