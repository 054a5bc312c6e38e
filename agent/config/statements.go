package config

import (
	"bytes"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// statement is a header or a key with its value, and where it stands in the file. Offsets are bytes.
type statement struct {
	kind       unstable.Kind // Table, ArrayTable or KeyValue
	keys       []string      // the dotted key
	start, end int           // of its lines, whole, with the comment behind it and the line's end
	value      [2]int        // start and end of a key's value
}

// scanner finds the statements of a file that parseTree has accepted, so that it only needs to know where things end.
type scanner struct {
	data []byte
	at   int
}

// statements lists what the file says, in its order. What lies between two of them is blank lines and comments.
func statements(data []byte) []statement {
	s := scanner{data: data}
	var out []statement
	for {
		s.skip(" \t\r\n")
		switch {
		case s.at >= len(data):
			return out
		case data[s.at] == '#':
			s.line()
		default:
			out = append(out, s.statement())
		}
	}
}

func (s *scanner) statement() statement {
	begin := s.at
	st := statement{kind: unstable.KeyValue, start: bytes.LastIndexByte(s.data[:begin], '\n') + 1}
	var keys []byte
	if s.data[s.at] == '[' {
		st.kind = unstable.Table
		if bytes.HasPrefix(s.data[s.at:], []byte("[[")) {
			st.kind = unstable.ArrayTable
		}
		s.value()
		keys = bytes.Trim(s.data[begin:s.at], "[]")
	} else {
		for s.at < len(s.data) && s.data[s.at] != '=' {
			s.token()
		}
		keys = s.data[begin:s.at]
		s.at = min(s.at+1, len(s.data))
		s.skip(" \t")
		st.value[0] = s.at
		s.value()
		st.value[1] = s.at
	}
	st.keys = keysOf(keys)
	s.line()
	st.end = s.at
	return st
}

// keysOf reads a dotted key.
func keysOf(text []byte) []string {
	var p unstable.Parser
	p.Reset([]byte(string(bytes.TrimSpace(text)) + " = 0"))
	var keys []string
	if p.NextExpression() {
		for k := p.Expression().Key(); k.Next(); {
			keys = append(keys, string(k.Node().Data))
		}
	}
	return keys
}

func (s *scanner) skip(set string) {
	for s.at < len(s.data) && strings.IndexByte(set, s.data[s.at]) >= 0 {
		s.at++
	}
}

// line goes behind the end of the line.
func (s *scanner) line() {
	if i := bytes.IndexByte(s.data[s.at:], '\n'); i >= 0 {
		s.at += i + 1
	} else {
		s.at = len(s.data)
	}
}

// value goes to the end of a value: of a string, of a list or table with all that it holds, or of a bare word, which may have a blank
// in it as dates do.
func (s *scanner) value() {
	if s.at >= len(s.data) {
		return
	}
	switch s.data[s.at] {
	case '"', '\'':
		s.token()
	case '[', '{':
		s.nested()
	default:
		begin := s.at
		for s.at < len(s.data) && !strings.ContainsRune("#\r\n", rune(s.data[s.at])) {
			s.at++
		}
		s.at = begin + len(bytes.TrimRight(s.data[begin:s.at], " \t"))
	}
}

// nested goes behind the bracket that closes the one at s.at.
func (s *scanner) nested() {
	for depth := 0; s.at < len(s.data); {
		switch s.data[s.at] {
		case '[', '{':
			depth++
			s.at++
		case ']', '}':
			depth--
			s.at++
		case '#':
			s.line()
		default:
			s.token()
		}
		if depth == 0 {
			return
		}
	}
}

// token goes behind a string, or one byte on.
func (s *scanner) token() {
	rest := s.data[s.at:]
	for _, quote := range []string{`"""`, `'''`, `"`, `'`} {
		if bytes.HasPrefix(rest, []byte(quote)) {
			s.at += len(quote)
			s.quoted(quote)
			return
		}
	}
	s.at++
}

// quoted goes behind the closing quote. Up to two more quotes may stand right before the three that close.
func (s *scanner) quoted(quote string) {
	for s.at < len(s.data) {
		switch {
		case quote[0] == '"' && s.data[s.at] == '\\':
			s.at += 2
		case bytes.HasPrefix(s.data[s.at:], []byte(quote)):
			s.at += len(quote)
			for n := 0; len(quote) == 3 && n < 2 && s.at < len(s.data) && s.data[s.at] == quote[0]; n++ {
				s.at++
			}
			return
		default:
			s.at++
		}
	}
	s.at = min(s.at, len(s.data))
}
