package config

import (
	"errors"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// kind is what a value of the file is.
type kind string

const (
	kindString   kind = "a string"
	kindInt      kind = "a whole number"
	kindFloat    kind = "a number with a fraction"
	kindBool     kind = "a boolean"
	kindTime     kind = "a date-time"
	kindDate     kind = "a date without a zone" // and local times and date-times
	kindList     kind = "a list"
	kindTable    kind = "a table"
	kindTableSet kind = "an array of tables"
)

// value is a value of the file with its place. Lists and tables hold further ones.
type value struct {
	kind  kind
	line  int
	text  string // of scalars: a string's content, otherwise as written
	list  []*value
	table *table
}

// table keeps its entries in the order of the file.
type table struct {
	entries []entry
	index   map[string]int // by key as written
}

type entry struct {
	key   string
	line  int
	value *value
}

func newTable() *table { return &table{index: map[string]int{}} }

func (t *table) get(key string) *value {
	if i, ok := t.index[key]; ok {
		return t.entries[i].value
	}
	return nil
}

func (t *table) set(key string, line int, v *value) {
	t.index[key] = len(t.entries)
	t.entries = append(t.entries, entry{key, line, v})
}

// syntaxError is a file that is no TOML.
type syntaxError struct {
	line int
	msg  string
}

func (e *syntaxError) Error() string { return e.msg }

// parseTree reads TOML. The library checks the rules of the language (what may be defined twice, dates, numbers); its parser gives
// the places.
func parseTree(data []byte) (*table, error) {
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil {
		e := &syntaxError{line: 1, msg: strings.TrimPrefix(err.Error(), "toml: ")}
		var decode *toml.DecodeError
		if errors.As(err, &decode) {
			e.line, _ = decode.Position()
		}
		return nil, e
	}
	b := builder{lines: lineStarts(data)}
	b.parser.Reset(data)
	root := newTable()
	at := root
	for b.parser.NextExpression() {
		n := b.parser.Expression()
		switch n.Kind {
		case unstable.Table:
			at = b.header(root, n, false)
		case unstable.ArrayTable:
			at = b.header(root, n, true)
		case unstable.KeyValue:
			b.keyValue(at, n)
		}
	}
	if err := b.parser.Error(); err != nil {
		return nil, &syntaxError{line: 1, msg: err.Error()}
	}
	return root, nil
}

type builder struct {
	parser unstable.Parser
	lines  []int // offset of the start of each line
}

func lineStarts(data []byte) []int {
	starts := []int{0}
	for i, c := range data {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func (b *builder) line(n *unstable.Node) int {
	i, found := slices.BinarySearch(b.lines, int(n.Raw.Offset))
	if found {
		return i + 1
	}
	return i
}

// header goes to the table that [a.b] or [[a.b]] names, making what is missing on the way.
func (b *builder) header(root *table, n *unstable.Node, array bool) *table {
	at := root
	for keys := n.Key(); keys.Next(); {
		key, line := string(keys.Node().Data), b.line(keys.Node())
		v := at.get(key)
		last := keys.IsLast()
		switch {
		case v == nil && last && array:
			v = &value{kind: kindTableSet, line: line}
			at.set(key, line, v)
		case v == nil:
			v = &value{kind: kindTable, line: line, table: newTable()}
			at.set(key, line, v)
		}
		if last && array {
			v.list = append(v.list, &value{kind: kindTable, line: line, table: newTable()})
		}
		at = v.inside()
		if last && !array {
			v.line = line
		}
	}
	return at
}

// inside returns the table that a header goes on in: the last one of an array.
func (v *value) inside() *table {
	if v.kind == kindTableSet && len(v.list) > 0 {
		return v.list[len(v.list)-1].table
	}
	if v.table == nil { // the library has refused such a file already
		v.table = newTable()
	}
	return v.table
}

// keyValue adds a.b.c = value.
func (b *builder) keyValue(at *table, n *unstable.Node) {
	for keys := n.Key(); keys.Next(); {
		key, line := string(keys.Node().Data), b.line(keys.Node())
		if keys.IsLast() {
			at.set(key, line, b.value(n.Value(), line))
			return
		}
		v := at.get(key)
		if v == nil {
			v = &value{kind: kindTable, line: line, table: newTable()}
			at.set(key, line, v)
		}
		at = v.inside()
	}
}

// value copies one value out of the parser's memory. line serves where the parser keeps no place.
func (b *builder) value(n *unstable.Node, line int) *value {
	if n.Raw.Length > 0 {
		line = b.line(n)
	}
	v := &value{line: line, text: string(n.Data)}
	switch n.Kind {
	case unstable.String:
		v.kind = kindString
	case unstable.Integer:
		v.kind = kindInt
	case unstable.Float:
		v.kind = kindFloat
	case unstable.Bool:
		v.kind = kindBool
	case unstable.DateTime:
		v.kind = kindTime
	case unstable.Array:
		v.kind = kindList
		for it := n.Children(); it.Next(); {
			v.list = append(v.list, b.value(it.Node(), line))
		}
		if len(v.list) > 0 && !slices.ContainsFunc(v.list, func(e *value) bool { return e.kind != kindTable }) {
			v.kind = kindTableSet
		}
	case unstable.InlineTable:
		v.kind, v.table = kindTable, newTable()
		for it := n.Children(); it.Next(); {
			b.keyValue(v.table, it.Node())
		}
	default:
		v.kind = kindDate
	}
	return v
}
