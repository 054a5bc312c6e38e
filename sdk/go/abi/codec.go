package abi

// This file and its neighbours (read*.go, write.go, raw.go and the generated codec_gen.go) are the JSON codec of guests. It is small
// because it knows the shapes of this package and no others: encoding/json brings fmt and reflect, half a megabyte compressed, and
// takes five times as long. The host goes on with encoding/json and the same tags; tests hold the two together.

//go:generate go run ../../../hostfuncs/internal/abigen -root ../../..

// Payload is a value that crosses the boundary on its own: a pointer to a Snapshot, a Proposal and so on. It is for tests and tools; a
// guest calls the methods directly, and so links only those that it uses.
type Payload interface {
	// DecodeJSON overwrites the value with what the JSON of in says. Names are told apart by case, unknown ones are ignored, null is the
	// zero value, and of two values with one name the last counts. A value of another type, an integer with a fraction or an
	// exponent, a number that does not fit, nesting deeper than 64 levels, more than 8 MB and all that is no JSON are errors, which
	// name the field and the byte and never a value; the value is then half filled. Strings share the memory of in.
	DecodeJSON(in string) error

	// AppendJSON appends the JSON of the value to dst, in canonical form: the same bytes for the same value on every machine, fields in
	// the order of their declaration, keys of maps in the order of their bytes, no white space, floats as short as they can be. A
	// float that is NaN or infinite and a Raw that is no JSON are errors, and leave dst as it was. What is not UTF-8 in a string
	// becomes U+FFFD.
	AppendJSON(dst []byte) ([]byte, error)
}

// Limits of what is read. hostfuncs/ABI.md states them.
const (
	maxDepth = 64      // objects and lists inside each other, the payload itself included
	maxInput = 8 << 20 // bytes: a whole answer of http_send in base64, and room for its headers
)

// codecError is JSON that can't be read, or a value that can't be written.
type codecError struct {
	path string // the fields that lead there, joined by dots; "" is the payload itself
	what string
	at   int // the byte where reading ended, counted from 1; 0 when writing
}

func (e *codecError) Error() string {
	text := e.what
	if e.path != "" {
		text = e.path + ": " + text
	}
	if e.at > 0 {
		text += " (byte " + itoa(e.at) + ")"
	}
	return text
}
